package gate

import (
	"errors"
	"fmt"
	"testing"
)

func TestSentence(t *testing.T) {
	two := errors.Join(errors.New("name: empty"), errors.New("type: empty"))
	for want, err := range map[string]error{
		"url: got x, want y":             fmt.Errorf("url: got x, want y: %w", ErrInvalid),
		"trying it: the output is empty": fmt.Errorf("trying it: %w", fmt.Errorf("the output is empty: %w", ErrInvalid)),
		"name: empty\ntype: empty":       errors.Join(two, ErrInvalid),
		"it waits: taken":                fmt.Errorf("it waits: taken: %w: %w", ErrConflict, ErrInvalid),
		"invalid input":                  ErrInvalid,
		"it says: invalid input":         errors.New("it says: invalid input"), // the words of another
		"reading \"x\": not found":       fmt.Errorf("reading %q: %w", "x", ErrNotFound),
		"there is no target x":           Refuse(ErrNotFound, "there is no target %s", "x"),
	} {
		if got := Sentence(err); got != want {
			t.Errorf("Sentence(%q): got %q, want %q", err, got, want)
		}
	}
	if err := Refuse(ErrConflict, "taken"); !errors.Is(err, ErrConflict) {
		t.Errorf("Refuse(ErrConflict): %v is not of its class", err)
	}
}
