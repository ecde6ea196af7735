package lookup

import (
	"context"
	"slices"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/gate/refusal"
)

// index judges every child that a configured platform matches; the worst one
// counts, the first of several equally bad.
func (l look) index(ctx context.Context, m *gate.Manifest, loc gate.Location, ref gate.Reference, req *gate.Request) gate.Answer {
	var want []gate.Digest
	for _, c := range m.Children {
		if !c.JudgedOn(l.parts.Platforms) {
			continue
		}
		if !c.Digest.Valid() {
			a := refuse(gate.ErrUnassessable, refusal.Say(refusal.UnassessableDigest, refusal.P{"platform": c.Platform, "digest": c.Digest}))
			a.Platform = c.Platform.String()
			return a
		}
		want = append(want, c.Digest)
	}
	if len(want) == 0 {
		return refuse(gate.ErrUnassessable, refusal.Say(refusal.UnassessablePlatforms, nil))
	}
	if l.hand != nil {
		if !l.here(want) {
			return l.hand.leave()
		}
	} else if _, err := l.reader.fill(ctx, gate.ReadRequest{Digests: want}); err != nil {
		return refusedFor(err)
	}
	var worst *gate.Answer
	var warns []gate.Reason
	for _, c := range m.Children {
		if !c.JudgedOn(l.parts.Platforms) {
			continue
		}
		entry, err := l.reader.readEntry(ctx, c.Digest)
		if err != nil {
			return refusedFor(err)
		}
		a := l.child(ctx, entry, c, loc, ref, req)
		warns = united(warns, a.Warns)
		if worst == nil || a.Outcome.Worse(worst.Outcome) {
			worst = &a
		}
	}
	worst.Warns = warns
	return *worst
}

// united are the reasons of two lists, those that say the same once. The lists are not
// changed.
func united(all, more []gate.Reason) []gate.Reason {
	if len(all) == 0 {
		return more
	}
	all = slices.Clip(all)
	for i := range more {
		if m := &more[i]; !slices.ContainsFunc(all, func(r gate.Reason) bool { return r.Rule == m.Rule && r.Msg == m.Msg }) {
			all = append(all, *m)
		}
	}
	return all
}

// child answers for one child of an index. The index calls it an image; if our
// own read found something else, a node would not run it. One that nobody has read
// is asked for where the index lies.
func (l look) child(ctx context.Context, entry *gate.Entry, c gate.Child, loc gate.Location, ref gate.Reference, req *gate.Request) gate.Answer {
	var a gate.Answer
	rec := &entry.Record
	if l.hand.leaves(entry, req) {
		return l.hand.leave()
	}
	l.readAgain(entry, c.Digest, loc, req)
	switch k := rec.Manifest.Kind; {
	case k == gate.KindImage, k == gate.KindUnknown && rec.InventoryID != "":
		a = l.image(ctx, entry, c.Digest, loc, ref, req)
	case k == gate.KindUnknown && l.hand != nil:
		return l.hand.leave()
	case k == gate.KindUnknown:
		a = l.miss(ctx, gate.JobRequest{Kind: gate.JobResolve, Location: loc, Digest: c.Digest, Trigger: gate.TriggerAdmission, Cluster: req.Cluster, Namespace: req.Namespace}, *entry, req.DryRun)
		a.Digest = c.Digest
	default:
		a = refuse(gate.ErrUnassessable, refusal.Say(refusal.UnassessableChild, refusal.P{"digest": c.Digest.Short(), "kind": k}))
		a.Digest = c.Digest
	}
	if a.Platform = c.Platform.String(); a.Platform == "" {
		a.Platform = rec.Manifest.Platform.String()
	}
	return a
}

// readAgain queues the reading of what a version before recorded without it. The
// answer is from what is recorded, and does not wait; the budget is for what is new.
func (l *Lookup) readAgain(entry *gate.Entry, digest gate.Digest, loc gate.Location, req *gate.Request) {
	if !entry.Record.Doubtful() || req.DryRun || entry.Copied {
		return
	}
	job := gate.JobRequest{Kind: gate.JobResolve, Location: loc, Digest: digest, Trigger: gate.TriggerAdmission, Cluster: req.Cluster, Namespace: req.Namespace}
	l.optional(func(ctx context.Context) error {
		_, _, err := l.parts.Queue.Enqueue(ctx, job)
		return err
	}, func(err error) {
		if err != nil && !gate.NotTaken(err) { // which writeAside has logged
			l.parts.Log.Warn("queuing a digest to be read again", "digest", digest, "location", gate.Printable(loc.String(), 200), "error", err)
		}
	})
}
