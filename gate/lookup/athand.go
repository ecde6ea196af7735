package lookup

import (
	"context"
	"time"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/gate/copies"
)

// knowing is a Standing that knows answers which need nothing to be read; gate/standing
// is one.
type knowing interface {
	// Ask makes the question of an admission about a digest at a location, as Question
	// does, but for Known only: nothing can be read for it.
	Ask(e *gate.Entry, loc gate.Location) gate.Question
	// Known answers a question as Evaluate would, if it was evaluated before or needs no
	// evaluation; ok is false otherwise. It waits for nothing.
	Known(q gate.Question) (d gate.Decision, ok bool)
}

// AtOnce implements gate.Prompt: it answers for images that are scanned and were seen
// where they are, whose records are copied here and never outdated, or were proved by
// Prove to be what is stored, and about which the policies have decided before. All else is
// left to Read and Decide, before anything was done for it.
func (r *Rounds) AtOnce(ctx context.Context, ref gate.Reference, req gate.Request) (gate.Answer, bool) {
	standing, ok := r.parts.Standing.(knowing)
	if !ok || r.current == nil && !r.proved {
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
	hand := &r.hand
	*hand = atHand{standing: standing, request: req}
	a := look{r.Lookup, &r.read, hand}.answer(ctx, entry, digest, loc, ref, &hand.request)
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

// prover is a Reader whose copies the store can prove; those of a shared store are.
type prover interface {
	// Prove asks the store in one call whether the copies of what is requested are what it
	// holds, until a time at the latest. ok is false when it did not say, or has no copies.
	Prove(ctx context.Context, req gate.ReadRequest, until time.Time) (p copies.Proved, ok bool)
}

// Prove implements gate.Proving. Where copies answer without a read there is nothing to
// prove.
func (r *Rounds) Prove(ctx context.Context, until time.Time) {
	p, ok := r.parts.Reader.(prover)
	if !ok || r.current != nil {
		return
	}
	want := r.first()
	if len(want.Digests)+len(want.Tags) > maxAhead {
		return
	}
	if proved, ok := p.Prove(ctx, want, until); ok {
		r.read.take(want, proved)
		r.proved = true
	}
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
	request  gate.Request
	tag      [1]string
	left     bool // it does not answer
}

func (h *atHand) leave() gate.Answer {
	h.left = true
	return gate.Answer{}
}

// leaves reports whether a digest has to be read again, which is queued aside.
func (h *atHand) leaves(e *gate.Entry, req *gate.Request) bool {
	return h != nil && e.Record.Doubtful() && !req.DryRun && !e.Copied
}

// image answers about a scanned image. What is not scanned is queued, what was not seen
// at its place is noted there, and what is to be waited for is waited for, by others.
func (h *atHand) image(entry *gate.Entry, digest gate.Digest, loc gate.Location, ref gate.Reference, req *gate.Request) gate.Answer {
	if entry.Record.Digest != digest {
		return h.leave()
	}
	q := h.standing.Ask(entry, loc)
	if q.State != gate.StateScanned || !req.DryRun && !seenAt(&entry.Record, loc) {
		return h.leave()
	}
	q.Host, q.Request = ref.Host, req
	if ref.Tag != "" { // our own reading, also when the digest is known by now
		h.tag[0] = ref.Tag
		q.Tags = h.tag[:]
	}
	d, ok := h.standing.Known(q)
	switch {
	case !ok || d.Unmatched:
		return h.leave()
	case d.Code == gate.CodePending, d.Code == gate.CodeUnscanned, d.Code == gate.CodeQuotaExhausted:
		return h.leave()
	}
	return decided(d, digest, q.Record.Generation)
}

// seenAt reports whether an image was seen at a location.
func seenAt(r *gate.Record, loc gate.Location) bool {
	for i := range r.Locations {
		if r.Locations[i].Location == loc {
			return true
		}
	}
	return false
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
