package lookup

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/gate/refusal"
)

// Rounds answer for the references of one review; see gate.Rounds. What they read is
// kept for this review, so that one read serves all its images:
//
//   - the tags, the digests, what the tags named and the indexes consisted of last
//     time: all of it, when nothing has changed;
//   - the records of what has changed;
//   - the images of indexes that are new.
//
// Each answer is made from what was read, as if it had been read for its image alone.
// What was remembered only says what to read. Tags that a registry is asked for come
// back in the next round, where one read says for all of them whether they were pushed
// meanwhile and what is recorded about the digests that they name.
type Rounds struct {
	*Lookup
	read    ahead
	digests []gate.Digest // of references by digest
	tags    []tagQuestion // of references by tag; they stay where they are
	began   bool
	changed <-chan struct{} // since before anything was read

	proved bool         // what was read is enough for AtOnce
	rounds int          // that have begun
	asking atomic.Int64 // tags without an answer
	mu     sync.Mutex
	held   map[heldKey]gate.Answer // of who will wait for a scan

	hand atHand // of AtOnce, which one goroutine calls
}

// Rounds begins the answers for the references of one review. Those that are refused
// whatever is recorded of them need nothing read.
func (l *Lookup) Rounds(refs []gate.Reference) gate.Rounds { return l.rounds(refs) }

func (l *Lookup) rounds(refs []gate.Reference) *Rounds {
	r := &Rounds{Lookup: l, read: ahead{reader: l.parts.Reader, current: l.current}}
	if l.options.Wait > 0 {
		r.changed = l.parts.Changed()
	}
	for _, ref := range refs {
		loc, host, refused := l.locate(ref)
		switch {
		case refused != nil:
		case ref.Digest != "":
			if r.digests == nil {
				r.digests = make([]gate.Digest, 0, len(refs))
			}
			r.digests = append(r.digests, ref.Digest)
		case !l.options.RequireDigest:
			r.tags = append(r.tags, tagQuestion{ref: ref, key: gate.TagKey{Location: loc, Tag: ref.Tag}, host: host})
		}
	}
	r.asking.Store(int64(len(r.tags)))
	return r
}

// Decide answers for one reference. It never returns an allow for an error; the caller
// bounds its time with ctx, which may carry a [gate.Waiter].
func (l *Lookup) Decide(ctx context.Context, ref gate.Reference, req gate.Request) gate.Answer {
	return inRounds(ctx, l.rounds([]gate.Reference{ref}), ref, req)
}

// inRounds answers for the only reference of a review.
func inRounds(ctx context.Context, r gate.Rounds, ref gate.Reference, req gate.Request) gate.Answer {
	for range gate.MaxRounds {
		r.Read(ctx)
		if a, ok := r.Decide(ctx, ref, req); ok {
			return a
		}
	}
	return refusedFor(fmt.Errorf("deciding about %q: no answer after %d rounds", ref.String(), gate.MaxRounds))
}

// Decide implements gate.Rounds. A request that waits for a scan is answered from
// what it reads after each change. The wait begins when it is known of all tags what
// they name and their scans are queued, so that all scans of a Pod are waited for
// together.
func (r *Rounds) Decide(ctx context.Context, ref gate.Reference, req gate.Request) (gate.Answer, bool) {
	a, ok := r.holding(heldKey{ref, req.Container})
	if !ok {
		if a, ok = r.decide(ctx, ref, req); !ok {
			return gate.Answer{}, false
		}
	}
	// Without a digest, or a request for a scan, there is nothing to wait for.
	if r.options.Wait > 0 && a.Digest != "" && !req.DryRun && notYet(a) {
		if r.asking.Load() > 0 && r.rounds < gate.MaxRounds {
			r.hold(heldKey{ref, req.Container}, a)
			return gate.Answer{}, false
		}
		a = r.wait(ctx, ref, req, a, r.changed)
	}
	r.metrics.looked(a.Code)
	if !req.DryRun && a.Permits() {
		r.options.Established.Note(req.Cluster, req.Namespace)
	}
	return a, true
}

// once is Rounds that wait for no scan and count nothing.
type once struct{ *Rounds }

func (o once) Decide(ctx context.Context, ref gate.Reference, req gate.Request) (gate.Answer, bool) {
	return o.decide(ctx, ref, req)
}

// lookAgain is the answer by what is recorded now.
func (l *Lookup) lookAgain(ctx context.Context, ref gate.Reference, req gate.Request) gate.Answer {
	return inRounds(ctx, once{l.rounds([]gate.Reference{ref})}, ref, req)
}

func (r *Rounds) decide(ctx context.Context, ref gate.Reference, req gate.Request) (gate.Answer, bool) {
	loc, host, refused := r.locate(ref)
	if refused != nil {
		return *refused, true
	}
	names := named{digest: ref.Digest}
	if ref.Digest == "" {
		if r.options.RequireDigest {
			return refuse(gate.ErrDigestRequired, refusal.Say(refusal.DigestRequiredOf, refusal.P{"repository": ref.Repository})), true
		}
		q := r.question(ref)
		if key := (gate.TagKey{Location: loc, Tag: ref.Tag}); q == nil || q.key != key || q.host != host {
			err := fmt.Errorf("resolving tag %q of %q: %w", key.Tag, loc, gate.ErrOtherHost)
			return unresolved(key, err, r.parts.Now()), true
		}
		var ok bool
		if names, refused, ok = r.resolveTag(ctx, q); !ok {
			return gate.Answer{}, false
		}
		if refused != nil {
			return *refused, true
		}
		r.remembered.noteTag(q.key, names.digest)
	}
	digest := names.digest
	known, err := r.read.readEntry(ctx, digest)
	if err != nil {
		return refusedFor(err), true
	}
	entry := *known
	if entry.Record.Manifest.Kind == gate.KindUnknown && names.manifest.Digest == digest {
		// We have read and hashed it a moment ago; only the store does not know.
		entry.Record.Manifest = names.manifest
		entry.Record.Manifest.Hashed = true
	}
	a := look{Lookup: r.Lookup, reader: &r.read}.answer(ctx, &entry, digest, loc, ref, &req)
	a.Digest = digest
	a.Warnings = append(slices.Clone(names.warnings), a.Warnings...)
	return a, true
}

// question is that of a reference by tag.
func (r *Rounds) question(ref gate.Reference) *tagQuestion {
	for i := range r.tags {
		if r.tags[i].ref == ref {
			return &r.tags[i]
		}
	}
	return nil
}

// Read implements gate.Rounds. An error is not told: what was not read is read for
// its image, and answered for it.
func (r *Rounds) Read(ctx context.Context) {
	for i := range r.tags {
		r.tags[i].since = r.events.Load()
	}
	r.rounds++
	if r.proved && !r.began { // when they were read is not known to whom a registry answers
		for i := range r.tags {
			r.read.forgetTag(r.tags[i].key)
		}
	}
	if !r.began && r.copied() {
		r.began = true
		return
	}
	want, again := r.first(), []gate.TagKey(nil)
	if r.began {
		want, again = r.asked()
	}
	r.began = true
	r.read.forget(again)
	for range 3 { // what is remembered, what has changed, what that consists of
		if done, err := r.read.fill(ctx, bounded(want)); err != nil || !done && r.current == nil {
			break
		}
		want = r.next()
	}
}

// copied reports whether everything that the first round needs is there without a read.
func (r *Rounds) copied() bool {
	if r.current == nil {
		return false
	}
	for _, d := range r.digests {
		if !r.copiedDigest(d) {
			return false
		}
	}
	for i := range r.tags {
		q := &r.tags[i]
		read, ok := r.read.tag(q.key)
		if !ok {
			return false
		}
		at := read.mapping.At(q.host)
		if at.Dirty || at.Gone {
			continue // the registry is asked
		}
		if d := r.newest(q.key, q.host, at).Digest; d.Valid() && !r.copiedDigest(d) {
			return false
		}
	}
	return true
}

// copiedDigest reports whether a digest, and what is judged of an index, is there.
func (r *Rounds) copiedDigest(d gate.Digest) bool {
	e := r.read.entry(d)
	if e == nil || e.Record.Manifest.Kind != gate.KindIndex {
		return e != nil
	}
	for i := range e.Record.Manifest.Children {
		c := &e.Record.Manifest.Children[i]
		if c.JudgedOn(r.parts.Platforms) && r.read.entry(c.Digest) == nil {
			return false
		}
	}
	return true
}

// bounded is as much of a request as one read takes.
func bounded(req gate.ReadRequest) gate.ReadRequest {
	req.Tags = req.Tags[:min(len(req.Tags), maxAhead)]
	req.Digests = req.Digests[:min(len(req.Digests), maxAhead-len(req.Tags))]
	return req
}

// first is what all references need, as far as it is remembered.
func (r *Rounds) first() (want gate.ReadRequest) {
	var children []gate.Digest
	want.Digests = make([]gate.Digest, 0, len(r.digests)+len(r.tags))
	add := func(d gate.Digest) {
		want.Digests, children = append(want.Digests, d), append(children, r.remembered.childrenOf(d)...)
	}
	for _, d := range r.digests {
		add(d)
	}
	for i := range r.tags {
		q := &r.tags[i]
		want.Tags = append(want.Tags, q.key)
		if d := r.remembered.tag(q.key); d != "" {
			add(d)
		}
	}
	want.Digests = append(want.Digests, children...)
	return want
}

// asked is what those need that a registry was asked for: what is recorded of the tag
// by now, and of what it names. again are the tags.
func (r *Rounds) asked() (want gate.ReadRequest, again []gate.TagKey) {
	for i := range r.tags {
		q := &r.tags[i]
		if q.done || q.head == nil {
			continue
		}
		again = append(again, q.key)
		if q.head.digest != "" {
			want.Digests = append(want.Digests, r.remembered.with(q.head.digest)...)
		}
		want.Digests = append(want.Digests, r.manifestOf(q)...)
	}
	want.Tags = again
	return want, again
}

// manifestOf is what was read of a tag's manifest just now.
func (r *Rounds) manifestOf(q *tagQuestion) []gate.Digest {
	if q.manifest == nil {
		return nil
	}
	return append([]gate.Digest{q.manifest.Digest}, r.judged(*q.manifest)...)
}

// next is what is needed of what was read by now, and remembers it.
func (r *Rounds) next() (want gate.ReadRequest) {
	var children []gate.Digest
	look := func(d gate.Digest) {
		e := r.read.entry(d)
		switch {
		case e == nil:
			all := r.remembered.with(d)
			want.Digests, children = append(want.Digests, d), append(children, all[1:]...)
		case e.Record.Manifest.Kind == gate.KindIndex:
			list := r.judged(e.Record.Manifest)
			r.remembered.noteChildren(d, list)
			children = append(children, list...)
		}
	}
	for _, d := range r.digests {
		look(d)
	}
	for i := range r.tags {
		for _, d := range r.namedBy(&r.tags[i]) {
			look(d)
		}
	}
	want.Digests = append(want.Digests, children...)
	return want
}

// namedBy is what a tag may turn out to name, by what was read of it and what its
// registry has said.
func (r *Rounds) namedBy(q *tagQuestion) (digests []gate.Digest) {
	read, ok := r.read.tag(q.key)
	if q.done || !ok {
		return nil
	}
	var stored gate.TagMapping
	if read.mapping != nil {
		stored = *read.mapping
	}
	if q.head != nil {
		if q.head.digest != "" {
			digests = append(digests, q.head.digest)
		}
		return append(digests, r.manifestOf(q)...)
	}
	at := stored.At(q.host)
	if at.Dirty || at.Gone {
		return nil
	}
	if d := r.newest(q.key, q.host, at).Digest; d.Valid() {
		r.remembered.noteTag(q.key, d)
		digests = append(digests, d)
	}
	return digests
}

// judged are the children of an index that are looked up.
func (l *Lookup) judged(m gate.Manifest) (list []gate.Digest) {
	for _, c := range m.Children {
		if c.JudgedOn(l.parts.Platforms) && c.Digest.Valid() {
			list = append(list, gate.Digest(strings.Clone(string(c.Digest))))
		}
	}
	return list
}
