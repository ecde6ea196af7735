package gate_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/gate/admission"
	"github.com/digestgate/digestgate/gate/lookup"
	"github.com/digestgate/digestgate/scanner/registry/fake"
)

// readCount counts what admission reads of the store.
type readCount struct {
	gate.Reader
	mu       sync.Mutex
	requests []gate.ReadRequest
	large    int
	before   func(n int, req gate.ReadRequest) error // of the read with this number, from 1
}

func (c *readCount) Read(ctx context.Context, req gate.ReadRequest) (gate.ReadResult, error) {
	c.mu.Lock()
	c.requests = append(c.requests, req)
	n, before := len(c.requests), c.before
	c.mu.Unlock()
	if before != nil {
		if err := before(n, req); err != nil {
			return gate.ReadResult{}, err
		}
	}
	return c.Reader.Read(ctx, req)
}

func (c *readCount) Inventory(ctx context.Context, d gate.Digest) (*gate.Inventory, error) {
	c.mu.Lock()
	c.large++
	c.mu.Unlock()
	return c.Reader.Inventory(ctx, d)
}

// reads is how many reads there were since it was called last.
func (c *readCount) reads() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := len(c.requests)
	c.requests = nil
	return n
}

// pods is a site whose reviews of Pods are counted.
type pods struct {
	*site
	reader   *readCount
	lookup   *lookup.Lookup
	reviewer *admission.Reviewer
}

func newPods(s *site, o lookup.Options) *pods {
	if o.TagMaxAge == 0 {
		o.TagMaxAge, o.TagGrace = time.Minute, 10*time.Minute
	}
	p := &pods{site: s, reader: &readCount{Reader: s.store.Admission()}}
	p.restart(o)
	return p
}

// restart is a new process: nothing is remembered.
func (p *pods) restart(o lookup.Options) {
	if o.TagMaxAge == 0 {
		o.TagMaxAge, o.TagGrace = time.Minute, 10*time.Minute
	}
	p.lookup = p.lookupOn(p.reader, p.store, o, nil)
	p.reviewer = admission.NewReviewer(admission.Default(), p.lookup, admission.Options{})
}

// admit reviews a Pod and returns how many reads it made.
func (p *pods) admit(images ...string) (admission.Response, int) {
	p.t.Helper()
	p.reader.reads()
	resp, err := p.reviewer.Review(p.ctx, review(p.t, images...), "default")
	if err != nil {
		p.t.Fatal(err)
	}
	reads := p.reader.reads()
	p.lookup.Settle()
	return resp, reads
}

// expect reviews a Pod that is admitted after a number of reads.
func (p *pods) expect(what string, reads int, images []string) {
	p.t.Helper()
	resp, n := p.admit(images...)
	if !resp.Allowed || len(resp.Warnings) > 0 {
		p.t.Fatalf("%s: got %+v, want it admitted", what, resp)
	}
	if n != reads {
		p.t.Errorf("%s: %d reads for %d images, want %d", what, n, len(images), reads)
	}
}

// seeds differ between the images of a test.
const seeds = 1000

// pushMany pushes n images (of indexes of two when indexes is set) and has them
// analysed. Each has a tag and a repository of its own.
func (s *site) pushMany(n int, indexes bool, generation int) (digests []gate.Digest) {
	s.t.Helper()
	for i := range n {
		repo, seed := fmt.Sprintf("team/app-%d", i), uint64(seeds*generation+2*i+1)
		var d gate.Digest
		if indexes {
			d = s.pushIndexOf(repo, "v1", seed, seed+1)
		} else {
			d = s.push(repo, "v1", seed)
		}
		digests = append(digests, d)
		s.event(repo, "v1", d)
	}
	s.work()
	return digests
}

// pushIndexOf pushes an index of images for amd64 and arm64.
func (s *site) pushIndexOf(repo, tag string, images ...uint64) gate.Digest {
	s.t.Helper()
	var members []fake.Child
	for i, seed := range images {
		p := v1.Platform{OS: "linux", Architecture: []string{"amd64", "arm64"}[i%2]}
		img, err := fake.RandomImage(seed, p, 50)
		if err != nil {
			s.t.Fatal(err)
		}
		members = append(members, fake.Child{Add: img, Platform: &p})
	}
	d, err := s.registry.PushIndex(repo, tag, fake.NewIndex(members...))
	if err != nil {
		s.t.Fatal(err)
	}
	return d
}

func (s *site) byTag(n int) (images []string) {
	for i := range n {
		images = append(images, s.at(fmt.Sprintf("team/app-%d", i), ":v1"))
	}
	return images
}

func (s *site) byDigest(digests []gate.Digest) (images []string) {
	for i, d := range digests {
		images = append(images, s.at(fmt.Sprintf("team/app-%d", i), "@"+string(d)))
	}
	return images
}

// TestReadsOfAPod: whatever the number of its images, a review reads once when nothing
// has changed, once more for what has, and once more for the images of new indexes;
// tags that the registry is asked for add one read for all of them.
func TestReadsOfAPod(t *testing.T) {
	for _, n := range []int{1, 8, 40} {
		t.Run(fmt.Sprintf("digests_%d", n), func(t *testing.T) {
			s := newSite(t, month(0))
			p := newPods(s, lookup.Options{})
			images := s.byDigest(s.pushMany(n, false, 1))
			p.expect("a new process", 1, images)
			p.expect("warm", 1, images)
		})
		t.Run(fmt.Sprintf("tags_%d", n), func(t *testing.T) {
			s := newSite(t, month(0))
			p := newPods(s, lookup.Options{})
			s.pushMany(n, false, 1)
			images := s.byTag(n)
			p.expect("a new process", 2, images)
			p.expect("warm", 1, images)
			s.pushMany(n, false, 2)
			p.expect("all tags have moved", 2, images)
			p.expect("warm again", 1, images)
			s.clock.Advance(2 * time.Minute)
			p.expect("all tags are asked for", 1+1, images)
			p.expect("and are recorded", 1, images)
			s.clock.Advance(2 * time.Minute)
			p.restart(lookup.Options{})
			p.expect("all tags are asked for by a new process", 2+1, images)
		})
		t.Run(fmt.Sprintf("tags_of_indexes_%d", n), func(t *testing.T) {
			s := newSite(t, month(0))
			p := newPods(s, lookup.Options{})
			digests := s.pushMany(n, true, 1)
			images := s.byTag(n)
			p.expect("a new process", 3, images)
			p.expect("warm", 1, images)
			p.expect("warm, by digest", 1, s.byDigest(digests))
			s.pushMany(n, true, 2)
			p.expect("all tags name new indexes of new images", 3, images)
			p.expect("warm again", 1, images)
			s.clock.Advance(2 * time.Minute)
			p.expect("all tags are asked for", 1+1, images)
			p.restart(lookup.Options{})
			p.expect("a new process, by digest", 2, s.byDigest(digests))
		})
	}
}
