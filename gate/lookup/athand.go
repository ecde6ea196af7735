package lookup

import (
	"context"

	"github.com/digestgate/digestgate/gate"
)

// knowing is a Standing that knows answers which need nothing to be read; gate/standing
// is one.
type knowing interface {
	// Known answers a question as Evaluate would, if it was evaluated before or needs no
	// evaluation; ok is false otherwise. It waits for nothing.
	Known(q gate.Question) (d gate.Decision, ok bool)
}

// AtOnce implements gate.Prompt: it answers for images that are scanned and were seen
// where they are, whose records are copied here and never outdated, and about which the
// policies have decided before. All else is left to Read and Decide, before anything was
// done for it.
func (r *Rounds) AtOnce(ctx context.Context, ref gate.Reference, req gate.Request) (gate.Answer, bool) {
	standing, ok := r.parts.Standing.(knowing)
	if !ok || r.current == nil {
		return gate.Answer{}, false
	}
	loc, host, refused := r.locate(ref)
	if refused != nil {
		return gate.Answer{}, false
	}
	digest, q := ref.Digest, (*tagQuestion)(nil)
	if digest == "" {
		if q = r.question(ref); q == nil || q.host != host || q.key != (gate.TagKey{Location: loc, Tag: ref.Tag}) || q.done || q.head != nil {
			return gate.Answer{}, false
		}
		if digest = r.namedNow(q); digest == "" {
			return gate.Answer{}, false
		}
	}
	entry := r.read.entry(digest)
	if entry == nil {
		return gate.Answer{}, false
	}
	hand := &atHand{standing: standing}
	a := look{r.Lookup, &r.read, hand}.answer(ctx, *entry, digest, loc, ref, req)
	if hand.left {
		return gate.Answer{}, false
	}
	if q != nil { // what the other images of the review wait for
		names, refused, ok := r.resolveTag(ctx, q)
		if !ok || refused != nil || names.digest != digest || len(names.warnings) > 0 {
			return gate.Answer{}, false
		}
		r.remembered.noteTag(q.key, digest)
	}
	a.Digest = digest
	r.metrics.looked(a.Code)
	if !req.DryRun && a.Permits() {
		r.options.Established.Note(req.Cluster, req.Namespace)
	}
	return a, true
}

// namedNow is the digest that a tag names by a mapping that is here and needs no
// confirmation, "" when there is none.
func (r *Rounds) namedNow(q *tagQuestion) gate.Digest {
	read, ok := r.read.tag(q.key)
	if !ok || read.copied || read.mapping == nil {
		return ""
	}
	at := read.mapping.At(q.host)
	if !at.Usable(read.now, r.options.TagMaxAge) {
		return ""
	}
	return at.Digest
}

// atHand is a lookup that answers only what is at hand.
type atHand struct {
	standing knowing
	left     bool // it does not answer
}

func (h *atHand) leave() gate.Answer {
	h.left = true
	return gate.Answer{}
}

// leaves reports whether a digest has to be read again, which is queued aside.
func (h *atHand) leaves(e gate.Entry, req gate.Request) bool {
	return h != nil && e.Record.Doubtful() && !req.DryRun && !e.Copied
}

// decide answers a question about a scanned image. What is not scanned is queued, what
// was not seen at its place is noted there, and what is to be waited for is waited for,
// by others.
func (h *atHand) decide(q gate.Question, loc gate.Location, req gate.Request) gate.Decision {
	_, seen := q.Record.At(loc)
	if q.State != gate.StateScanned || !seen && !req.DryRun {
		h.left = true
		return gate.Decision{}
	}
	d, ok := h.standing.Known(q)
	switch d.Code {
	case gate.CodePending, gate.CodeUnscanned, gate.CodeQuotaExhausted:
		ok = false
	}
	h.left = !ok
	return d
}

// here reports whether nothing of some digests has to be read.
func (l look) here(digests []gate.Digest) bool {
	for _, d := range digests {
		if l.reader.entry(d) == nil {
			return false
		}
	}
	return true
}
