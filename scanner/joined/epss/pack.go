package epss

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/klauspost/compress/zstd"

	"github.com/digestgate/digestgate/gate"
)

// Packed is a table as it is kept in the store: equal tables are packed alike. Ids are
// kept as the distances between them. A percentile is kept once for each score, because it
// follows from it: rows where it does not are exceptions.
type Packed struct {
	Model    string    `json:"model"`
	ScoredAt time.Time `json:"scoredAt"`
	Rows     int       `json:"rows"`
	Columns  []byte    `json:"columns"` // zstd
}

// maxColumns bounds the columns unpacked: 20 bytes a row at most.
const maxColumns = 20*maxRows + 1<<20

// Pack makes the form that is stored.
func (t *Table) Pack() (Packed, error) {
	var b []byte
	by := scale(t.scores)
	last := uint64(0)
	for _, id := range t.ids {
		b = binary.AppendUvarint(b, id-last)
		last = id
	}
	for shift := 0; shift < 32; shift += 8 { // bytes of one weight together compress best
		for _, s := range t.scores {
			b = append(b, byte(s/by>>shift))
		}
	}
	b = binary.AppendUvarint(b, uint64(by))
	b = t.packPercentiles(b)
	enc, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedBestCompression), zstd.WithEncoderConcurrency(1))
	if err != nil {
		return Packed{}, err
	}
	defer enc.Close()
	return Packed{t.Model, t.ScoredAt, len(t.ids), enc.EncodeAll(b, nil)}, nil
}

// scale is 10,000 when all have five digits.
func scale(list []uint32) uint32 {
	for _, v := range list {
		if v%10_000 != 0 {
			return 1
		}
	}
	return 10_000
}

// packPercentiles writes the percentile of each score when it occurs first, and then the
// rows that have another one.
func (t *Table) packPercentiles(b []byte) []byte {
	of := map[uint32]uint32{}
	n := uint64(scale(t.percentiles))
	b = binary.AppendUvarint(b, n)
	var others []byte
	count, last := 0, 0
	for i, s := range t.scores {
		p, known := of[s]
		switch {
		case !known:
			of[s] = t.percentiles[i]
			b = binary.AppendUvarint(b, uint64(t.percentiles[i])/n)
		case p != t.percentiles[i]:
			others = binary.AppendUvarint(others, uint64(i-last))
			others = binary.AppendUvarint(others, uint64(t.percentiles[i])/n)
			last = i
			count++
		}
	}
	b = binary.AppendUvarint(b, uint64(count))
	return append(b, others...)
}

// Unpack reads what Pack has made; gate.ErrInvalid when it is damaged.
func (p Packed) Unpack() (*Table, error) {
	t, err := p.unpack()
	if err != nil {
		return nil, fmt.Errorf("unpacking the scores of %s: %w: %w", p.ScoredAt.UTC().Format(time.DateOnly), err, gate.ErrInvalid)
	}
	return t, nil
}

func (p Packed) unpack() (*Table, error) {
	if p.Rows < 0 || p.Rows > maxRows {
		return nil, fmt.Errorf("it names %d rows", p.Rows)
	}
	dec, err := zstd.NewReader(nil, zstd.WithDecoderMaxMemory(maxColumns), zstd.WithDecoderConcurrency(1))
	if err != nil {
		return nil, err
	}
	defer dec.Close()
	text, err := dec.DecodeAll(p.Columns, nil)
	if err != nil {
		return nil, err
	}
	t := &Table{Model: p.Model, ScoredAt: p.ScoredAt, ids: make([]uint64, p.Rows), scores: make([]uint32, p.Rows), percentiles: make([]uint32, p.Rows)}
	c := &cursor{text: text}
	last := uint64(0)
	for i := range t.ids {
		last += c.number()
		t.ids[i] = last
	}
	for shift := 0; shift < 32; shift += 8 {
		for i, b := range c.bytes(p.Rows) {
			t.scores[i] |= uint32(b) << shift
		}
	}
	by := uint32(c.number())
	for i := range t.scores {
		t.scores[i] *= by
	}
	t.unpackPercentiles(c)
	if c.failed || len(c.text) > 0 {
		return nil, errors.New("its columns do not fit its rows")
	}
	return t, nil
}

func (t *Table) unpackPercentiles(c *cursor) {
	by := uint32(c.number())
	of := map[uint32]uint32{}
	for i, s := range t.scores {
		p, known := of[s]
		if !known {
			p = uint32(c.number()) * by
			of[s] = p
		}
		t.percentiles[i] = p
	}
	at := 0
	for n := c.number(); n > 0 && !c.failed; n-- {
		at += int(c.number())
		p := uint32(c.number()) * by
		if at < 0 || at >= len(t.percentiles) {
			c.failed = true
			return
		}
		t.percentiles[at] = p
	}
}

// cursor reads numbers one after the other; failed once there are not enough.
type cursor struct {
	text   []byte
	failed bool
}

func (c *cursor) number() uint64 {
	v, n := binary.Uvarint(c.text)
	if n <= 0 {
		c.failed = true
		return 0
	}
	c.text = c.text[n:]
	return v
}

func (c *cursor) bytes(n int) []byte {
	if n > len(c.text) {
		c.failed = true
		return nil
	}
	b := c.text[:n]
	c.text = c.text[n:]
	return b
}
