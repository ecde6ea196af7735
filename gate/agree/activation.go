package agree

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/digestgate/digestgate/gate"
)

// Activation is what is in force: the value of the setting of a [Kind].
type Activation struct {
	Format int `json:"format,omitempty"`
	// Number is issued by the store: a later activation has a higher one, also
	// one of a content that was in force before.
	Number  int64       `json:"number"`
	Content gate.Digest `json:"content"`
	// UpdatedAt is the time of the content itself, zero where it has none.
	UpdatedAt time.Time `json:"updatedAt,omitzero"`
	// ActivatedAt is the store's time; By names the process, Program the
	// version of the program that had found the content good.
	ActivatedAt time.Time `json:"activatedAt"`
	By          string    `json:"by,omitempty"`
	Program     string    `json:"program,omitempty"`
	// Former are the contents that were in force before, each with its last
	// number, the newest first.
	Former []former `json:"former,omitempty"`
	// Packed is the content where it is kept in the store; see [Unpack].
	Packed []byte `json:"set,omitempty"`
}

type former struct {
	Number  int64       `json:"number"`
	Content gate.Digest `json:"content"`
}

// maxFormer bounds what is remembered of former activations: 14 kB. A content
// that was in force longer ago counts as one that never was.
const maxFormer = 128

// Last is the highest number under which a content was in force, 0 if it never
// was, as far as the store remembers.
func (a Activation) Last(content gate.Digest) int64 {
	if content == a.Content {
		return a.Number
	}
	for _, f := range a.Former {
		if f.Content == content {
			return f.Number
		}
	}
	return 0
}

// Before is what was in force before, under which number; "" for nothing.
func (a Activation) Before() (number int64, content gate.Digest) {
	if len(a.Former) == 0 {
		return 0, ""
	}
	return a.Former[0].Number, a.Former[0].Content
}

// next is the activation of a content after a, with a number above another one;
// its time and authors are left to the caller.
func (a Activation) next(c Content, above int64) Activation {
	n := Activation{Number: max(a.Number, above) + 1, Content: c.Digest, UpdatedAt: c.UpdatedAt, Packed: c.Packed}
	if !c.UpdatedAt.IsZero() {
		n.UpdatedAt = c.UpdatedAt.UTC()
	}
	if a.Number > 0 {
		n.Former = append(n.Former, former{a.Number, a.Content})
	}
	for _, f := range a.Former {
		if f.Content != n.Content && f.Content != a.Content && len(n.Former) < maxFormer {
			n.Former = append(n.Former, f)
		}
	}
	return n
}

// unreadableError says that the value of a setting is none that this version
// reads.
type unreadableError struct {
	setting string
	cause   error
}

func (e *unreadableError) Error() string {
	return fmt.Sprintf("setting %q in the store cannot be read: %v; run the version of digestgate that wrote it, or restore the store", e.setting, e.cause)
}

// Unwrap makes it gate.ErrStoreUnavailable: what is in force is not known.
func (e *unreadableError) Unwrap() []error { return []error{gate.ErrStoreUnavailable, e.cause} }

// IsUnreadable reports whether an error says that what is in force was stored by
// a newer version, or is damaged: it does not pass by itself, as the store's
// being away does.
func IsUnreadable(err error) bool {
	var u *unreadableError
	return errors.As(err, &u)
}

// decode reads a stored value; the error is unreadableError.
func (k Kind) decode(value []byte) (a Activation, err error) {
	if err = json.Unmarshal(value, &a); err == nil {
		err = k.check(a)
	}
	if err != nil {
		return Activation{}, &unreadableError{k.Setting, err}
	}
	return a, nil
}

func (k Kind) check(a Activation) error {
	switch {
	case a.Format != k.Format:
		return fmt.Errorf("it is in format %d, and this version reads format %d", a.Format, k.Format)
	case a.Number <= 0 || !a.Content.Valid():
		return fmt.Errorf("it names no content, or number %d", a.Number)
	}
	return nil
}
