package lookup

import (
	"context"
	"sync"
	"time"

	"github.com/digestgate/digestgate/gate"
)

// maxAhead bounds how many digests and tags one read ahead asks for, so that a Pod
// of many large indexes cannot make it so slow that the store counts as away for
// everybody. It is enough for 200 images by tag with two platforms each. What exceeds it
// is read for its reference alone.
const maxAhead = 1000

// ahead is what was read for one review: a Reader that answers from it, and reads
// what it does not have. Nothing in it is older than the review. Safe for concurrent
// use.
type ahead struct {
	reader gate.Reader

	mu      sync.Mutex
	digests map[gate.Digest]gate.Entry
	tags    map[gate.TagKey]tagRead
	now     time.Time // the store's clock at the latest read
}

// tagRead is what a read said of a tag; without a mapping there is none.
type tagRead struct {
	mapping *gate.TagMapping
	now     time.Time // the store's clock then
	copied  bool
}

func newAhead(r gate.Reader) *ahead {
	return &ahead{reader: r, digests: map[gate.Digest]gate.Entry{}, tags: map[gate.TagKey]tagRead{}}
}

// fill reads in one call what of a request is not here yet. done is false when
// there was nothing to read.
func (a *ahead) fill(ctx context.Context, want gate.ReadRequest) (done bool, err error) {
	want = a.missing(want)
	if len(want.Digests)+len(want.Tags) == 0 {
		return false, nil
	}
	_, err = a.fetch(ctx, want)
	return true, err
}

// missing is what of a request is not here, each once.
func (a *ahead) missing(req gate.ReadRequest) (missing gate.ReadRequest) {
	a.mu.Lock()
	defer a.mu.Unlock()
	digests, tags := map[gate.Digest]bool{}, map[gate.TagKey]bool{}
	for _, d := range req.Digests {
		if _, ok := a.digests[d]; !ok && !digests[d] {
			digests[d] = true
			missing.Digests = append(missing.Digests, d)
		}
	}
	for _, k := range req.Tags {
		if _, ok := a.tags[k]; !ok && !tags[k] {
			tags[k] = true
			missing.Tags = append(missing.Tags, k)
		}
	}
	return missing
}

// fetch reads from the store and keeps what it answers.
func (a *ahead) fetch(ctx context.Context, req gate.ReadRequest) (gate.ReadResult, error) {
	res, err := a.reader.Read(ctx, req)
	if err != nil {
		return gate.ReadResult{}, err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.now = res.Now
	for _, d := range req.Digests {
		a.digests[d] = res.Digests[d]
	}
	for _, k := range req.Tags {
		read := tagRead{now: res.Now, copied: res.Copied}
		if m, ok := res.Tags[k]; ok {
			read.mapping = &m
		}
		a.tags[k] = read
	}
	return res, nil
}

// forget has tags read again: what is here of them is from before a registry was
// asked.
func (a *ahead) forget(tags []gate.TagKey) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, k := range tags {
		delete(a.tags, k)
	}
}

// Read implements gate.Reader. Of a request that is here in part the rest is read.
func (a *ahead) Read(ctx context.Context, req gate.ReadRequest) (gate.ReadResult, error) {
	if want := a.missing(req); len(want.Digests)+len(want.Tags) > 0 {
		if _, err := a.fetch(ctx, want); err != nil {
			return gate.ReadResult{}, err
		}
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	res := gate.ReadResult{Digests: make(map[gate.Digest]gate.Entry, len(req.Digests)), Tags: make(map[gate.TagKey]gate.TagMapping, len(req.Tags)), Now: a.now}
	for _, d := range req.Digests {
		e := a.digests[d]
		res.Digests[d] = e
		res.Copied = res.Copied || e.Copied
	}
	for _, k := range req.Tags {
		read := a.tags[k]
		// The age of a mapping is counted at the time when it was read.
		res.Now = read.now
		res.Copied = res.Copied || read.copied
		if read.mapping != nil {
			res.Tags[k] = *read.mapping
		}
	}
	return res, nil
}

// entry is what is here of a digest.
func (a *ahead) entry(d gate.Digest) (gate.Entry, bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	e, ok := a.digests[d]
	return e, ok
}

// tag is what is here of a tag, the zero mapping when it is not known.
func (a *ahead) tag(k gate.TagKey) (gate.TagMapping, bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	read, ok := a.tags[k]
	if !ok || read.mapping == nil {
		return gate.TagMapping{}, ok
	}
	return *read.mapping, true
}

// Inventory reads from the store.
func (a *ahead) Inventory(ctx context.Context, d gate.Digest) (*gate.Inventory, error) {
	return a.reader.Inventory(ctx, d)
}

// Findings reads from the store.
func (a *ahead) Findings(ctx context.Context, d gate.Digest) (*gate.Findings, error) {
	return a.reader.Findings(ctx, d)
}
