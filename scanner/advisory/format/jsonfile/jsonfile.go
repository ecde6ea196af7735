// Package jsonfile reads JSON files that are too large to be held in memory: first what a
// file is, by its top-level keys, then its elements or members one by one. It knows no
// format. Its functions are safe for concurrent use.
package jsonfile

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/digestgate/digestgate/gate"
)

// Limits bound what is held of a file.
type Limits struct {
	// Value is the most bytes of one token, element or member.
	Value int64
	// Depth is how deep values may be nested.
	Depth int
	// Keys is the most keys of the top level that are listed.
	Keys int
}

// Or fills in what is not set: a value may have 64 MiB, as an entry of an archive.
func (l Limits) Or() Limits {
	if l.Value == 0 {
		l.Value = 64 << 20
	}
	if l.Depth == 0 {
		l.Depth = 200
	}
	if l.Keys == 0 {
		l.Keys = 32
	}
	return l
}

// Head is what the top level of a file is.
type Head struct {
	List bool // of elements; else an object
	// Keys are the first keys of an object, in their order.
	Keys []string
}

// Look reads a file to its end and says what it is. Errors: gate.ErrInvalid (it is not one
// JSON value, or a plain one), gate.ErrTooLarge, those of the reader.
func Look(r io.Reader, l Limits) (Head, error) {
	w := newWalk(r, l)
	t, err := w.token()
	if err != nil {
		return Head{}, err
	}
	switch t {
	case json.Delim('['):
		for w.dec.More() {
			if err := w.skip(); err != nil {
				return Head{}, err
			}
		}
		return Head{List: true}, w.end()
	case json.Delim('{'):
	default:
		return Head{}, fmt.Errorf("parsing JSON: want an object or a list: %w", gate.ErrInvalid)
	}
	var h Head
	for w.dec.More() {
		t, err := w.token()
		if err != nil {
			return Head{}, err
		}
		if key, ok := t.(string); ok && len(h.Keys) < w.limits.Keys {
			h.Keys = append(h.Keys, key)
		}
		if err := w.skip(); err != nil {
			return Head{}, err
		}
	}
	return h, w.end()
}

// Elements calls fn with each element of a file that is a list. Errors: as for [Look], and
// those of fn.
func Elements(r io.Reader, l Limits, fn func(i int, element json.RawMessage) error) error {
	w := newWalk(r, l)
	if err := w.begins('['); err != nil {
		return err
	}
	for i := 0; w.dec.More(); i++ {
		raw, err := w.value()
		if err != nil {
			return fmt.Errorf("entry %d: %w", i, err)
		}
		if err := fn(i, raw); err != nil {
			return fmt.Errorf("entry %d: %w", i, err)
		}
	}
	return w.end()
}

// Members calls fn with each member of a file that is an object, in their order; a key that
// is there twice is handed on twice. Errors: as for [Look], and those of fn.
func Members(r io.Reader, l Limits, fn func(key string, value json.RawMessage) error) error {
	w := newWalk(r, l)
	if err := w.begins('{'); err != nil {
		return err
	}
	for w.dec.More() {
		t, err := w.token()
		if err != nil {
			return err
		}
		key, _ := t.(string)
		raw, err := w.value()
		if err != nil {
			return fmt.Errorf("key %s: %w", gate.Quoted(key, 60), err)
		}
		if err := fn(key, raw); err != nil {
			return err
		}
	}
	return w.end()
}

// walk is a decoder that holds no more of a file than the limits allow.
type walk struct {
	limits Limits
	dec    *json.Decoder
	in     *ahead
}

func newWalk(r io.Reader, l Limits) *walk {
	w := &walk{limits: l.Or(), in: &ahead{r: r}}
	w.dec = json.NewDecoder(w.in)
	w.in.most = func() int64 { return w.dec.InputOffset() + w.limits.Value }
	return w
}

// ahead refuses to read further ahead of what was decoded than the limit: the decoder keeps
// in memory what it has read and not decoded.
type ahead struct {
	r    io.Reader
	n    int64
	most func() int64
}

// Read implements io.Reader.
func (a *ahead) Read(p []byte) (int, error) {
	if a.n > a.most() {
		return 0, fmt.Errorf("a value has more than %s: %w", gate.ByteSize(a.n-a.most()), gate.ErrTooLarge)
	}
	n, err := a.r.Read(p)
	a.n += int64(n)
	return n, err
}

// invalid is an error of the decoder; those of the reader have a class already.
func invalid(err error) error {
	switch {
	case errors.Is(err, gate.ErrTooLarge), errors.Is(err, gate.ErrInvalid):
		return err
	case errors.Is(err, io.EOF):
		err = io.ErrUnexpectedEOF
	}
	return fmt.Errorf("parsing JSON: %w: %w", err, gate.ErrInvalid)
}

func (w *walk) token() (json.Token, error) {
	t, err := w.dec.Token()
	if err != nil {
		return nil, invalid(err)
	}
	return t, nil
}

func (w *walk) begins(d json.Delim) error {
	t, err := w.token()
	if err == nil && t != d {
		err = fmt.Errorf("parsing JSON: want %s at the beginning: %w", d, gate.ErrInvalid)
	}
	return err
}

// value reads one value whole.
func (w *walk) value() (raw json.RawMessage, err error) {
	if err := w.dec.Decode(&raw); err != nil {
		return nil, invalid(err)
	}
	return raw, nil
}

// skip reads a value that nobody wants, piece by piece.
func (w *walk) skip() error {
	for depth := 0; ; {
		t, err := w.token()
		if err != nil {
			return err
		}
		switch t {
		case json.Delim('{'), json.Delim('['):
			if depth++; depth > w.limits.Depth {
				return fmt.Errorf("values are nested more than %d deep: %w", w.limits.Depth, gate.ErrTooLarge)
			}
		case json.Delim('}'), json.Delim(']'):
			depth--
		}
		if depth == 0 {
			return nil
		}
	}
}

// end reads the end of the top level, after which nothing may follow.
func (w *walk) end() error {
	if _, err := w.token(); err != nil {
		return err
	}
	switch _, err := w.dec.Token(); {
	case errors.Is(err, io.EOF):
		return nil
	case err != nil:
		return invalid(err)
	}
	return fmt.Errorf("parsing JSON: something follows the document: %w", gate.ErrInvalid)
}
