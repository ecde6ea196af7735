package policy

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/gate/agree"
)

// careless denies with a text, and has a rule that never fires: versions before
// the one that found that let it in.
func careless(word string) []File {
	return source("package digestgate\n\ndeny contains \"" + word + "\" if input.image.size >= 0\n\ndeny contains \"user\" if not input.image.config.user\n")
}

// before puts files in force as an earlier version did.
func (s *site) before(files []File) agree.Activation {
	s.t.Helper()
	a, err := NewActivations(s.store, "earlier", "v0").Activate(context.Background(), files)
	if err != nil {
		s.t.Fatal(err)
	}
	return a
}

func (p *process) mustBeOutdated(what string, want bool) {
	p.site.t.Helper()
	st := p.Status()
	said := strings.Contains(strings.Join(st.Problems(), "\n"), "`not input.image.config.user` never holds")
	if (st.Outdated != "") != want || said != want {
		p.site.t.Errorf("%s: outdated %q, problems %v; want %t", what, st.Outdated, st.Problems(), want)
	}
}

// TestUpgradeKeepsWhatIsInForce, for one process on a store of its own (SQLite)
// and for several on a shared one.
func TestUpgradeKeepsWhatIsInForce(t *testing.T) {
	for _, alone := range []bool{true, false} {
		s := newShared(t)
		s.before(careless("old"))
		p := s.process("a", "")
		p.alone, p.trial = alone, selfTrial(t, time.Minute)
		write(t, p.files, careless("old")...)
		p.mustStart()
		p.want("upgraded", "old", 1, false)
		p.mustBeOutdated("upgraded", true)
		if !strings.Contains(p.said.String(), "level=ERROR msg=\"this version finds mistakes in the policies in force") {
			t.Errorf("alone %t: it was not said:\n%s", alone, &p.said)
		}

		// The new refusals hold for every new set, also the smallest change.
		write(t, p.files, careless("changed")...)
		if err := p.Reload(t.Context()); !errors.Is(err, gate.ErrInvalid) || !strings.Contains(err.Error(), "never holds") || p.says() != "old" {
			t.Errorf("alone %t: a change: got %v, says %q", alone, err, p.says())
		}
		if st := p.Status(); !strings.Contains(st.Error, "never holds") || st.Activation != 1 {
			t.Errorf("alone %t: status after a change: %+v", alone, st)
		}
		write(t, p.files, careless("old")...)
		p.want("undone", "old", 1, false)

		p.write("new")
		p.want("corrected", "new", 2, false)
		p.mustBeOutdated("corrected", false)

		// What was in force before is no exception.
		write(t, p.files, careless("old")...)
		if err := p.Reload(t.Context()); err == nil || p.says() != "new" || s.active().Number != 2 {
			t.Errorf("alone %t: going back: got %v, says %q", alone, err, p.says())
		}
	}
}

func TestFirstStartIsStrict(t *testing.T) {
	for _, alone := range []bool{true, false} {
		s := newShared(t)
		p := s.process("a", "")
		p.alone = alone
		write(t, p.files, careless("new")...)
		if err := p.start(); !errors.Is(err, gate.ErrInvalid) || !strings.Contains(err.Error(), "never holds") {
			t.Errorf("alone %t: got %v, want the mistake", alone, err)
		}
		if _, ok, _ := NewActivations(s.store, "", "").Active(t.Context()); ok {
			t.Errorf("alone %t: it was put in force", alone)
		}
	}
	// With one process the files are a new set also when another was in force.
	s := newShared(t)
	s.before(careless("old"))
	p := s.process("a", "")
	p.alone = true
	write(t, p.files, careless("new")...)
	if err := p.start(); !errors.Is(err, gate.ErrInvalid) {
		t.Errorf("other files: got %v, want the mistake", err)
	}
}

// TestUpgradeOfOneOfMany: a process whose own files are refused by this version
// only follows the others, as it did before; one whose files were always wrong
// does not start, as before.
func TestUpgradeOfOneOfMany(t *testing.T) {
	s := newShared(t)
	s.before(careless("old"))
	s.before(careless("theirs"))
	p := s.process("a", "")
	write(t, p.files, careless("old")...)
	p.mustStart()
	if st := p.Status(); p.says() != "theirs" || !strings.Contains(st.Error, "never holds") || s.active().Number != 2 {
		t.Errorf("says %q, status %+v", p.says(), st)
	}
	p.mustBeOutdated("what the others have", true)
	// It follows: a set of an earlier version that is activated elsewhere, too.
	s.before(careless("next"))
	if err := p.Follow(t.Context()); err != nil || p.says() != "next" {
		t.Errorf("says %q, %v", p.says(), err)
	}
	p.mustBeOutdated("followed", true)

	b := s.process("b", "")
	write(t, b.files, denying(`input.nonsense`)...)
	if err := b.start(); err == nil {
		t.Error("started with files that never loaded")
	}
}

// TestWarningsDoNotComeBack: a set that was in force when it was found, and is no
// longer, is not activated, whatever else would speak for it.
func TestWarningsDoNotComeBack(t *testing.T) {
	s := newShared(t)
	s.before(careless("old"))
	p := s.process("a", "")
	write(t, p.files, careless("old")...)
	// As if it were a way back.
	if err := os.MkdirAll(filepath.Join(p.data, "policies"), 0o700); err != nil {
		t.Fatal(err)
	}
	remembered := `{"store":"here","files":"` + string(contentOf(denying(`"other"`))) + `","since":100}`
	if err := os.WriteFile(filepath.Join(p.data, "policies", "active.json"), []byte(remembered), 0o600); err != nil {
		t.Fatal(err)
	}
	p.trial = func(context.Context, []File) (Problems, error) {
		p.trial = nil
		s.before(careless("theirs"))
		return nil, nil
	}
	p.mustStart()
	if p.says() != "theirs" || s.active().Number != 2 {
		t.Errorf("says %q of activation %d", p.says(), s.active().Number)
	}
}

// TestUpgradeAfterALoss: what the process remembers was in force as well.
func TestUpgradeAfterALoss(t *testing.T) {
	s := newShared(t)
	s.before(careless("old"))
	p := s.process("a", "")
	write(t, p.files, careless("old")...)
	p.mustStart()
	s.store.put(nil)
	p.mustStart()
	p.want("after the loss", "old", 1, false)
	p.mustBeOutdated("after the loss", true)
}

// TestAskingAfterAnUpgrade: commands that only ask decide as the server does.
func TestAskingAfterAnUpgrade(t *testing.T) {
	s := newShared(t)
	s.before(careless("old"))
	p := s.process("a", "")
	p.alone, p.observe = true, true
	write(t, p.files, careless("old")...)
	p.mustStart()
	if got := p.says(); got != "old" {
		t.Errorf("says %q", got)
	}
	write(t, p.files, careless("new")...)
	if err := p.start(); !errors.Is(err, gate.ErrInvalid) {
		t.Errorf("files that are not in force: got %v", err)
	}
	p.write("ours")
	if p.mustStart(); p.says() != "ours" || s.active().Number != 1 {
		t.Errorf("says %q of activation %d, want what the files say, and nothing activated", p.says(), s.active().Number)
	}
}

// misprinting prints %! where only an evaluation shows it.
var misprinting = source(`package digestgate

deny contains {"rule": "age", "msg": sprintf(concat(" ", ["%s", "days"]), [input.image.size])} if {
	input.image.size >= 0
}
`)

// TestMisprintsInTheTrial: a new set is refused, one in force warned of.
func TestMisprintsInTheTrial(t *testing.T) {
	warnings, err := selfTrial(t, time.Minute)(t.Context(), misprinting)
	if err != nil || len(warnings) != 1 || warnings[0].Row != 3 || !strings.Contains(warnings[0].Text, `sprintf("%s days", …) prints %!: %s does not print a whole number`) {
		t.Fatalf("trial: got %v, %v", warnings, err)
	}
	for _, inForce := range []bool{false, true} {
		s := newShared(t)
		if inForce {
			s.before(misprinting)
		}
		p := s.process("a", "")
		p.trial = selfTrial(t, time.Minute)
		write(t, p.files, misprinting...)
		err := p.start()
		if inForce && (err != nil || !strings.Contains(p.Status().Outdated, "%s does not print")) || !inForce && !errors.Is(err, gate.ErrInvalid) {
			t.Errorf("in force %t: got %v", inForce, err)
		}
	}
}
