package gate_test

import (
	"context"
	"fmt"
	"sync"
	"testing"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/gate/lookup"
	"github.com/digestgate/digestgate/gate/standing"
)

// TestVerdictsGoOnWithoutAdvisories: what is known is decided, also for a new
// location and by the sweep.
func TestVerdictsGoOnWithoutAdvisories(t *testing.T) {
	s := newSite(t, month(0))
	d := s.push("team/app", "v1", 1)
	s.push("team/copy", "v1", 1)
	s.event("team/app", "v1", d)
	s.work()
	s.matcher.loaded = false
	s.event("team/copy", "v1", d)
	s.work()
	at, _ := s.entry(d).Record.At(gate.Location{Registry: hub, Repository: "team/copy"})
	if at.Verdict.Outcome == "" {
		t.Error("no standing verdict at a new location of a known image")
	}
	swept, err := s.sweeper(listed{d}).Rematch(s.ctx)
	if err != nil || swept.Evaluated != 1 {
		t.Errorf("sweep without advisories: got %+v, %v, want one verdict renewed", swept, err)
	}
	fresh := s.push("team/app", "v2", 2)
	s.event("team/app", "v2", fresh)
	s.work()
	at, _ = s.entry(fresh).Record.At(gate.Location{Registry: hub, Repository: "team/app"})
	if at.Verdict.Outcome != gate.OutcomeNone || at.Verdict.Code != gate.CodePending {
		t.Errorf("new image without advisories: got %+v, want no verdict, PENDING", at.Verdict)
	}
}

// lost is a store whose inventory of a digest cannot be read any more.
type lost struct {
	records
	mu   sync.Mutex
	gone gate.Digest
}

func (l *lost) Inventory(ctx context.Context, d gate.Digest) (*gate.Inventory, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if d == l.gone {
		return nil, fmt.Errorf("it is damaged: %w", gate.ErrNotFound)
	}
	return l.records.Inventory(ctx, d)
}

func (l *lost) PutInventory(ctx context.Context, epoch int64, inv *gate.Inventory) (gate.Written, error) {
	l.mu.Lock()
	l.gone = ""
	l.mu.Unlock()
	return l.records.PutInventory(ctx, epoch, inv)
}

// TestLostInventoryIsMadeAgain: a value that reads as absent is analysed again
// at the next push, free of charge, and is no word of the registry's about the
// tag.
func TestLostInventoryIsMadeAgain(t *testing.T) {
	s := newSite(t, month(0))
	d := s.push("team/app", "v1", 1)
	s.event("team/app", "v1", d)
	s.work()
	s.keepIn(&lost{records: s.store, gone: d})
	s.matcher.activate(2) // so that the inventory is needed
	s.event("team/app", "v1", d)
	for key, job := range s.work() {
		if job.State != gate.JobDone {
			t.Errorf("job %s: got %s (%s), want done", key, job.State, job.Error)
		}
	}
	key := gate.TagKey{Location: gate.Location{Registry: hub, Repository: "team/app"}, Tag: "v1"}
	res, err := s.store.Read(s.ctx, gate.ReadRequest{Tags: []gate.TagKey{key}})
	if err != nil || res.Tags[key].Gone || res.Tags[key].Digest != d {
		t.Errorf("tag: got %+v, %v", res.Tags[key], err)
	}
	if n, use := s.analyzer.count(), s.used(); n != 2 || use.Used != 1 || s.entry(d).Record.Generation != 2 {
		t.Errorf("analyses %d, used %d, generation %d; want 2, 1, 2", n, use.Used, s.entry(d).Record.Generation)
	}
}

// TestLocationOfARegistryThatIsNotConfiguredAnyMore does not keep the image
// from being analysed elsewhere.
func TestLocationOfARegistryThatIsNotConfiguredAnyMore(t *testing.T) {
	s := newSite(t, month(0))
	d := s.push("team/app", "v1", 1)
	s.event("team/app", "v1", d)
	s.analyzer.fail = func(req gate.AnalyzeRequest) error {
		if req.Location.Registry == "former" {
			return fmt.Errorf("registry %q: %w", req.Location.Registry, gate.ErrRegistryNotTrusted)
		}
		return nil
	}
	_, _, err := s.store.Enqueue(s.ctx, gate.JobRequest{
		Kind: gate.JobAnalyze, Location: gate.Location{Registry: "former", Repository: "team/app"}, Digest: d, Trigger: gate.TriggerRescan,
	})
	if err != nil {
		t.Fatal(err)
	}
	s.work()
	if got := s.entry(d).State(); got != gate.StateScanned {
		t.Errorf("got %s, want scanned", got)
	}
}

// TestVerdictKnowsTheTagThatWasJustConfirmed: rules about tags speak at once,
// not at the next sweep.
func TestVerdictKnowsTheTagThatWasJustConfirmed(t *testing.T) {
	s := newSite(t, month(0))
	seen := &tagsSeen{Evaluator: s.standing.Evaluator}
	s.standing.Evaluator = seen
	s.standing.Tags = func(ctx context.Context, d gate.Digest, loc gate.Location) []string {
		var tags []string
		for _, tag := range []string{"v1", "v2"} {
			key := gate.TagKey{Location: loc, Tag: tag}
			res, err := s.store.Read(ctx, gate.ReadRequest{Tags: []gate.TagKey{key}})
			if err == nil && res.Tags[key].Digest == d {
				tags = append(tags, tag)
			}
		}
		return tags
	}
	d := s.push("team/app", "v1", 1)
	s.event("team/app", "v1", d)
	s.work()
	s.push("team/app", "v2", 1)
	s.event("team/app", "v2", d)
	s.work()
	if got := fmt.Sprint(seen.last); got != "[v1 v2]" {
		t.Errorf("the last standing verdict was asked for tags %s, want [v1 v2]", got)
	}
}

type tagsSeen struct {
	standing.Evaluator
	last []string
}

func (e *tagsSeen) Evaluate(ctx context.Context, q gate.Question) gate.Decision {
	e.last = q.Tags
	return e.Evaluator.Evaluate(ctx, q)
}

// silent is an evaluator with a bug: it has no answer for one digest.
type silent struct {
	standing.Evaluator
	about gate.Digest
}

func (e silent) Evaluate(ctx context.Context, q gate.Question) gate.Decision {
	if q.Digest == e.about {
		return gate.Decision{}
	}
	return e.Evaluator.Evaluate(ctx, q)
}

// TestIndexWithAChildWithoutAnswer: the zero value is worse than an allow, for
// every position of the child.
func TestIndexWithAChildWithoutAnswer(t *testing.T) {
	s := newSite(t, month(0))
	index, children := s.pushIndex("team/app", "multi")
	s.event("team/app", "multi", index)
	s.work()
	engine := s.standing.Evaluator
	for _, child := range children {
		s.standing.Evaluator = silent{engine, child}
		if a := s.ask(s.lookup(lookup.Options{}), s.at("team/app", "@"+string(index))); a.Permits() {
			t.Errorf("a child without an answer: got %+v", a)
		}
	}
}
