package storetest

import (
	"errors"
	"fmt"
	"strings"
	"sync"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/gate/history"
)

// historyOrderCases are about the entries of writers that work at once.
var historyOrderCases = []testCase{
	{"of_all_kinds_of_writers_entries_are_a_chain", func(e *env) {
		w := &chainWriters{env: e, id: e.scanned("a", 1), kept: map[string]bool{}}
		for _, loc := range chainPlaces {
			_, err := e.s.AddLocation(e.ctx, digest("a"), loc)
			e.no(err)
		}
		from := e.lastSeq()
		var all sync.WaitGroup
		for k := range 4 {
			all.Go(func() { w.sweep(20) })
			all.Go(func() { w.override(k, 15) })
			all.Go(func() { w.push(k, 15) })
		}
		all.Wait()
		w.check(from)
	}},
}

var chainPlaces = []gate.Location{app, other}

// chainWriters are writers of one digest, with what they were told is written.
type chainWriters struct {
	*env
	id   string
	mu   sync.Mutex
	kept map[string]bool // each change by a name of its own
}

func (w *chainWriters) wrote(name string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.kept[name] = true
}

// done reports whether a write is done; another writer was faster otherwise.
func (w *chainWriters) done(err error) bool {
	if err != nil && !errors.Is(err, gate.ErrConflict) {
		w.Error(err)
	}
	return err == nil
}

// sweep matches with one generation after the other, as a sweep does.
func (w *chainWriters) sweep(generations int64) {
	for g := int64(1); g <= generations; g++ {
		entry, err := gate.ReadEntry(w.ctx, w.s, digest("a"))
		if err != nil {
			w.Error(err)
			return
		}
		if entry.Record.Generation >= g {
			continue
		}
		f := w.changing("a", w.id, g)
		f.Change.Findings.Before.Generation = entry.Record.Generation
		written, err := w.s.PutFindings(w.ctx, f, entry.Record.FindingsID)
		if w.done(err) && !written.Same {
			w.wrote(fmt.Sprint("generation ", g))
		}
	}
}

// override gives verdicts for a reason of its own, as an exception does.
func (w *chainWriters) override(writer, times int) {
	for i := range times {
		w.decide(chainPlaces[(writer+i)%len(chainPlaces)], gate.EventRescan, fmt.Sprintf("override %d of %d", i, writer))
	}
}

// push sees the digest in a repository of the writer's own and gives a verdict there.
func (w *chainWriters) push(writer, times int) {
	for i := range times {
		loc := gate.Location{Registry: app.Registry, Repository: fmt.Sprintf("pushed-%d/app-%d", writer, i)}
		if _, err := w.s.AddLocation(w.ctx, digest("a"), loc); err != nil {
			w.Error(err)
			return
		}
		w.decide(loc, gate.EventPush, fmt.Sprintf("push %d of %d", i, writer))
	}
}

func (w *chainWriters) decide(loc gate.Location, event gate.Event, rule string) {
	entry, err := gate.ReadEntry(w.ctx, w.s, digest("a"))
	if err != nil {
		w.Error(err)
		return
	}
	basis := entry.Record.Basis()
	basis.Event = event
	outcome := gate.OutcomeDeny
	if len(rule)%2 == 0 {
		outcome = gate.OutcomeWarn
	}
	v := gate.Verdict{Location: loc, Decision: gate.Decision{Outcome: outcome, EvaluatedAt: w.now(), Reasons: []gate.Reason{{Rule: rule, Action: outcome}}}}
	if _, err := w.s.PutVerdicts(w.ctx, digest("a"), basis, []gate.Verdict{v}); w.done(err) {
		w.wrote(rule)
	}
}

// check compares the history with what the writers were told, each entry with the one
// before, and the feed with both.
func (w *chainWriters) check(from int64) {
	list := w.history("a", gate.HistoryQuery{})
	verdicts := map[gate.Location]string{}
	found := map[string]int{}
	var generation, last int64
	numbers, ofFindings := map[int64]bool{}, map[int64]bool{}
	for i := len(list) - 1; i >= 0; i-- {
		x := list[i]
		if x.Number <= last {
			w.Errorf("entry %d is behind entry %d", x.Number, last)
		}
		last = x.Number
		numbers[x.Number] = true
		if f := x.Findings; f != nil {
			ofFindings[x.Number] = true
			if f.Before.Generation != generation {
				w.Errorf("entry %d is of a change from generation %d, the entry before is of generation %d", x.Number, f.Before.Generation, generation)
			}
			generation = f.After.Generation
			found[fmt.Sprint("generation ", generation)]++
		}
		for _, v := range x.Verdicts {
			if before := strings.Join(v.Before.Rules, ","); before != verdicts[v.Location] {
				w.Errorf("entry %d: the verdict at %s before was %q, the entry before has %q", x.Number, v.Location.Repository, before, verdicts[v.Location])
			}
			verdicts[v.Location] = strings.Join(v.After.Rules, ",")
			found[verdicts[v.Location]]++
		}
	}
	for name := range w.kept {
		if found[name] != 1 {
			w.Errorf("%s was written, and %d entries have it", name, found[name])
		}
	}
	for name, n := range found {
		if !w.kept[name] {
			w.Errorf("%d entries have %s, which was refused", n, name)
		}
	}
	followed, _, err := history.After(w.ctx, w.s, from, 100_000)
	w.no(err)
	last = 0
	for _, x := range followed {
		if x.Number <= last || !numbers[x.Number] {
			w.Errorf("the feed names entry %d after entry %d", x.Number, last)
		}
		last = x.Number
		delete(ofFindings, x.Number)
	}
	if len(ofFindings) > 0 {
		w.Errorf("the feed does not name the entries %v", ofFindings)
	}
}
