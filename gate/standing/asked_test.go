package standing

import (
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/gate/agree"
	"github.com/digestgate/digestgate/store/sqlite"
)

func numbered(n int) gate.Digest { return gate.Digest(fmt.Sprintf("sha256:%064x", n)) }

// TestAskedIsShared: what one process was asked for, another one sweeps first, also
// after a restart; the value stays small however much is asked for.
func TestAskedIsShared(t *testing.T) {
	st, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "store.db"), sqlite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = st.Close() })
	at := time.Unix(1_790_000_000, 0)
	version := func() int64 {
		_, v, err := st.Setting(t.Context(), agree.SettingAsked)
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	share := func(a *Asked) {
		t.Helper()
		if err := a.Share(t.Context(), st); err != nil {
			t.Fatal(err)
		}
	}
	first, second := new(Asked), new(Asked)
	first.Note(numbered(1), at)
	share(first)
	second.Note(numbered(2), at.Add(time.Minute))
	second.Note(numbered(3), at.Add(2*time.Minute))
	second.Note("sha256:no digest", at.Add(time.Hour))
	share(second)
	want := []gate.Digest{numbered(3), numbered(2), numbered(1)}
	if got, err := new(Asked).Look(t.Context(), st); err != nil || !cmp.Equal(got, want) {
		t.Errorf("a new process: got %v, %v, want %v", got, err, want)
	}

	// What is asked for again and again is not written again and again.
	written := version()
	first.Note(numbered(1), at.Add(askedShared*time.Minute-time.Minute))
	share(first)
	if version() != written {
		t.Error("an image that runs is written more than once an hour")
	}
	first.Note(numbered(1), at.Add(askedShared*time.Minute+askedFine*time.Minute))
	share(first)
	if version() == written {
		t.Error("an image that runs is forgotten")
	}

	for n := range 2 * AskedMost {
		second.Note(numbered(n+10), at.Add(2*time.Hour).Add(time.Duration(n)*time.Minute))
	}
	share(second)
	value, _, err := st.Setting(t.Context(), agree.SettingAsked)
	if err != nil || len(value) > 1<<19 {
		t.Errorf("the setting has %d bytes, %v", len(value), err)
	}
	got, err := first.Look(t.Context(), st)
	if err != nil || len(got) != AskedMost || got[0] != numbered(2*AskedMost+9) {
		t.Errorf("%d digests, %v, the first is %s", len(got), err, got[0])
	}
	if n := len(second.at); n > AskedMost+AskedMost/4 {
		t.Errorf("%d digests are in memory", n)
	}
}

// TestAskedOutlivesAnUnreadableSetting: it orders work only.
func TestAskedOutlivesAnUnreadableSetting(t *testing.T) {
	for _, value := range []string{"", "no JSON", `{"packed":"AAAA"}`} {
		if got, since := unpackAsked([]byte(value)); len(got) != 0 || since != 0 {
			t.Errorf("%q: got %v", value, got)
		}
	}
}
