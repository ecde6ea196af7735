package faults_test

import (
	"context"
	"log/slog"
	"time"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/gate/explain"
	"github.com/digestgate/digestgate/gate/intake"
	"github.com/digestgate/digestgate/gate/lookup"
	"github.com/digestgate/digestgate/gate/work"
)

// work claims and does jobs.
func (n *node) work(ctx context.Context) {
	w := work.NewWorker(n.store, work.Options{
		Name: n.Who, Concurrency: 4, MaxAttempts: 1000, Lease: lease, Poll: 200 * time.Millisecond,
		Registries: n.pipeline.Registries, Quota: n.pipeline.Quota, Handlers: n.pipeline.Handlers(),
		Log: slog.New(slog.DiscardHandler), Now: n.now,
	})
	w.Run(ctx, 5*time.Second)
}

// each calls f again and again; what is due while f runs is left out.
func (n *node) each(ctx context.Context, f func()) {
	tick := time.NewTicker(n.Every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			f()
		}
	}
}

// deliver takes deliveries of all images in, one after the other, and duplicates
// of earlier ones. A delivery that fails is not repeated: the registry gives up.
func (n *node) deliver(ctx context.Context) {
	intake := intake.New(n.pipeline.Registries, n.pipeline.Quota, n.store)
	w := world{n.World}
	i := n.First
	n.each(ctx, func() {
		pushes := []gate.Push{w.push(i%n.World, n.rand.IntN(2) == 0)}
		for range n.rand.IntN(2) {
			pushes = append(pushes, w.push(n.rand.IntN(min(i, n.World)+1)%n.World, n.rand.IntN(2) == 0))
		}
		if n.rand.IntN(5) == 0 {
			pushes = append(pushes, w.phantom(n.rand.IntN(n.World)))
		}
		i += n.Step
		from := time.Now()
		call, cancel := context.WithTimeout(ctx, 2*time.Second)
		defer cancel()
		results, err := intake.Take(call, hub, pushes)
		for k, p := range pushes {
			e := event{Op: opDelivery, Digest: p.Digest}
			if err == nil {
				e.Outcome = string(results[k].State)
			}
			n.store.h.write(from, e, err)
		}
	})
}

// lookup is the admission of a process; it follows the feed until ctx ends.
func (n *node) lookup(ctx context.Context) *lookup.Lookup {
	records := lookup.NewRecordCopy(n.store.Admission(), time.Minute, n.now, nil, slog.New(slog.DiscardHandler))
	go records.Follow(ctx, n.store)
	return lookup.New(lookup.Parts{
		Reader: records, Standing: n.standing, Resolver: n.pipeline, Explain: &explain.Explainer{Registries: n.pipeline.Registries, Quota: n.pipeline.Quota, Now: n.now},
		Queue: n.store, Tags: n.store, Budget: n.store, Changed: n.store.Changed, Registries: n.pipeline.Registries, Now: n.now, Log: n.pipeline.Log,
	}, lookup.Options{TagMaxAge: time.Minute, TagGrace: 10 * time.Minute, NewDigestsPerHour: 1 << 20}, nil)
}

// decide asks whether random images may run, by digest and by tag.
func (n *node) decide(ctx context.Context) {
	w, lookup := world{n.World}, n.lookup(ctx)
	n.each(ctx, func() { n.ask(ctx, lookup, w.push(n.rand.IntN(n.World), false), n.rand.IntN(4) == 0) })
}

// ask asks whether the image of a delivery may run, and notes the answer.
func (n *node) ask(ctx context.Context, lookup *lookup.Lookup, p gate.Push, byTag bool) gate.Answer {
	ref := gate.Reference{Host: host, Repository: p.Repository, Digest: p.Digest}
	if byTag {
		ref.Digest, ref.Tag = "", p.Tag
	}
	from := time.Now()
	call, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	a := lookup.Decide(call, ref, gate.Request{Namespace: "apps"})
	e := event{Op: opDecision, Digest: a.Digest, Outcome: string(a.Outcome), Inventory: a.PolicyRevision}
	if a.Outcome != gate.OutcomeAllow && a.Outcome != gate.OutcomeDeny {
		e.Outcome = string(a.Code)
	}
	n.store.h.write(from, e, nil)
	return a
}
