package catalog_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/gate/catalog"
	"github.com/digestgate/digestgate/store/sqlite"
)

// countedReads counts the images of which records or findings are read.
type countedReads struct {
	catalog.Contents
	read *int
}

func (c countedReads) Read(ctx context.Context, req gate.ReadRequest) (gate.ReadResult, error) {
	*c.read += len(req.Digests)
	return c.Contents.Read(ctx, req)
}

func (c countedReads) Findings(ctx context.Context, d gate.Digest) (*gate.Findings, error) {
	*c.read++
	return c.Contents.Findings(ctx, d)
}

// tells stores findings as has does, and tells the holdings.
func (s *site) tells(h *catalog.Holdings, d gate.Digest, generation int64, vulnerabilities ...string) {
	s.Helper()
	s.has(d, generation, vulnerabilities...)
	f, err := s.store.Findings(s.ctx, d)
	s.no(err)
	h.Told(s.record(d).FindingsID, f)
}

// TestHoldings_told: of findings that this process has stored nothing is read again, and
// what is known of the image is what reading them gives. Where the record names others by
// then, or another inventory, they are read.
func TestHoldings_told(t *testing.T) {
	s := newSite(t, sqlite.Options{})
	read := 0
	h := s.holdings(countedReads{s.store, &read})
	step := func(d gate.Digest, what string, reads bool, generation int64, has, hasNot string) {
		t.Helper()
		read = 0
		s.catchUp()
		s.no(h.CatchUp(s.ctx))
		if (read > 0) != reads {
			t.Errorf("%s: %d values were read, want some: %t", what, read, reads)
		}
		known := 0
		s.no(h.Untouched(s.ctx, gate.Touched{Vulnerabilities: []string{has}}, func(one gate.Holding) error {
			if one.Digest != d {
				return nil
			}
			known++
			if hash, _ := gate.Digest(s.record(d).FindingsID).Hash(); one.Findings != hash {
				t.Errorf("%s: the findings %x are known, stored are %x", what, one.Findings, hash)
			}
			if one.Generation != generation || one.Advisories != digest(fmt.Sprint("data ", generation)) || !one.Touched {
				t.Errorf("%s: got %+v", what, one)
			}
			return nil
		}))
		if known != 1 {
			t.Errorf("%s: the image is known %d times", what, known)
		}
		if !s.untouched(h, gate.Touched{Vulnerabilities: []string{hasNot}})[d] {
			t.Errorf("%s: %s touches the image", what, hasNot)
		}
		if s.untouched(h, gate.Touched{Packages: []string{"p1"}})[d] || s.untouched(h, gate.Touched{Class: func(c string) bool { return c == "y" }})[d] && what != "a class that only an inventory tells" {
			t.Errorf("%s: its packages or its class are lost", what)
		}
	}
	d := s.image("a", loc("one"))
	s.holds(d, "y", []string{"p1"}, nil)
	s.tells(h, d, 1, "v1")
	step(d, "a new image", true, 1, "v1", "v2")
	s.tells(h, d, 2, "v2", "v3", "v2")
	step(d, "other findings", false, 2, "v3", "v1")
	s.has(d, 3, "v4")
	step(d, "findings of another process", true, 3, "v4", "v2")
	s.tells(h, d, 4, "v5")
	s.has(d, 5, "v6")
	step(d, "findings that were replaced", true, 5, "v6", "v5")
	s.holds(d, "y", []string{"p1", "p2"}, nil)
	s.tells(h, d, 6, "v7")
	step(d, "another inventory", true, 6, "v7", "v6")
	s.tells(h, d, 7, "v8")
	step(d, "of the other inventory", false, 7, "v8", "v7")
	s.holds(d, "z", []string{"p1"}, nil)
	s.tells(h, d, 8, "v1")
	step(d, "a class that only an inventory tells", true, 8, "v1", "v2")
	s.tells(h, d, 9, "v2")
	step(d, "a class that only an inventory tells", true, 9, "v2", "v1")
}

// TestHoldings_told_bounded: what is told before is forgotten, and read.
func TestHoldings_told_bounded(t *testing.T) {
	s := newSite(t, sqlite.Options{})
	read := 0
	h := s.holdings(countedReads{s.store, &read})
	d := s.image("a", loc("one"))
	s.holds(d, "y", []string{"p1"}, nil)
	s.has(d, 1, "v1")
	s.catchUp()
	s.no(h.CatchUp(s.ctx))
	s.tells(h, d, 2, "v2")
	inventory := s.record(d).InventoryID
	for i := range 10_000 {
		h.Told(string(digest(fmt.Sprint(i))), &gate.Findings{InventoryID: inventory})
	}
	read = 0
	s.catchUp()
	s.no(h.CatchUp(s.ctx))
	if read == 0 {
		t.Error("what was told of 10,000 images is still known")
	}
	if s.untouched(h, gate.Touched{Vulnerabilities: []string{"v2"}})[d] {
		t.Error("the findings are not known")
	}
}
