package storetest

import (
	"strings"
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
	e.no(e.s.PutInventory(e.ctx, epoch, inventory(name, "set-1")))
	return e.record(name).InventoryID
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
		e.want(e.s.PutInventory(e.ctx, 4, inventory("a", "late")), gate.ErrFenced)
		e.want(e.s.PutUnassessable(e.ctx, digest("a"), 4, "late"), gate.ErrFenced)
		r := e.record("a")
		if r.Epoch != 5 || r.InventoryID != "" || r.Manifest.Unassessable != "" {
			e.Fatalf("got %+v", r)
		}
		_, err := e.s.Inventory(e.ctx, digest("a"))
		e.want(err, gate.ErrNotFound)
		e.no(e.s.PutInventory(e.ctx, 5, inventory("a", "set-1")))
		e.no(e.s.Fence(e.ctx, digest("a"), 9))
		if got := e.record("a"); got.Epoch != 9 || got.AnalyzerSet != "set-1" {
			e.Fatalf("fencing lost what was known: %+v", got)
		}
	}},
	{"a_write_announces_its_epoch", func(e *env) {
		e.no(e.s.PutInventory(e.ctx, 7, inventory("a", "set-1")))
		e.want(e.s.PutInventory(e.ctx, 6, inventory("a", "late")), gate.ErrFenced)
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
		e.no(e.s.PutInventory(e.ctx, 4, inventory("a", "set-2")))
		if entry := e.entry("a"); entry.State() != gate.StateScanned {
			e.Fatalf("analysed at last, but %q: %+v", entry.State(), entry.Record)
		}
	}},
	{"bad_digests", func(e *env) {
		_, add := e.s.AddLocation(e.ctx, "latest", app)
		for _, err := range []error{
			add, e.s.Fence(e.ctx, "", 1), e.s.PutManifest(e.ctx, gate.Manifest{Digest: "sha256:00"}),
			e.s.PutInventory(e.ctx, 1, &gate.Inventory{}), e.s.PutFindings(e.ctx, &gate.Findings{}),
			e.s.PutUnassessable(e.ctx, "sha512:00", 1, "x"), e.s.PutVerdicts(e.ctx, "x", nil), e.s.MarkGone(e.ctx, "x", app),
		} {
			e.want(err, gate.ErrDigestInvalid)
		}
		_, err := e.s.AddLocation(e.ctx, digest("a"), gate.Location{Registry: "r"})
		e.want(err, gate.ErrInvalid)
	}},
}

var valueCases = []testCase{
	{"inventory_comes_back_whole", func(e *env) {
		want := inventory("a", "set-1")
		e.no(e.s.PutInventory(e.ctx, 1, want))
		got, err := e.s.Inventory(e.ctx, digest("a"))
		e.no(err)
		if diff := cmp.Diff(want, got); diff != "" {
			e.Fatalf("inventory (-want +got):\n%s", diff)
		}
		r := e.record("a")
		if r.InventoryID == "" || r.AnalyzerSet != "set-1" || !r.AnalyzedAt.Equal(want.AnalyzedAt) {
			e.Fatalf("got %+v", r)
		}
	}},
	{"ids_are_those_of_the_content", func(e *env) {
		one := e.scanned("a", 1)
		if again := e.scanned("a", 2); again != one {
			e.Fatalf("the same inventory has ids %q and %q", one, again)
		}
		e.no(e.s.PutInventory(e.ctx, 3, inventory("a", "set-2")))
		if e.record("a").InventoryID == one {
			e.Fatalf("another inventory has the same id")
		}
	}},
	{"large_values", func(e *env) {
		inv := inventory("a", "set-1")
		for i := range 20_000 {
			inv.Packages = append(inv.Packages, gate.Package{Name: name("package", i), Version: "1.2.3", Licenses: []string{"GPL-2.0-or-later"}})
		}
		e.no(e.s.PutInventory(e.ctx, 1, inv))
		got, err := e.s.Inventory(e.ctx, digest("a"))
		e.no(err)
		if diff := cmp.Diff(inv, got); diff != "" {
			e.Fatal("20,000 packages do not come back")
		}
	}},
	{"newer_format_is_a_conflict", func(e *env) {
		inv := inventory("a", "set-1")
		inv.Format = gate.InventoryFormat + 1
		e.no(e.s.PutInventory(e.ctx, 1, inv))
		_, err := e.s.Inventory(e.ctx, digest("a"))
		e.want(err, gate.ErrConflict)
	}},
	{"unknown_values", func(e *env) {
		_, err := e.s.Inventory(e.ctx, digest("a"))
		e.want(err, gate.ErrNotFound)
		_, err = e.s.Findings(e.ctx, digest("a"))
		e.want(err, gate.ErrNotFound)
	}},
	{"findings_come_back_with_their_summary", func(e *env) {
		want := findings("a", e.scanned("a", 1), 4)
		e.no(e.s.PutFindings(e.ctx, want))
		got, err := e.s.Findings(e.ctx, digest("a"))
		e.no(err)
		if diff := cmp.Diff(want, got); diff != "" {
			e.Fatalf("findings (-want +got):\n%s", diff)
		}
		r := e.record("a")
		if r.FindingsID == "" || r.FindingsOf != r.InventoryID || r.Generation != 4 || r.Matcher != "m1" ||
			!r.MatchedAt.Equal(want.MatchedAt) || r.Counts != (gate.Counts{Critical: 1, Low: 1}) {
			e.Fatalf("got %+v", r)
		}
	}},
	{"findings_of_another_inventory_conflict", func(e *env) {
		e.want(e.s.PutFindings(e.ctx, findings("a", "", 1)), gate.ErrConflict)
		e.want(e.s.PutFindings(e.ctx, findings("a", "sha256:1", 1)), gate.ErrConflict)
		old := e.scanned("a", 1)
		e.no(e.s.PutInventory(e.ctx, 2, inventory("a", "set-2")))
		e.want(e.s.PutFindings(e.ctx, findings("a", old, 1)), gate.ErrConflict)
		_, err := e.s.Findings(e.ctx, digest("a"))
		e.want(err, gate.ErrNotFound)
	}},
	{"older_generation_conflicts_unless_the_inventory_is_new", func(e *env) {
		id := e.scanned("a", 1)
		e.no(e.s.PutFindings(e.ctx, findings("a", id, 5)))
		e.want(e.s.PutFindings(e.ctx, findings("a", id, 4)), gate.ErrConflict)
		same := findings("a", id, 5)
		same.Matcher = "m2"
		e.no(e.s.PutFindings(e.ctx, same))
		e.no(e.s.PutInventory(e.ctx, 2, inventory("a", "set-2")))
		e.no(e.s.PutFindings(e.ctx, findings("a", e.record("a").InventoryID, 4)))
		if r := e.record("a"); r.Generation != 4 {
			e.Fatalf("got generation %d", r.Generation)
		}
	}},
	{"a_rescan_does_not_hide_the_last_findings", func(e *env) {
		id := e.scanned("a", 1)
		e.no(e.s.PutFindings(e.ctx, findings("a", id, 5)))
		e.no(e.s.Fence(e.ctx, digest("a"), 2))
		e.no(e.s.PutInventory(e.ctx, 2, inventory("a", "set-2")))
		r := e.record("a")
		if r.FindingsID == "" || r.FindingsOf != id || r.InventoryID == id {
			e.Fatalf("got %+v", r)
		}
		got, err := e.s.Findings(e.ctx, digest("a"))
		e.no(err)
		if got.InventoryID != id {
			e.Fatalf("got findings of %q", got.InventoryID)
		}
	}},
}

func verdict(loc gate.Location, outcome gate.Outcome, at time.Time) gate.Verdict {
	return gate.Verdict{Location: loc, Decision: gate.Decision{
		Outcome: outcome, Code: gate.CodePolicy, PolicyRevision: "r1", EvaluatedAt: at,
		Reasons: []gate.Reason{{Action: gate.OutcomeDeny, Code: gate.CodePolicy, Rule: "fixable", Msg: "openssl & <co>", Findings: []string{"CVE-1"}}},
	}}
}

var verdictCases = []testCase{
	{"stored_for_known_locations", func(e *env) {
		_, err := e.s.AddLocation(e.ctx, digest("a"), app)
		e.no(err)
		v := verdict(app, gate.OutcomeDeny, e.now())
		e.no(e.s.PutVerdicts(e.ctx, digest("a"), []gate.Verdict{v, verdict(other, gate.OutcomeAllow, e.now())}))
		r := e.record("a")
		if len(r.Locations) != 1 {
			e.Fatalf("a verdict made a location: %+v", r.Locations)
		}
		if diff := cmp.Diff(v.Decision, r.Locations[0].Verdict); diff != "" {
			e.Fatalf("verdict (-want +got):\n%s", diff)
		}
	}},
	{"unchanged_but_for_its_time_writes_nothing", func(e *env) {
		_, err := e.s.AddLocation(e.ctx, digest("a"), app)
		e.no(err)
		e.no(e.s.PutVerdicts(e.ctx, digest("a"), []gate.Verdict{verdict(app, gate.OutcomeDeny, e.now())}))
		before := e.record("a")
		seq := e.lastSeq()
		e.no(e.s.PutVerdicts(e.ctx, digest("a"), []gate.Verdict{verdict(app, gate.OutcomeDeny, e.now().Add(time.Hour))}))
		if diff := cmp.Diff(before, e.record("a")); diff != "" || e.lastSeq() != seq {
			e.Fatalf("it was written:\n%s", diff)
		}
		e.no(e.s.PutVerdicts(e.ctx, digest("a"), []gate.Verdict{verdict(app, gate.OutcomeWarn, e.now())}))
		if e.record("a").Version <= before.Version {
			e.Fatalf("another outcome was not written")
		}
	}},
	{"unknown_digest", func(e *env) {
		e.no(e.s.PutVerdicts(e.ctx, digest("a"), []gate.Verdict{verdict(app, gate.OutcomeDeny, e.now())}))
		if e.record("a").Known() {
			e.Fatalf("a verdict made a record")
		}
	}},
}

func key(tag string) gate.TagKey { return gate.TagKey{Location: app, Tag: tag} }

func (e *env) tag(tag string) (gate.TagMapping, bool) {
	e.Helper()
	res, err := e.s.Read(e.ctx, gate.ReadRequest{Tags: []gate.TagKey{key(tag)}})
	e.no(err)
	m, ok := res.Tags[key(tag)]
	return m, ok
}

func (e *env) putTag(tag string, d gate.Digest, readAt time.Time) gate.TagMapping {
	e.Helper()
	m, err := e.s.PutTag(e.ctx, key(tag), d, readAt)
	e.no(err)
	stored, _ := e.tag(tag)
	if diff := cmp.Diff(m, stored); diff != "" {
		e.Fatalf("PutTag answered another mapping than the stored one:\n%s", diff)
	}
	return m
}

var tagCases = []testCase{
	{"unknown_tag", func(e *env) {
		if m, ok := e.tag("v1"); ok {
			e.Fatalf("got %+v", m)
		}
	}},
	{"read_is_stored", func(e *env) {
		m := e.putTag("v1", digest("a"), e.now())
		want := gate.TagMapping{TagKey: key("v1"), Digest: digest("a"), ReadAt: e.now()}
		if diff := cmp.Diff(want, m); diff != "" {
			e.Fatalf("mapping (-want +got):\n%s", diff)
		}
		if !m.Usable(e.now(), time.Minute) {
			e.Fatalf("a fresh mapping is not usable")
		}
	}},
	{"later_start_wins_whatever_ends_first", func(e *env) {
		early := e.now()
		e.advance(time.Second)
		late := e.now()
		e.advance(time.Second)
		e.putTag("v1", digest("new"), late)
		if m := e.putTag("v1", digest("old"), early); m.Digest != digest("new") || !m.ReadAt.Equal(late) {
			e.Fatalf("got %+v", m)
		}
		e.putTag("v2", digest("old"), early)
		if m := e.putTag("v2", digest("new"), late); m.Digest != digest("new") {
			e.Fatalf("got %+v", m)
		}
	}},
	{"dirty_until_read_after_the_mark", func(e *env) {
		before := e.now()
		e.putTag("v1", digest("a"), before)
		e.advance(time.Second)
		e.no(e.s.MarkDirty(e.ctx, key("v1")))
		m, _ := e.tag("v1")
		if !m.Dirty || !m.DirtyAt.Equal(e.now()) || m.Digest != digest("a") || m.Usable(e.now(), time.Hour) {
			e.Fatalf("got %+v", m)
		}
		if m := e.putTag("v1", digest("b"), e.now().Add(-time.Millisecond)); !m.Dirty {
			e.Fatalf("a read that started before the mark cleared it")
		}
		if m := e.putTag("v1", digest("b"), e.now()); !m.Dirty {
			e.Fatalf("a read that started at the mark cleared it")
		}
		e.advance(time.Millisecond)
		if m := e.putTag("v1", digest("c"), e.now()); m.Dirty || m.Digest != digest("c") {
			e.Fatalf("got %+v", m)
		}
	}},
	{"mark_of_an_unknown_tag", func(e *env) {
		e.no(e.s.MarkDirty(e.ctx, key("v1")))
		m, ok := e.tag("v1")
		if !ok || !m.Dirty || m.Digest != "" || m.Gone || m.Usable(e.now(), time.Hour) {
			e.Fatalf("got %+v", m)
		}
		e.advance(time.Second)
		if m := e.putTag("v1", digest("a"), e.now()); m.Dirty || m.Digest != digest("a") {
			e.Fatalf("got %+v", m)
		}
	}},
	{"gone_and_back", func(e *env) {
		e.putTag("v1", digest("a"), e.now())
		e.advance(time.Second)
		if m := e.putTag("v1", "", e.now()); !m.Gone || m.Digest != "" || m.Usable(e.now(), time.Hour) {
			e.Fatalf("got %+v", m)
		}
		e.advance(time.Second)
		if m := e.putTag("v1", digest("b"), e.now()); m.Gone || m.Digest != digest("b") {
			e.Fatalf("got %+v", m)
		}
	}},
	{"a_read_from_the_future_counts_as_now", func(e *env) {
		if m := e.putTag("v1", digest("a"), e.now().Add(time.Hour)); !m.ReadAt.Equal(e.now()) {
			e.Fatalf("got %s at %s", m.ReadAt, e.now())
		}
		e.advance(time.Second)
		if m := e.putTag("v1", digest("b"), e.now()); m.Digest != digest("b") {
			e.Fatalf("a wrong clock has frozen the tag: %+v", m)
		}
	}},
	{"nonsense_is_refused", func(e *env) {
		_, err := e.s.PutTag(e.ctx, key("v1"), "abc", e.now())
		e.want(err, gate.ErrDigestInvalid)
		for _, k := range []gate.TagKey{{}, key(""), key("a\nb"), key(strings.Repeat("x", store.MaxKey))} {
			_, err := e.s.PutTag(e.ctx, k, digest("a"), e.now())
			if err == nil || e.s.MarkDirty(e.ctx, k) == nil {
				e.Errorf("tag %q was accepted", k)
			}
			e.wantClassified(err)
		}
	}},
}

var settingCases = []testCase{
	{"compare_and_set", func(e *env) {
		_, _, err := e.s.Setting(e.ctx, "tick")
		e.want(err, gate.ErrNotFound)
		_, err = e.s.PutSetting(e.ctx, "tick", []byte("x"), 3)
		e.want(err, gate.ErrConflict)
		v1, err := e.s.PutSetting(e.ctx, "tick", []byte("one"), 0)
		e.no(err)
		_, err = e.s.PutSetting(e.ctx, "tick", []byte("two"), 0)
		e.want(err, gate.ErrConflict)
		value, version, err := e.s.Setting(e.ctx, "tick")
		e.no(err)
		if string(value) != "one" || version != v1 || v1 <= 0 {
			e.Fatalf("got %q at version %d", value, version)
		}
		v2, err := e.s.PutSetting(e.ctx, "tick", nil, v1)
		e.no(err)
		if v2 <= v1 {
			e.Fatalf("version went from %d to %d", v1, v2)
		}
		value, _, err = e.s.Setting(e.ctx, "tick")
		e.no(err)
		if len(value) != 0 {
			e.Fatalf("got %q", value)
		}
	}},
	{"sizes", func(e *env) {
		big := make([]byte, store.MaxSetting)
		_, err := e.s.PutSetting(e.ctx, "big", big, 0)
		e.no(err)
		_, err = e.s.PutSetting(e.ctx, "bigger", append(big, 0), 0)
		e.want(err, gate.ErrTooLarge)
		_, err = e.s.PutSetting(e.ctx, "", nil, 0)
		e.want(err, gate.ErrInvalid)
	}},
}

var readCases = []testCase{
	{"many_at_once", func(e *env) {
		const n = 150
		var req gate.ReadRequest
		for i := range n {
			d, k := digest(name("d", i)), key(name("v", i))
			req.Digests, req.Tags = append(req.Digests, d), append(req.Tags, k)
			if i%2 == 0 {
				continue
			}
			_, err := e.s.AddLocation(e.ctx, d, app)
			e.no(err)
			_, err = e.s.AddLocation(e.ctx, d, other)
			e.no(err)
			e.enqueue(analyze(name("d", i), gate.TriggerPush), gate.EnqueuedNew)
			_, err = e.s.PutTag(e.ctx, k, d, e.now())
			e.no(err)
		}
		req.Digests = append(req.Digests, req.Digests[1], req.Digests[1]) // asking twice is allowed
		res, err := e.s.Read(e.ctx, req)
		e.no(err)
		if len(res.Digests) != n || len(res.Tags) != n/2 || !res.Now.Equal(e.now()) {
			e.Fatalf("got %d digests and %d tags at %s", len(res.Digests), len(res.Tags), res.Now)
		}
		for i, d := range req.Digests[:n] {
			entry := res.Digests[d]
			if known := i%2 == 1; entry.Record.Known() != known || (entry.Job != nil) != known {
				e.Fatalf("digest %d: got %+v", i, entry)
			}
			if entry.Job != nil && (entry.Job.Digest != d || entry.Record.Digest != d || len(entry.Record.Locations) != 2) {
				e.Fatalf("digest %d: got %+v and %+v", i, entry.Record, entry.Job)
			}
		}
	}},
	{"newest_analyze_job_only", func(e *env) {
		e.enqueue(gate.JobRequest{Kind: gate.JobProvenance, Location: app, Digest: digest("a"), Trigger: gate.TriggerPush}, gate.EnqueuedNew)
		if job := e.entry("a").Job; job != nil {
			e.Fatalf("got a %s job", job.Kind)
		}
		e.claim()
		e.enqueue(analyze("a", gate.TriggerPush), gate.EnqueuedNew)
		first := e.claim()
		if job := e.entry("a").Job; job == nil || job.ID != first.ID || job.State != gate.JobRunning || e.entry("a").State() != gate.StateScanning {
			e.Fatalf("got %+v", job)
		}
		e.finishWith(first, gate.Result{Err: gate.ErrScanFailed, Final: true}, gate.JobFailed)
		second := e.enqueue(analyze("a", gate.TriggerPush), gate.EnqueuedNew)
		if job := e.entry("a").Job; job.ID != second.ID || job.State != gate.JobQueued {
			e.Fatalf("got %+v", job)
		}
	}},
	{"nothing_asked", func(e *env) {
		res, err := e.s.Read(e.ctx, gate.ReadRequest{})
		e.no(err)
		if len(res.Digests) != 0 || len(res.Tags) != 0 || res.Now.IsZero() {
			e.Fatalf("got %+v", res)
		}
	}},
}
