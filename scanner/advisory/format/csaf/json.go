package csaf

import (
	"encoding/json"
	"fmt"

	"github.com/digestgate/digestgate/gate"
)

// object reads an object and calls fn with each key; fn reads the value.
func (p *walker) object(fn func(key string) error) error {
	if ok, err := p.begins('{', "an object"); !ok || err != nil {
		return err
	}
	for p.dec.More() {
		t, err := p.dec.Token()
		if err != nil {
			return err
		}
		key, _ := t.(string)
		if err := fn(key); err != nil {
			return err
		}
	}
	_, err := p.dec.Token()
	return err
}

// array reads an array and calls fn before each element, which fn reads.
func (p *walker) array(fn func(i int) error) error {
	if ok, err := p.begins('[', "a list"); !ok || err != nil {
		return err
	}
	for i := 0; p.dec.More(); i++ {
		if err := fn(i); err != nil {
			return err
		}
	}
	_, err := p.dec.Token()
	return err
}

// begins reads the begin of an object or array; ok is false for null, which is none.
func (p *walker) begins(d json.Delim, what string) (ok bool, err error) {
	t, err := p.dec.Token()
	switch {
	case err != nil:
		return false, err
	case t == nil:
		return false, nil
	case t != d:
		return false, fmt.Errorf("offset %d: want %s: %w", p.dec.InputOffset(), what, gate.ErrInvalid)
	}
	return true, nil
}

// skip reads a value that nobody wants, piece by piece.
func (p *walker) skip() error {
	for depth := 0; ; {
		t, err := p.dec.Token()
		if err != nil {
			return err
		}
		switch t {
		case json.Delim('{'), json.Delim('['):
			if depth++; depth > p.limits.Depth {
				return p.tooLarge("values are nested more than %d deep", p.limits.Depth)
			}
		case json.Delim('}'), json.Delim(']'):
			depth--
		}
		if depth == 0 {
			return nil
		}
	}
}

func (p *walker) count(n *int, limit int, what string) error {
	if *n++; *n > limit {
		return p.tooLarge("there are more than %d %s", limit, what)
	}
	return nil
}

func (p *walker) tooLarge(text string, args ...any) error {
	return fmt.Errorf("offset %d: %s: %w", p.dec.InputOffset(), fmt.Sprintf(text, args...), gate.ErrTooLarge)
}
