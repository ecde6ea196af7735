package api_test

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/gate/api"
	"github.com/digestgate/digestgate/gate/view"
	"github.com/digestgate/digestgate/store/storetest"
)

type imageList struct {
	Images []view.Image
	Next   string
}

func TestListImages(t *testing.T) {
	s := newSite(t, nil)
	var empty imageList
	s.get("/images", &empty)
	if empty.Images == nil || len(empty.Images) != 0 {
		t.Errorf("an empty list: got %+v, want [] and not null", empty)
	}
	for _, name := range []string{"a", "b", "c", "d", "e"} {
		s.image(name, loc("app"))
	}
	s.scanned(digest("b"), found("CVE-1", gate.SeverityHigh))
	s.verdict(digest("b"), loc("app"), gate.OutcomeDeny)
	s.tag(loc("app"), "v1", digest("b"))
	s.catchUp()

	t.Run("pages", func(t *testing.T) {
		var got []gate.Digest
		target := "/images?limit=2"
		for {
			var page imageList
			s.get(target, &page)
			for _, i := range page.Images {
				got = append(got, i.Digest)
			}
			if page.Next == "" {
				break
			}
			target = "/images?limit=2&cursor=" + page.Next
		}
		want := []gate.Digest{digest("e"), digest("d"), digest("c"), digest("b"), digest("a")}
		if !slices.Equal(got, want) {
			t.Errorf("got %v, want %v", got, want)
		}
	})
	t.Run("row", func(t *testing.T) {
		var list imageList
		s.get("/images?state=scanned&decision=deny&registry=hub&repository=app&kind=image&q=v1", &list)
		if len(list.Images) != 1 {
			t.Fatalf("got %+v, want one", list)
		}
		got := list.Images[0]
		want := view.Image{
			Digest: digest("b"), Kind: gate.KindImage, Platform: "linux/amd64", State: gate.StateScanned, Decision: gate.OutcomeDeny,
			Counts: gate.Counts{High: 1}, Size: 1000, AnalyzedAt: got.AnalyzedAt, SeenAt: got.SeenAt,
			Locations: []view.Place{{Registry: "hub", Repository: "app", Tags: []string{"v1"}}}, Accessories: []view.Accessory{},
		}
		if diff := cmp.Diff(want, got); diff != "" || got.AnalyzedAt == nil || got.SeenAt.IsZero() {
			t.Errorf("row (-want +got):\n%s", diff)
		}
	})
}

// TestImageMembers compares the names with those that DESIGN.md §7 promises to
// the programs of others.
func TestImageMembers(t *testing.T) {
	s := newSite(t, nil)
	d := s.image("a", loc("app"))
	s.scanned(d, found("CVE-1", gate.SeverityCritical))
	s.verdict(d, loc("app"), gate.OutcomeDeny, gate.Reason{Action: gate.OutcomeDeny, Code: gate.CodePolicy, Rule: "r", Msg: "m"})
	s.catchUp()
	const promised = `{"digest":1,"state":1,"job":1,"verdict":{"decision":1,"reasons":[{"action":1,"rule":1,"msg":1,"findings":1}],
		"policyRevision":1,"evaluatedAt":1},"advisories":{"generation":1,"updatedAt":1},"analyzedAt":1,
		"locations":[{"registry":1,"repository":1,"tags":1,"verdict":1}],"platforms":[{"platform":1,"digest":1}],
		"counts":{"critical":1,"high":1,"medium":1,"low":1,"unknown":1}}`
	var want, got any
	s.no(json.Unmarshal([]byte(promised), &want))
	s.get("/images/"+string(d), &got)
	for _, missing := range missingMembers("", want, got) {
		t.Errorf("%s is missing", missing)
	}
	// The comparison itself can fail.
	if got := missingMembers("", want, map[string]any{"verdict": nil}); len(got) == 0 {
		t.Error("the comparison finds nothing in an empty answer")
	}
	if findings := got.(map[string]any)["verdict"].(map[string]any)["reasons"].([]any)[0].(map[string]any)["findings"]; findings == nil {
		t.Error("findings of a reason are null, want []")
	}
}

// missingMembers lists the paths that want has and got does not.
func missingMembers(path string, want, got any) (missing []string) {
	switch want := want.(type) {
	case map[string]any:
		object, ok := got.(map[string]any)
		if !ok {
			return []string{path + " (an object)"}
		}
		for name, member := range want {
			if value, ok := object[name]; !ok {
				missing = append(missing, path+"."+name)
			} else {
				missing = append(missing, missingMembers(path+"."+name, member, value)...)
			}
		}
	case []any:
		list, ok := got.([]any)
		if !ok || len(list) == 0 {
			return []string{path + " (a list with an element)"}
		}
		missing = missingMembers(path+"[]", want[0], list[0])
	}
	return missing
}

func TestGetImage(t *testing.T) {
	s := newSite(t, nil)
	var v view.ImageDetail
	t.Run("unknown", func(t *testing.T) {
		s := *s
		s.T = t
		s.refused(s.send("GET", "/api/v1/images/"+string(digest("x")), "", nil), http.StatusNotFound, "never pushed")
	})
	for _, wrong := range []string{"sha256:abc", "latest", "sha512:" + strings.Repeat("a", 64), strings.ToUpper(string(digest("x"))), strings.Repeat("a", 100)} {
		s.refused(s.send("GET", "/api/v1/images/"+wrong, "", nil), http.StatusUnprocessableEntity, "")
	}
	d := s.image("a", loc("one"), loc("two"))
	s.catchUp()
	s.get("/images/"+string(d), &v)
	if v.Verdict != nil || v.AnalyzedAt != nil || v.Advisories != nil || v.Job != nil || v.State != gate.StateNotScanned || len(v.Platforms) != 1 {
		t.Errorf("before its scan: got %+v", v)
	}
	job, _, err := s.store.Enqueue(s.ctx, gate.JobRequest{Kind: gate.JobAnalyze, Location: loc("one"), Digest: d, Trigger: gate.TriggerPush})
	s.no(err)
	s.get("/images/"+string(d), &v)
	if v.Job == nil || v.Job.ID != job.ID || v.State != gate.StateQueued {
		t.Errorf("queued: got %+v", v)
	}
	s.scanned(d, found("CVE-1", gate.SeverityLow))
	s.verdict(d, loc("one"), gate.OutcomeAllow)
	s.get("/images/"+string(d), &v)
	if v.Verdict != nil || v.State != gate.StateScanned || v.Job == nil || v.Locations[0].Verdict == nil {
		t.Errorf("one of two locations has no verdict: got %+v, want no verdict of the whole", v)
	}
	s.verdict(d, loc("two"), gate.OutcomeDeny)
	s.get("/images/"+string(d), &v)
	if v.Verdict == nil || v.Verdict.Decision != gate.OutcomeDeny || v.Locations[0].Verdict.Decision != gate.OutcomeAllow {
		t.Errorf("deny at one location: got %+v, want the worst", v)
	}
	if v.Advisories == nil || v.Advisories.Generation != 7 || v.Counts.Low != 1 {
		t.Errorf("advisories and counts: got %+v, %+v", v.Advisories, v.Counts)
	}
}

// TestIndexIsItsChildren: what an index shows is computed when it is read, and
// agrees with what the list shows.
func TestIndexIsItsChildren(t *testing.T) {
	s := newSite(t, nil)
	l := loc("app")
	set := gate.Manifest{Digest: digest("set"), Kind: gate.KindIndex, Children: []gate.Child{
		{Digest: digest("one"), Platform: gate.Platform{OS: "linux", Architecture: "amd64"}, Judged: true},
		{Digest: digest("two"), Platform: gate.Platform{OS: "linux", Architecture: "arm64"}, Judged: true},
		// The same manifest once more counts once.
		{Digest: digest("two"), Platform: gate.Platform{OS: "linux", Architecture: "arm64", Variant: "v8"}, Judged: true},
		{Digest: digest("win"), Platform: gate.Platform{OS: "windows", Architecture: "amd64"}},
	}}
	s.no(s.store.PutManifest(s.ctx, set))
	_, err := s.store.AddLocation(s.ctx, set.Digest, l)
	s.no(err)
	one, two := s.image("one", l), s.image("two", l, loc("elsewhere"))
	win := s.image("win", l)
	expect := func(step string, state gate.State, verdict, here gate.Outcome, counts gate.Counts) {
		t.Helper()
		s.catchUp()
		var v view.ImageDetail
		s.get("/images/"+string(set.Digest), &v)
		decision := func(v *view.Verdict) gate.Outcome {
			if v == nil {
				return gate.OutcomeNone
			}
			return v.Decision
		}
		if v.State != state || decision(v.Verdict) != verdict || decision(v.Locations[0].Verdict) != here || v.Counts != counts {
			t.Errorf("%s: got %s, %s, here %s, %+v; want %s, %s, %s, %+v", step,
				v.State, decision(v.Verdict), decision(v.Locations[0].Verdict), v.Counts, state, verdict, here, counts)
		}
		if len(v.Platforms) != 4 || v.Platforms[3].Judged || v.Platforms[3].Platform != "windows/amd64" || !v.Platforms[0].Judged {
			t.Errorf("%s: platforms %+v", step, v.Platforms)
		}
		var list imageList
		s.get("/images?kind=index", &list)
		if row := list.Images[0]; row.State != state || row.Decision != verdict || row.Counts != counts {
			t.Errorf("%s: the list has %s, %s, %+v", step, row.State, row.Decision, row.Counts)
		}
	}
	const none, allow, warn, deny = gate.OutcomeNone, gate.OutcomeAllow, gate.OutcomeWarn, gate.OutcomeDeny
	s.verdict(win, l, deny)
	expect("nothing_scanned", gate.StateNotScanned, none, none, gate.Counts{})
	s.scanned(one, found("CVE-1", gate.SeverityHigh))
	s.verdict(one, l, allow)
	expect("one_of_two_is_no_allow", gate.StateNotScanned, none, none, gate.Counts{High: 1})
	s.scanned(two, found("CVE-2", gate.SeverityHigh))
	s.verdict(two, l, warn)
	s.verdict(two, loc("elsewhere"), warn)
	expect("both", gate.StateScanned, warn, warn, gate.Counts{High: 2})
	s.verdict(two, loc("elsewhere"), deny)
	expect("refused_elsewhere", gate.StateScanned, deny, warn, gate.Counts{High: 2})
	s.verdict(one, l, deny)
	expect("refused_here", gate.StateScanned, deny, deny, gate.Counts{High: 2})
}

func TestFindings(t *testing.T) {
	s := newSite(t, nil)
	d := s.image("a", loc("app"))
	target := "/images/" + string(d) + "/findings"
	s.refused(s.send("GET", "/api/v1"+target, "", nil), http.StatusNotFound, "no inventory, its state is not_scanned")
	// Analysed, and no advisory data was there.
	s.no(storetest.PutInventory(s.ctx, s.store, 1, &gate.Inventory{Format: gate.InventoryFormat, Digest: d, AnalyzedAt: s.now.Now()}))
	var v view.FindingsDetail
	s.get(target, &v)
	if v.MatchedAt != nil || v.Advisories != nil || v.Vulnerabilities == nil || v.Secrets == nil || v.Gaps == nil || v.Errors == nil || v.Skipped == nil {
		t.Errorf("not matched: got %+v, want matchedAt null and lists empty", v)
	}
	s.scanned(d, found("CVE-1", gate.SeverityCritical), found("CVE-2", gate.SeverityLow), found("CVE-3", gate.SeverityLow))
	ids := func(query string) (ids []string) {
		t.Helper()
		s.get(target+query, &v)
		for _, f := range v.Vulnerabilities {
			ids = append(ids, f.ID)
		}
		return ids
	}
	if got := ids(""); !slices.Equal(got, []string{"CVE-1", "CVE-2", "CVE-3"}) {
		t.Errorf("all: got %q", got)
	}
	if v.Advisories.Generation != 7 || v.MatchedAt == nil || v.Packages != 1 || v.OS.Family != "debian" || v.Risks[gate.RiskSecrets].Reason != "one file" {
		t.Errorf("facts: got %+v", v)
	}
	if got := ids("?severity=LOW"); !slices.Equal(got, []string{"CVE-2", "CVE-3"}) {
		t.Errorf("LOW: got %q", got)
	}
	if got := ids("?severity=HIGH"); len(got) != 0 || v.Vulnerabilities == nil {
		t.Errorf("HIGH: got %q", got)
	}
	s.refused(s.send("GET", "/api/v1"+target+"?severity=low", "", nil), http.StatusUnprocessableEntity, "severity")
}

// TestStandingGeneration: of findings that stand in the data in use the generation that is
// shown is that one, with its time, of an image, its findings and its index; of all others
// their own.
func TestStandingGeneration(t *testing.T) {
	now := gate.Generation{Number: 9, UpdatedAt: time.Date(2026, 11, 22, 0, 0, 0, 0, time.UTC)}
	stands := map[gate.Digest]bool{}
	s := newSite(t, func(o *api.Options) {
		o.Stands = func(rec *gate.Record) (gate.Generation, bool) { return now, stands[rec.Digest] }
	})
	d, e := s.image("a", loc("app")), s.image("b", loc("app"))
	s.scanned(d, found("CVE-1", gate.SeverityLow))
	s.scanned(e, found("CVE-1", gate.SeverityLow))
	index := digest("index")
	s.no(s.store.PutManifest(s.ctx, gate.Manifest{Digest: index, Kind: gate.KindIndex, Children: []gate.Child{
		{Digest: d, Platform: gate.Platform{OS: "linux", Architecture: "amd64"}, Judged: true},
		{Digest: e, Platform: gate.Platform{OS: "linux", Architecture: "arm64"}, Judged: true},
	}}))
	_, err := s.store.AddLocation(s.ctx, index, loc("app"))
	s.no(err)
	s.catchUp()
	own := view.Advisories{Generation: 7, UpdatedAt: time.Date(2026, 11, 20, 0, 0, 0, 0, time.UTC)}
	lifted := view.Advisories{Generation: now.Number, UpdatedAt: now.UpdatedAt}
	for _, c := range []struct {
		stands []gate.Digest
		want   map[gate.Digest]view.Advisories
	}{
		{nil, map[gate.Digest]view.Advisories{d: own, e: own, index: own}},
		{[]gate.Digest{d}, map[gate.Digest]view.Advisories{d: lifted, e: own, index: own}},
		{[]gate.Digest{e}, map[gate.Digest]view.Advisories{d: own, e: lifted, index: own}},
		{[]gate.Digest{d, e}, map[gate.Digest]view.Advisories{d: lifted, e: lifted, index: lifted}},
	} {
		clear(stands)
		for _, one := range c.stands {
			stands[one] = true
		}
		for one, want := range c.want {
			var image view.ImageDetail
			var findings view.FindingsDetail
			s.get("/images/"+string(one), &image)
			s.get("/images/"+string(one)+"/findings", &findings)
			if image.Advisories == nil || *image.Advisories != want || findings.Advisories == nil || *findings.Advisories != want {
				t.Errorf("%d stand, %s: got %+v and %+v, want %+v", len(c.stands), one.Short(), image.Advisories, findings.Advisories, want)
			}
		}
	}
}

// TestHostileText: what an image says of itself comes back as data.
func TestHostileText(t *testing.T) {
	s := newSite(t, nil)
	d := s.image("a", loc("app"))
	const evil = "</script><script>alert(1)</script>\x00\x1b[31m\u202e\u2028\"\\"
	v := found(evil, gate.SeverityHigh)
	v.Title, v.Path, v.Package = evil, evil+"\xff", evil
	s.scanned(d, v)
	s.verdict(d, loc("app"), gate.OutcomeDeny, gate.Reason{Action: gate.OutcomeDeny, Rule: evil, Msg: evil})
	a := s.send("GET", "/api/v1/images/"+string(d)+"/findings", "", nil)
	var got view.FindingsDetail
	if err := json.Unmarshal([]byte(a.body), &got); err != nil || got.Vulnerabilities[0].Title != evil {
		t.Errorf("got %v, %q", err, a.body)
	}
	if strings.ContainsAny(a.body, "\x00\x1b") || !utf8.ValidString(a.body) {
		t.Errorf("control characters are not escaped: %q", a.body)
	}
	if a.header.Get("X-Content-Type-Options") != "nosniff" || a.header.Get("Cache-Control") != "no-store" || a.header.Get("Content-Type") != "application/json" {
		t.Errorf("headers: %v", a.header)
	}
	var image view.ImageDetail
	s.get("/images/"+string(d), &image)
	if image.Verdict.Reasons[0].Msg != evil {
		t.Errorf("reason: got %q", image.Verdict.Reasons[0].Msg)
	}
}
