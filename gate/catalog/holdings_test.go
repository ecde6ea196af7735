package catalog_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/gate/catalog"
	"github.com/digestgate/digestgate/store/sqlite"
	"github.com/digestgate/digestgate/store/storetest"
)

// lookups names packages, libraries and vulnerabilities by themselves, and the
// operating system as the class.
func lookups(inv *gate.Inventory, f *gate.Findings) gate.Lookups {
	l := gate.Lookups{Class: inv.OS.Name}
	for _, p := range inv.Packages {
		l.Packages = append(l.Packages, p.Name)
	}
	for _, a := range inv.Applications {
		for _, p := range a.Packages {
			l.Libraries = append(l.Libraries, p.Name)
		}
	}
	for _, v := range f.Vulnerabilities {
		l.Vulnerabilities = append(l.Vulnerabilities, v.ID)
	}
	for _, list := range []*[]string{&l.Packages, &l.Libraries, &l.Vulnerabilities} {
		slices.Sort(*list)
		*list = slices.Compact(*list)
	}
	return l
}

// again is lookups of an inventory that is not read: all but of one class.
func again(class string, f *gate.Findings) (gate.Lookups, bool) {
	l := lookups(&gate.Inventory{OS: gate.OS{Name: class}}, f)
	return l, class != "z"
}

func (s *site) holdings(contents catalog.Contents) *catalog.Holdings {
	return s.catalog.Holdings(catalog.HoldingsOptions{Contents: contents, Lookups: lookups, Again: again, Format: "1"})
}

// countedInventories counts the inventories that are read.
type countedInventories struct {
	catalog.Contents
	read *int
}

func (c countedInventories) Inventory(ctx context.Context, d gate.Digest) (*gate.Inventory, error) {
	*c.read++
	return c.Contents.Inventory(ctx, d)
}

// TestHoldings_other_findings: of an image with other findings of the same inventory the
// findings alone are read, unless only the inventory tells what they depend on.
func TestHoldings_other_findings(t *testing.T) {
	s := newSite(t, sqlite.Options{})
	read := 0
	h := s.holdings(countedInventories{s.store, &read})
	step := func(d gate.Digest, what string, want int) {
		t.Helper()
		read = 0
		s.catchUp()
		s.no(h.CatchUp(s.ctx))
		if read != want {
			t.Errorf("%s: %d inventories were read, want %d", what, read, want)
		}
		if got := s.untouched(h, gate.Touched{}); !got[d] {
			t.Errorf("%s: the image is not known: %v", what, got)
		}
	}
	d := s.image("a", loc("one"))
	s.holds(d, "y", []string{"p1"}, []string{"l1"})
	s.has(d, 1, "v1")
	step(d, "a new image", 1)
	s.has(d, 2, "v2", "v3")
	step(d, "other findings", 0)
	for _, touched := range []gate.Touched{{Packages: []string{"p1"}}, {Packages: []string{"l1"}}, {Vulnerabilities: []string{"v3"}}} {
		if s.untouched(h, touched)[d] {
			t.Errorf("%v does not touch the image", touched)
		}
	}
	if !s.untouched(h, gate.Touched{Vulnerabilities: []string{"v1"}})[d] {
		t.Error("former findings touch the image")
	}
	s.holds(d, "z", []string{"p2"}, nil)
	s.has(d, 3, "v1")
	step(d, "another inventory", 1)
	s.has(d, 4, "v2")
	step(d, "of a class that needs it", 1)
	s.no(s.catalog.Rebuild(s.ctx))
	step(d, "after the catalog was built again", 1)
	if s.untouched(h, gate.Touched{Packages: []string{"p2"}})[d] || s.untouched(h, gate.Touched{Vulnerabilities: []string{"v2"}})[d] {
		t.Error("numbers of terms outlive the terms")
	}
}

// holds stores an inventory with these packages.
func (s *site) holds(d gate.Digest, os string, packages, libraries []string) {
	s.Helper()
	inv := &gate.Inventory{Format: gate.InventoryFormat, Digest: d, AnalyzerSet: "set-1", AnalyzedAt: s.clock.Now(), OS: gate.OS{Name: os}}
	for _, p := range packages {
		inv.Packages = append(inv.Packages, gate.Package{Name: p})
	}
	if len(libraries) > 0 {
		inv.Applications = []gate.Application{{}}
	}
	for _, p := range libraries {
		inv.Applications[0].Packages = append(inv.Applications[0].Packages, gate.Package{Name: p})
	}
	s.no(storetest.PutInventory(s.ctx, s.store, 1, inv))
}

// has stores findings of the present inventory.
func (s *site) has(d gate.Digest, generation int64, vulnerabilities ...string) {
	s.Helper()
	rec := s.record(d)
	f := &gate.Findings{Digest: d, InventoryID: rec.InventoryID, Generation: generation, Advisories: digest(fmt.Sprint("data ", generation)), Matcher: "m1", MatchedAt: s.clock.Now()}
	for _, id := range vulnerabilities {
		f.Vulnerabilities = append(f.Vulnerabilities, gate.Vulnerability{ID: id, Package: "p", Severity: gate.SeverityLow})
	}
	_, err := s.store.PutFindings(s.ctx, f, rec.FindingsID)
	if !errors.Is(err, gate.ErrConflict) { // of an older generation than those stored
		s.no(err)
	}
}

// untouched is what Untouched says, by digest.
func (s *site) untouched(h *catalog.Holdings, touched gate.Touched) map[gate.Digest]bool {
	s.Helper()
	list := map[gate.Digest]bool{}
	s.no(h.Untouched(s.ctx, touched, func(one gate.Holding) error {
		list[one.Digest] = !one.Touched
		return nil
	}))
	return list
}

// TestHoldings: whatever was analysed, matched and removed, the catalog finds images by
// what their present values say, and knows what a change touches.
func TestHoldings(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		s := newSite(t, sqlite.Options{})
		h := s.holdings(s.store)
		h.SegmentEvery(rapid.IntRange(1, 6).Draw(r, "segment"))
		some := func(prefix, label string) []string {
			return rapid.SliceOfN(rapid.SampledFrom([]string{prefix + "1", prefix + "2", prefix + "3", prefix + "4"}), 0, 4).Draw(r, label)
		}
		name := func() gate.Digest {
			return digest(rapid.SampledFrom([]string{"a", "b", "c", "d", "e"}).Draw(r, "name"))
		}
		r.Repeat(map[string]func(*rapid.T){
			"": func(*rapid.T) {},
			"analysed": func(*rapid.T) {
				s.holds(name(), rapid.SampledFrom([]string{"x", "y", "z"}).Draw(r, "os"), some("p", "packages"), some("l", "libraries"))
			},
			"matched": func(*rapid.T) {
				if d := name(); s.record(d).InventoryID != "" {
					s.has(d, rapid.Int64Range(1, 3).Draw(r, "generation"), some("v", "vulnerabilities")...)
				}
			},
			"step": func(*rapid.T) {
				s.catchUp()
				_, err := h.Step(s.ctx)
				s.no(err)
			},
			"restart": func(*rapid.T) {
				s.follow(s.store)
				h = s.holdings(s.store)
				h.SegmentEvery(2)
			},
			"tidied":      func(*rapid.T) { s.no(h.Tidy(s.ctx)) },
			"built again": func(*rapid.T) { s.no(s.catalog.Rebuild(s.ctx)) },
		})
		s.catchUp()
		s.no(h.CatchUp(s.ctx))

		touched := gate.Touched{Packages: some("p", "touched"), Vulnerabilities: some("v", "touched"), Class: func(class string) bool { return class == "x" }}
		asked := some("l", "touched") // one after the other
		touched.Packages = append(touched.Packages, asked...)
		byAsking := touched
		byAsking.Packages, byAsking.Package = touched.Packages[:len(touched.Packages)-len(asked)], func(key string) bool { return slices.Contains(asked, key) }
		want := map[gate.Digest]bool{}
		with := map[string][]gate.Digest{}
		for _, n := range []string{"a", "b", "c", "d", "e"} {
			rec := s.record(digest(n))
			if rec.FindingsID == "" || rec.FindingsOf != rec.InventoryID {
				continue
			}
			inv, err := s.store.Inventory(s.ctx, rec.Digest)
			s.no(err)
			f, err := s.store.Findings(s.ctx, rec.Digest)
			s.no(err)
			l := lookups(inv, f)
			hit := l.Class == "x"
			for _, key := range slices.Concat(l.Packages, l.Libraries, l.Vulnerabilities) {
				hit = hit || slices.Contains(touched.Packages, key) || slices.Contains(touched.Vulnerabilities, key)
				with[key] = append(with[key], rec.Digest)
			}
			want[rec.Digest] = !hit
		}
		if diff := cmp.Diff(want, s.untouched(h, touched)); diff != "" {
			r.Fatalf("untouched (-want +got):\n%s", diff)
		}
		if diff := cmp.Diff(want, s.untouched(h, byAsking)); diff != "" {
			r.Fatalf("untouched, where it is asked (-want +got):\n%s", diff)
		}
		for _, i := range []int{1, 2, 3, 4} {
			for prefix, query := range map[string]func(context.Context, string) ([]gate.Digest, error){"p": h.WithPackage, "l": h.WithPackage, "v": h.WithVulnerability} {
				key := fmt.Sprint(prefix, i)
				got, err := query(s.ctx, key)
				s.no(err)
				slices.Sort(with[key])
				if diff := cmp.Diff(with[key], got); diff != "" {
					r.Fatalf("images with %s (-want +got):\n%s", key, diff)
				}
			}
		}
		s.no(s.catalog.Close())
		s.no(s.store.Close())
	})
}

// changing changes an image while its values are read.
type changing struct {
	catalog.Contents
	between func()
}

func (c changing) Findings(ctx context.Context, d gate.Digest) (*gate.Findings, error) {
	c.between()
	return c.Contents.Findings(ctx, d)
}

// TestHoldings_changed_while_read: values that the record does not name any more are
// not taken for those of the record, and the image is read again.
func TestHoldings_changed_while_read(t *testing.T) {
	s := newSite(t, sqlite.Options{})
	d := s.image("a", loc("one"))
	s.holds(d, "y", []string{"p1"}, nil)
	s.has(d, 1, "v1")
	s.catchUp()
	h := s.holdings(changing{s.store, func() {
		s.holds(d, "y", []string{"p2"}, nil)
		s.has(d, 1, "v2")
	}})
	_, err := h.Step(s.ctx)
	s.no(err)
	if got := s.untouched(h, gate.Touched{}); len(got) > 0 {
		t.Errorf("an image that changed while it was read is known: %v", got)
	}
	s.catchUp()
	h = s.holdings(s.store)
	s.no(h.CatchUp(s.ctx))
	if got := s.untouched(h, gate.Touched{Packages: []string{"p1"}, Vulnerabilities: []string{"v1"}}); !got[d] {
		t.Errorf("the image is not read again: %v", got)
	}
}

// TestHoldings_unknown: what is not read yet, or was read in another format, or before
// the catalog was built again, is not known to be untouched.
func TestHoldings_unknown(t *testing.T) {
	s := newSite(t, sqlite.Options{})
	d := s.image("a", loc("one"))
	s.holds(d, "y", []string{"p1"}, nil)
	s.has(d, 1, "v1")
	s.catchUp()
	h := s.holdings(s.store)
	check := func(when string, want int) {
		t.Helper()
		if got := s.untouched(h, gate.Touched{}); len(got) != want {
			t.Errorf("%s: got %v, want %d images", when, got, want)
		}
	}
	check("before it was read", 0)
	s.no(h.CatchUp(s.ctx))
	check("when it was read", 1)
	s.has(d, 2, "v1")
	s.catchUp()
	check("with findings that are not read", 0)
	s.no(h.CatchUp(s.ctx))
	check("when these were read", 1)

	h = s.catalog.Holdings(catalog.HoldingsOptions{Contents: changing{s.store, func() {}}, Lookups: lookups, Format: "2"})
	_, err := h.Step(s.ctx)
	s.no(err)
	check("in another format", 1)
	h = s.catalog.Holdings(catalog.HoldingsOptions{Contents: lostFindings{s.store}, Lookups: lookups, Format: "3"})
	s.no(h.CatchUp(s.ctx))
	check("in another format, with findings that are lost", 0)

	h = s.holdings(s.store)
	s.no(h.CatchUp(s.ctx))
	check("in the first format", 1)
	s.no(s.catalog.Rebuild(s.ctx))
	check("after the catalog was built again", 0)
	s.no(h.CatchUp(s.ctx))
	check("when it was read again", 1)
	h = s.holdings(lostFindings{s.store})
	s.no(h.CatchUp(s.ctx))
	check("after a restart", 1)
}

// TestHoldings_large: images that hold much are not read together, however many are new.
func TestHoldings_large(t *testing.T) {
	s := newSite(t, sqlite.Options{})
	for _, name := range []string{"a", "b", "c", "d", "e"} {
		d := s.image(name, loc("one"))
		s.holds(d, "y", []string{"p1", "p2"}, []string{"l1"})
		s.has(d, 1, "v1")
	}
	s.catchUp()
	h := s.holdings(s.store)
	h.PageKeys(5)
	for _, want := range []int{3, 1, 0} {
		_, err := h.Step(s.ctx)
		s.no(err)
		if got, err := h.Stale(s.ctx); err != nil || got != want {
			t.Fatalf("after a step %d images are not read, want %d (%v)", got, want, err)
		}
	}
	if got := s.untouched(h, gate.Touched{}); len(got) != 5 {
		t.Errorf("got %v, want 5 images", got)
	}
}

type lostFindings struct{ catalog.Contents }

func (lostFindings) Findings(context.Context, gate.Digest) (*gate.Findings, error) {
	return nil, gate.ErrNotFound
}

// TestHoldings_other_findings_while_read: findings that replace others while they are read,
// and that only their content tells from these, are not taken for them.
func TestHoldings_other_findings_while_read(t *testing.T) {
	s := newSite(t, sqlite.Options{})
	d := s.image("a", loc("one"))
	s.holds(d, "y", []string{"p1"}, nil)
	s.clock.tick = 0 // both are matched at one time
	s.has(d, 1, "v1")
	s.catchUp()
	_, err := s.holdings(changing{s.store, func() { s.has(d, 1, "v2") }}).Step(s.ctx)
	s.no(err)
	if s.untouched(s.holdings(s.store), gate.Touched{Vulnerabilities: []string{"v1"}})[d] {
		t.Error("v1, which the findings have that the catalog shows, does not touch the image")
	}
}
