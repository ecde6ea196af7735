package storetest

import (
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/store"
)

func manifest(name string) gate.Manifest {
	return gate.Manifest{
		Digest: digest(name), MediaType: "application/vnd.oci.image.manifest.v1+json", Kind: gate.KindImage,
		Platform: gate.Platform{OS: "linux", Architecture: "amd64"}, Size: 1234,
	}
}

func inventory(name, set string) *gate.Inventory {
	return &gate.Inventory{
		Format: gate.InventoryFormat, Digest: digest(name), AnalyzerSet: set,
		AnalyzedAt: time.Date(2026, 11, 3, 4, 5, 6, 7, time.UTC),
		OS:         gate.OS{Family: "debian", Name: "12.5"},
		Packages:   []gate.Package{{Name: "openssl", Version: "3.0.11", SrcName: "openssl"}, {Name: "naïve <b>", Version: "\u2028\x00"}},
		Risks:      map[gate.Risk]gate.RiskStatus{gate.RiskSecrets: {Coverage: gate.Complete}, gate.RiskFiles: {Coverage: gate.NotLookedAt}},
	}
}

func findings(name, inventoryID string, generation int64) *gate.Findings {
	return &gate.Findings{
		Digest: digest(name), InventoryID: inventoryID, Generation: generation, Matcher: "m1",
		MatchedAt: time.Date(2026, 11, 3, 5, 0, 0, 0, time.UTC),
		Vulnerabilities: []gate.Vulnerability{
			{ID: "CVE-1", Package: "openssl", Severity: gate.SeverityCritical}, {ID: "CVE-2", Package: "zlib", Severity: gate.SeverityLow},
		},
	}
}

// scanned stores an inventory of a digest and returns its id.
func (e *env) scanned(name string, epoch int64) string {
	e.Helper()
	e.no(PutInventory(e.ctx, e.s, epoch, inventory(name, "set-1")))
	return e.record(name).InventoryID
}

// basis is what a verdict of a digest rests on now.
func (e *env) basis(name string) gate.Basis {
	e.Helper()
	r := e.record(name)
	return r.Basis()
}

var recordCases = []testCase{
	{"unknown_digest_is_the_zero_record", func(e *env) {
		r := e.record("a")
		if r.Known() || r.InventoryID != "" || len(r.Locations) > 0 {
			e.Fatalf("got %+v", r)
		}
	}},
	{"manifest_comes_back_and_repeating_it_writes_nothing", func(e *env) {
		m := manifest("a")
		m.Kind = gate.KindIndex
		m.Children = []gate.Child{{Digest: digest("b"), Platform: gate.Platform{OS: "linux", Architecture: "arm64", Variant: "v8"}, Size: 7, Judged: true}}
		e.no(e.s.PutManifest(e.ctx, m))
		first := e.record("a")
		if diff := cmp.Diff(m, first.Manifest); diff != "" {
			e.Fatalf("manifest (-want +got):\n%s", diff)
		}
		if first.Digest != digest("a") || first.Version == 0 {
			e.Fatalf("got %+v", first)
		}
		e.no(e.s.PutManifest(e.ctx, m))
		if again := e.record("a"); again.Version != first.Version {
			e.Fatalf("version went from %d to %d", first.Version, again.Version)
		}
		m.Children[0].Judged = false
		e.no(e.s.PutManifest(e.ctx, m))
		if changed := e.record("a"); changed.Version <= first.Version || changed.Manifest.Children[0].Judged {
			e.Fatalf("got %+v", changed)
		}
	}},
	{"fence_refuses_lower_epochs", func(e *env) {
		e.no(e.s.Fence(e.ctx, digest("a"), 5))
		e.no(e.s.Fence(e.ctx, digest("a"), 5))
		e.want(e.s.Fence(e.ctx, digest("a"), 4), gate.ErrFenced)
		e.want(PutInventory(e.ctx, e.s, 4, inventory("a", "late")), gate.ErrFenced)
		e.want(e.s.PutUnassessable(e.ctx, digest("a"), 4, "late"), gate.ErrFenced)
		r := e.record("a")
		if r.Epoch != 5 || r.InventoryID != "" || r.Manifest.Unassessable != "" {
			e.Fatalf("got %+v", r)
		}
		_, err := e.s.Inventory(e.ctx, digest("a"))
		e.want(err, gate.ErrNotFound)
		e.no(PutInventory(e.ctx, e.s, 5, inventory("a", "set-1")))
		e.no(e.s.Fence(e.ctx, digest("a"), 9))
		if got := e.record("a"); got.Epoch != 9 || got.AnalyzerSet != "set-1" {
			e.Fatalf("fencing lost what was known: %+v", got)
		}
	}},
	{"a_write_announces_its_epoch", func(e *env) {
		e.no(PutInventory(e.ctx, e.s, 7, inventory("a", "set-1")))
		e.want(PutInventory(e.ctx, e.s, 6, inventory("a", "late")), gate.ErrFenced)
		e.no(e.s.PutUnassessable(e.ctx, digest("b"), 7, "too large"))
		e.want(e.s.Fence(e.ctx, digest("b"), 6), gate.ErrFenced)
	}},
	{"locations", func(e *env) {
		add := func(loc gate.Location, want bool) {
			e.Helper()
			added, err := e.s.AddLocation(e.ctx, digest("a"), loc)
			e.no(err)
			if added != want {
				e.Fatalf("AddLocation(%s): got %v, want %v", loc, added, want)
			}
		}
		add(app, true)
		add(other, true)
		add(app, false)
		seen, ok := e.record("a").At(app)
		if !ok || seen.Gone || !seen.SeenAt.Equal(e.now()) {
			e.Fatalf("got %+v, %v", seen, ok)
		}
		if n := len(e.record("a").Locations); n != 2 {
			e.Fatalf("got %d locations", n)
		}
		before := e.record("a").Version
		e.no(e.s.MarkGone(e.ctx, digest("a"), app))
		r := e.record("a")
		if l, _ := r.At(app); !l.Gone || r.Version <= before {
			e.Fatalf("got %+v", r)
		}
		if l, _ := r.At(other); l.Gone {
			e.Fatalf("the other location is gone too")
		}
		add(app, false)
		if l, _ := e.record("a").At(app); l.Gone {
			e.Fatalf("seen again, still gone")
		}
		e.advance(store.SeenPrecision)
		add(app, false)
		if l, _ := e.record("a").At(app); !l.SeenAt.Equal(e.now()) {
			e.Fatalf("seen at %s, want %s", l.SeenAt, e.now())
		}
	}},
	{"marking_the_unknown_gone_is_no_error", func(e *env) {
		e.no(e.s.MarkGone(e.ctx, digest("a"), app))
		if e.record("a").Known() {
			e.Fatalf("a record came from nowhere")
		}
		_, err := e.s.AddLocation(e.ctx, digest("a"), app)
		e.no(err)
		before := e.record("a").Version
		e.no(e.s.MarkGone(e.ctx, digest("a"), web))
		if e.record("a").Version != before {
			e.Fatalf("the record was written")
		}
	}},
	{"unassessable_survives_another_read_of_the_manifest", func(e *env) {
		e.no(e.s.PutManifest(e.ctx, manifest("a")))
		e.no(e.s.PutUnassessable(e.ctx, digest("a"), 3, "encrypted"))
		e.no(e.s.PutManifest(e.ctx, manifest("a")))
		if entry := e.entry("a"); entry.State() != gate.StateUnassessable || entry.Record.Manifest.Unassessable != "encrypted" {
			e.Fatalf("got %+v", entry.Record)
		}
		e.no(PutInventory(e.ctx, e.s, 4, inventory("a", "set-2")))
		if entry := e.entry("a"); entry.State() != gate.StateScanned {
			e.Fatalf("analysed at last, but %q: %+v", entry.State(), entry.Record)
		}
	}},
	{"reading_corrects_what_was_claimed", func(e *env) {
		read := manifest("a")
		read.Hashed = true
		e.no(e.s.PutManifest(e.ctx, manifest("a")))
		e.no(e.s.PutUnassessable(e.ctx, digest("a"), 3, "it is not an image"))
		e.no(e.s.PutManifest(e.ctx, read))
		if entry := e.entry("a"); entry.State() != gate.StateNotScanned || entry.Record.Epoch != 3 {
			e.Fatalf("after it was read as an image: %+v", entry.Record)
		}
		e.no(e.s.PutUnassessable(e.ctx, digest("a"), 3, "encrypted"))
		e.no(e.s.PutManifest(e.ctx, read))
		if entry := e.entry("a"); entry.State() != gate.StateUnassessable {
			e.Fatalf("after the same reading of what an analysis has refused since: %+v", entry.Record)
		}
		read.Kind = gate.KindIndex
		e.no(e.s.PutManifest(e.ctx, read))
		read.Kind = gate.KindImage
		e.no(e.s.PutManifest(e.ctx, read))
		if entry := e.entry("a"); entry.Record.Manifest.Unassessable != "" {
			e.Fatalf("after it was read as an index: %+v", entry.Record)
		}
	}},
	{"bad_digests", func(e *env) {
		_, add := e.s.AddLocation(e.ctx, "latest", app)
		_, inventory := e.s.PutInventory(e.ctx, 1, &gate.Inventory{})
		_, findings := e.s.PutFindings(e.ctx, &gate.Findings{}, "")
		_, verdicts := e.s.PutVerdicts(e.ctx, "x", gate.Basis{}, nil)
		for _, err := range []error{
			add, e.s.Fence(e.ctx, "", 1), e.s.PutManifest(e.ctx, gate.Manifest{Digest: "sha256:00"}),
			inventory, findings, verdicts, e.s.PutUnassessable(e.ctx, "sha512:00", 1, "x"), e.s.MarkGone(e.ctx, "x", app),
		} {
			e.want(err, gate.ErrDigestInvalid)
		}
		_, err := e.s.AddLocation(e.ctx, digest("a"), gate.Location{Registry: "r"})
		e.want(err, gate.ErrInvalid)
	}},
}
