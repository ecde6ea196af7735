package gate_test

import (
	"context"
	"errors"
	"testing"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/gate/standing"
)

// tableChange are tables that a test changes.
type tableChange struct {
	revision string
	touched  map[gate.Digest]bool
	err      error
	asked    int
}

func (c *tableChange) Revision() string { return c.revision }

func (c *tableChange) Untouched(context.Context) (func([32]byte, uint64) bool, error) {
	c.asked++
	if c.touched == nil || c.err != nil {
		return nil, c.err
	}
	touched := map[[32]byte]bool{}
	for d := range c.touched {
		hash, _ := d.Hash()
		touched[hash] = true
	}
	c.touched = nil
	return func(digest [32]byte, _ uint64) bool { return !touched[digest] }, nil
}

// TestSweepEvaluatesWhatTablesTouch: of many images, those that a change of EPSS, KEV, VEX
// or ends of life touches.
func TestSweepEvaluatesWhatTablesTouch(t *testing.T) {
	onBothStores(t, func(t *testing.T, s *site) {
		change := &tableChange{revision: "one"}
		s.standing.Joined = change
		all, e, sweeper, _ := s.settled(5)
		sweep := func(name string, evaluated int) {
			t.Helper()
			e.evaluated.Store(0)
			swept := s.rematch(sweeper)
			if swept.Evaluated != evaluated || swept.Skipped != len(all)-evaluated || swept.Matched != 0 || e.evaluated.Load() != int64(evaluated) {
				t.Errorf("%s: %+v with %d evaluations, want %d", name, swept, e.evaluated.Load(), evaluated)
			}
		}
		sweep("nothing", 0)
		change.revision, change.touched = "two", map[gate.Digest]bool{all[1]: true, all[3]: true}
		sweep("two images", 2)
		sweep("and again nothing", 0)
		change.revision, change.touched = "three", map[gate.Digest]bool{}
		sweep("a table that touches nothing", 0)
		change.err = errors.New("the catalog is away")
		sweep("what it touches is not known", 5)
		change.err = nil
		sweep("it is known", 0)
		if change.asked != 7 {
			t.Errorf("asked %d times, want once in each sweep", change.asked)
		}
	})
}

// movingTables change while an image is evaluated.
type movingTables struct {
	standing.Evaluator
	change *tableChange
}

func (m *movingTables) Evaluate(ctx context.Context, q gate.Question) gate.Decision {
	d := m.Evaluator.Evaluate(ctx, q)
	m.change.revision += "+"
	return d
}

// TestTablesMoveUnderASweep: a verdict that may be by tables of before is not kept.
func TestTablesMoveUnderASweep(t *testing.T) {
	s := newSite(t, month(0))
	change := &tableChange{revision: "one"}
	s.standing.Joined = change
	_, e, sweeper, _ := s.settled(1)
	s.standing.Evaluator = &movingTables{e, change}
	change.touched = map[gate.Digest]bool{}
	e.revision = "sha256:other"
	if swept := s.rematch(sweeper); swept.Evaluated != 1 {
		t.Fatalf("%+v, want it evaluated", swept)
	}
	s.standing.Evaluator = e
	if swept := s.rematch(sweeper); swept.Evaluated != 1 {
		t.Errorf("%+v, want it evaluated again", swept)
	}
}
