package lookup

import (
	"context"
	"sync"
	"time"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/gate/copies"
)

// maxAhead bounds how many digests and tags one read ahead asks for, so that a Pod
// of many large indexes cannot make it so slow that the store counts as away for
// everybody. It is enough for 200 images by tag with two platforms each. What exceeds it
// is read for its reference alone.
const maxAhead = 1000

// ahead is what was read for one review: a Reader that answers from it, and reads
// what it does not have. Nothing in it is older than the review. What the store has copies
// of that need no read is taken from them, and kept to the end of the review like
// everything else. Safe for concurrent use.
type ahead struct {
	reader  gate.Reader
	current *copies.Copies // nil where only a read tells what is stored now

	mu      sync.Mutex
	digests table[gate.Digest, *gate.Entry]
	tags    table[gate.TagKey, tagRead]
}

// tagRead is what a read said of a tag; without a mapping there is none.
type tagRead struct {
	mapping *gate.TagMapping
	now     time.Time // the store's clock then
	copied  bool
}

// fill reads in one call what of a request is not here yet. done is false when
// there was nothing to read.
func (a *ahead) fill(ctx context.Context, want gate.ReadRequest) (done bool, err error) {
	want = a.missing(want)
	if len(want.Digests)+len(want.Tags) == 0 {
		return false, nil
	}
	return true, a.fetch(ctx, want)
}

// missing is what of a request is not here, each once.
func (a *ahead) missing(req gate.ReadRequest) (missing gate.ReadRequest) {
	digests, tags := map[gate.Digest]bool{}, map[gate.TagKey]bool{}
	for _, d := range req.Digests {
		if a.entry(d) == nil && !digests[d] {
			digests[d] = true
			missing.Digests = append(missing.Digests, d)
		}
	}
	for _, k := range req.Tags {
		if _, ok := a.tag(k); !ok && !tags[k] {
			tags[k] = true
			missing.Tags = append(missing.Tags, k)
		}
	}
	return missing
}

// fetch reads from the store and keeps what it answers.
func (a *ahead) fetch(ctx context.Context, req gate.ReadRequest) error {
	res, err := a.reader.Read(ctx, req)
	if err != nil {
		return err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, d := range req.Digests {
		e := res.Digests[d]
		a.digests.set(d, &e)
	}
	for _, k := range req.Tags {
		read := tagRead{now: res.Now, copied: res.Copied}
		if m, ok := res.Tags[k]; ok {
			read.mapping = &m
		}
		a.tags.set(k, read)
	}
	return nil
}

// forget has tags read again: what is here of them is from before a registry was
// asked.
func (a *ahead) forget(tags []gate.TagKey) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, k := range tags {
		a.tags.remove(k)
	}
}

// forgetTag is forget for one tag.
func (a *ahead) forgetTag(k gate.TagKey) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.tags.remove(k)
}

// take keeps what is proved of a request as what was read for it.
func (a *ahead) take(req gate.ReadRequest, p copies.Proved) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for i, d := range req.Digests {
		if e := p.Entries[i]; e != nil {
			a.digests.set(d, &e.Entry)
		}
	}
	for i, k := range req.Tags {
		if t := p.Tags[i]; t != nil {
			a.tags.set(k, tagRead{mapping: &t.TagMapping, now: p.Now})
		}
	}
}

// entry is what is here of a digest, nil when it has to be read. It is not modified.
func (a *ahead) entry(d gate.Digest) *gate.Entry {
	a.mu.Lock()
	defer a.mu.Unlock()
	if e, ok := a.digests.get(d); ok || a.current == nil {
		return e
	}
	known := a.current.Entry(d)
	if known == nil || !known.Record.Settled() {
		return nil
	}
	a.digests.set(d, &known.Entry)
	return &known.Entry
}

// tag is what is here of a tag; ok is false when it has to be read.
func (a *ahead) tag(k gate.TagKey) (read tagRead, ok bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if read, ok = a.tags.get(k); ok || a.current == nil {
		return read, ok
	}
	known := a.current.Tag(k)
	if known == nil {
		return read, false
	}
	read = tagRead{mapping: &known.TagMapping, now: a.current.Now()}
	a.tags.set(k, read)
	return read, true
}

// readEntry is what is here of a digest, or what a read for it alone says. It is not
// modified. Errors: those of the store.
func (a *ahead) readEntry(ctx context.Context, d gate.Digest) (*gate.Entry, error) {
	if e := a.entry(d); e != nil {
		return e, nil
	}
	if err := a.fetch(ctx, gate.ReadRequest{Digests: []gate.Digest{d}}); err != nil {
		return nil, err
	}
	return a.entry(d), nil
}

// readTag is readEntry for a tag. The age of a mapping is counted at the time when it was
// read.
func (a *ahead) readTag(ctx context.Context, k gate.TagKey) (m gate.TagMapping, read tagRead, err error) {
	read, ok := a.tag(k)
	if !ok {
		if err := a.fetch(ctx, gate.ReadRequest{Tags: []gate.TagKey{k}}); err != nil {
			return m, read, err
		}
		read, _ = a.tag(k)
	}
	if read.mapping != nil {
		m = *read.mapping
	}
	return m, read, nil
}

// Read implements gate.Reader: it reads. What was read ahead is for entry and tag.
func (a *ahead) Read(ctx context.Context, req gate.ReadRequest) (gate.ReadResult, error) {
	return a.reader.Read(ctx, req)
}

// Inventory reads from the store.
func (a *ahead) Inventory(ctx context.Context, d gate.Digest) (*gate.Inventory, error) {
	return a.reader.Inventory(ctx, d)
}

// Findings reads from the store.
func (a *ahead) Findings(ctx context.Context, d gate.Digest) (*gate.Findings, error) {
	return a.reader.Findings(ctx, d)
}
