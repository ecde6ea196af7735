package agree_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/gate/agree"
	"github.com/digestgate/digestgate/gate/agree/agreetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// numbered makes contents that a kind keeps in the store.
func numbered(t *testing.T) func(n int) agree.Content {
	return func(n int) agree.Content {
		c, err := agree.PackJSON([]string{fmt.Sprint("content ", n)})
		if err != nil {
			t.Fatal(err)
		}
		c.UpdatedAt = time.Date(2026, 11, 1, n, 0, 0, 0, time.UTC)
		return c
	}
}

// TestKinds: the contract holds for either rule, put back or activated again.
func TestKinds(t *testing.T) {
	words := agree.Words{What: "things", Here: "the file here", Number: "number", InUse: "things in force", Messages: agree.Messages{
		Activated: "things activated", Differs: "other things here", PutBack: "things put back", Forgotten: "things not remembered", NotLoaded: "things do not load", Unknown: "things unknown",
	}}
	for name, k := range map[string]agree.Kind{
		"history":          {Wins: agree.ByHistory, PutBack: true},
		"time_with_format": {Wins: agree.ByTime, Format: 3},
		"time_put_back":    {Wins: agree.ByTime, PutBack: true},
	} {
		k.Setting, k.File, k.Words = "things/active", "things/active.json", words
		t.Run(name, func(t *testing.T) { agreetest.Run(t, agreetest.Harness{Kind: k, Content: numbered(t)}) })
	}
}

// TestFormer: what was in force before is remembered once, with its last
// number, and no more of it than has room.
func TestFormer(t *testing.T) {
	content := func(word string) agree.Content {
		c, err := agree.PackJSON(word)
		if err != nil {
			t.Fatal(err)
		}
		c.Packed = nil
		return c
	}
	in := agree.NewActivations(agree.NewOwnStore(time.Now), exceptionsKind, "", "")
	var a agree.Activation
	put := func(word string) {
		t.Helper()
		var err error
		if a, _, err = in.Activate(t.Context(), content(word), 0, nil); err != nil {
			t.Fatal(err)
		}
	}
	for _, word := range strings.Fields("a b a c") {
		put(word)
	}
	for word, want := range map[string]int64{"a": 3, "b": 2, "c": 4, "d": 0} {
		if got := a.Last(content(word).Digest); got != want {
			t.Errorf("%s: got number %d, want %d", word, got, want)
		}
	}
	if len(a.Former) != 2 {
		t.Errorf("got %d former contents, want a and b", len(a.Former))
	}
	const maxFormer = 128
	for i := range 2 * maxFormer {
		put(fmt.Sprint("x", i))
	}
	if len(a.Former) != maxFormer || a.Last(content("a").Digest) != 0 || a.Former[0].Number != a.Number-1 {
		t.Errorf("got %d former contents, the first of number %d before %d", len(a.Former), a.Former[0].Number, a.Number)
	}
	text, err := json.Marshal(a)
	if err != nil || len(text) > 16<<10 {
		t.Errorf("the history takes %d bytes, %v", len(text), err)
	}
}

// TestPackJSON: what was damaged is not unpacked.
func TestPackJSON(t *testing.T) {
	c, err := agree.PackJSON([]string{"one"})
	if err != nil {
		t.Fatal(err)
	}
	a := agree.Activation{Number: 1, Content: c.Digest, Packed: c.Packed}
	if got, err := agree.UnpackJSON[[]string](a); err != nil || len(got) != 1 || got[0] != "one" {
		t.Errorf("got %q, %v", got, err)
	}
	other, err := agree.PackJSON([]string{"two"})
	if err != nil {
		t.Fatal(err)
	}
	for name, packed := range map[string][]byte{"another": other.Packed, "cut": c.Packed[:len(c.Packed)-1], "none": nil} {
		a.Packed = packed
		if got, err := agree.UnpackJSON[[]string](a); !errors.Is(err, gate.ErrInvalid) {
			t.Errorf("%s: got %q, %v", name, got, err)
		}
	}
}

// TestAlone: without others what is found here is in force, also what was before.
func TestAlone(t *testing.T) {
	k, content := exceptionsKind, numbered(t)
	k.Alone, k.File = true, ""
	store := agree.NewOwnStore(time.Now)
	for i, n := range []int{1, 2, 1, 1, 2} {
		m := agree.NewMember(agree.Options{Kind: k, Store: store, DataDir: t.TempDir()})
		c := content(n)
		view, err := m.Look(t.Context(), &c)
		if want := []int64{1, 2, 3, 3, 4}[i]; err != nil || view.Active.Number != want || view.Active.Content != c.Digest || view.Differs {
			t.Errorf("look %d: got %+v, %v, want number %d", i, view, err, want)
		}
	}
}
