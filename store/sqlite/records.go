package sqlite

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"

	"github.com/digestgate/digestgate/gate"
)

const recordColumns = `digest, version, epoch, body, crc`

// record is a row of records. What is stored as JSON is gate's record without
// its locations, which have rows of their own.
type record struct {
	digest         gate.Digest
	version, epoch int64
	body           body
	damage         error // why the body cannot be read
}

type body struct {
	gate.Record
	// Tried says why an analysis found the digest unassessable. It stands apart
	// from the manifest, whose repeated reads know nothing of it.
	Tried string `json:"tried,omitempty"`
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func checksum(d gate.Digest, text string) uint32 {
	return crc32.Update(crc32.Checksum([]byte(d), castagnoli), castagnoli, []byte(text))
}

func scanRecord(row scanner) (record, error) {
	var r record
	var text string
	var crc uint32
	if err := row.Scan(&r.digest, &r.version, &r.epoch, &text, &crc); err != nil {
		return record{}, err
	}
	r.damage = r.decode(text, crc)
	if r.damage != nil {
		r.body = body{}
	}
	r.body.Digest = r.digest
	return r, nil
}

func (r *record) decode(text string, crc uint32) error {
	if crc != checksum(r.digest, text) {
		return errors.New("checksum does not match")
	}
	if text == "" {
		return nil
	}
	if err := json.Unmarshal([]byte(text), &r.body); err != nil {
		return err
	}
	if r.body.Digest != r.digest {
		return fmt.Errorf("it is that of %q", gate.Printable(string(r.body.Digest), 100))
	}
	return nil
}

// shown is the record as gate knows it.
func (r *record) shown() gate.Record {
	out := r.body.Record
	out.Version, out.Epoch = r.version, r.epoch
	if out.Manifest.Unassessable == "" {
		out.Manifest.Unassessable = r.body.Tried
	}
	return out
}

// update changes the record of one digest: fn gets it, empty when it is
// unknown or cannot be read, and says whether it changed anything.
func update[T any](ctx context.Context, s *Store, what string, d gate.Digest, fn func(*tx, *record) (T, bool, error)) (T, error) {
	var zero T
	what = fmt.Sprintf("%s %s", what, gate.Printable(string(d), 100))
	if !d.Valid() {
		return zero, fmt.Errorf("%s: %w", what, gate.ErrDigestInvalid)
	}
	return write(ctx, s, what, func(t *tx) (T, error) {
		r, err := scanRecord(t.row(`SELECT `+recordColumns+` FROM records WHERE digest = ?`, string(d)))
		if errors.Is(err, sql.ErrNoRows) {
			r, err = record{digest: d, body: body{Record: gate.Record{Digest: d}}}, nil
		}
		if err != nil {
			return zero, err
		}
		if r.damage != nil {
			s.damaged("record", d, r.damage)
		}
		value, changed, err := fn(t, &r)
		if err != nil {
			if classified(err) {
				err = fmt.Errorf("%s: %w", what, err)
			}
			return zero, err
		}
		if !changed {
			return value, nil
		}
		return value, t.saveRecord(&r)
	})
}

func (t *tx) saveRecord(r *record) error {
	r.body.Version, r.body.Epoch, r.body.Locations = 0, 0, nil // they have columns and rows of their own
	text, err := json.Marshal(r.body)
	if err != nil {
		return err
	}
	err = t.exec(`INSERT INTO records (digest, version, epoch, body, crc) VALUES (?1, ?2, ?3, ?4, ?5)
		ON CONFLICT (digest) DO UPDATE SET version = ?2, epoch = ?3, body = ?4, crc = ?5`,
		string(r.digest), r.version+1, r.epoch, string(text), int64(checksum(r.digest, string(text))))
	if err != nil {
		return err
	}
	return t.change(gate.ChangeRecord, string(r.digest))
}

// fence refuses a write of an epoch that another claim has overtaken, and
// announces the epoch otherwise.
func (r *record) fence(epoch int64) error {
	if epoch < r.epoch {
		return fmt.Errorf("epoch %d has announced itself, this is %d: %w", r.epoch, epoch, gate.ErrFenced)
	}
	r.epoch = epoch
	return nil
}

type none = struct{}

// Fence announces a claim.
func (s *Store) Fence(ctx context.Context, d gate.Digest, epoch int64) error {
	_, err := update(ctx, s, "fencing", d, func(_ *tx, r *record) (none, bool, error) {
		before := r.epoch
		err := r.fence(epoch)
		return none{}, r.epoch != before, err
	})
	return err
}

// PutManifest stores what a manifest is.
func (s *Store) PutManifest(ctx context.Context, m gate.Manifest) error {
	_, err := update(ctx, s, "storing the manifest of", m.Digest, func(_ *tx, r *record) (none, bool, error) {
		before, err := json.Marshal(r.body.Manifest)
		if err != nil {
			return none{}, false, err
		}
		after, err := json.Marshal(m)
		if err != nil {
			return none{}, false, err
		}
		r.body.Manifest = m
		return none{}, !bytes.Equal(before, after), nil
	})
	return err
}

// PutUnassessable records that an analysis found the digest unassessable.
func (s *Store) PutUnassessable(ctx context.Context, d gate.Digest, epoch int64, reason string) error {
	_, err := update(ctx, s, "recording as unassessable", d, func(_ *tx, r *record) (none, bool, error) {
		if reason == "" {
			return none{}, false, fmt.Errorf("without a reason: %w", gate.ErrInvalid)
		}
		if err := r.fence(epoch); err != nil {
			return none{}, false, err
		}
		r.body.Tried = reason
		return none{}, true, nil
	})
	return err
}
