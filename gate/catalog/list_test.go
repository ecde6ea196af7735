package catalog_test

import (
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/store/sqlite"
)

// names turns rows back into the names that the test gave.
func names(list []gate.ListedImage, all ...string) []string {
	got := []string{}
	for _, i := range list {
		at := slices.IndexFunc(all, func(name string) bool { return digest(name) == i.Digest })
		if at < 0 {
			got = append(got, string(i.Digest))
			continue
		}
		got = append(got, all[at])
	}
	return got
}

func TestImageFilters(t *testing.T) {
	s := newSite(t, sqlite.Options{})
	second := gate.Location{Registry: "second", Repository: "app"}
	good := s.image("good", loc("app"))
	s.scanned(good)
	s.matched(good)
	s.verdict(good, loc("app"), gate.OutcomeAllow)
	bad := s.image("bad", loc("team/web_server"), second)
	s.scanned(bad)
	s.matched(bad, gate.SeverityCritical, gate.SeverityHigh, gate.SeverityHigh, "odd")
	s.verdict(bad, loc("team/web_server"), gate.OutcomeDeny)
	s.verdict(bad, second, gate.OutcomeWarn)
	s.analysis(s.image("waiting", loc("other/app")))
	s.tag(loc("other/app"), "100%", digest("waiting")) // no real tag; the escape is what counts
	s.image("idle", second)
	s.tag(second, "v1_0", digest("idle"))
	s.index("set", loc("app"), "good", "-bad")
	s.no(s.store.PutManifest(s.ctx, gate.Manifest{Digest: digest("sig"), Kind: gate.KindSignature}))
	_, err := s.store.AddLocation(s.ctx, digest("sig"), loc("app"))
	s.no(err)
	s.catchUp()

	for name, c := range map[string]struct {
		filter gate.ImageFilter
		want   []string
	}{
		"none":                        {gate.ImageFilter{}, []string{"set", "idle", "waiting", "bad", "good"}},
		"state_scanned":               {gate.ImageFilter{State: gate.StateScanned}, []string{"set", "bad", "good"}},
		"state_queued":                {gate.ImageFilter{State: gate.StateQueued}, []string{"waiting"}},
		"state_failed":                {gate.ImageFilter{State: gate.StateFailed}, []string{}},
		"decision_deny":               {gate.ImageFilter{Decision: gate.OutcomeDeny}, []string{"bad"}},
		"decision_allow":              {gate.ImageFilter{Decision: gate.OutcomeAllow}, []string{"set", "good"}},
		"decision_none":               {gate.ImageFilter{Decision: gate.OutcomeNone}, []string{"idle", "waiting"}},
		"kind":                        {gate.ImageFilter{Kind: gate.KindSignature}, []string{"sig"}},
		"registry":                    {gate.ImageFilter{Registry: "second"}, []string{"idle", "bad"}},
		"repository_in_any_registry":  {gate.ImageFilter{Repository: "app"}, []string{"set", "idle", "bad", "good"}},
		"repository_in_one":           {gate.ImageFilter{Repository: "app", Registry: "second"}, []string{"idle", "bad"}},
		"repository_is_whole":         {gate.ImageFilter{Repository: "ap"}, []string{}},
		"keyword_repository":          {gate.ImageFilter{Keyword: "web"}, []string{"bad"}},
		"keyword_tag":                 {gate.ImageFilter{Keyword: "v1"}, []string{"idle"}},
		"keyword_digest":              {gate.ImageFilter{Keyword: string(good[7:30])}, []string{"good"}},
		"keyword_digest_of_accessory": {gate.ImageFilter{Keyword: string(digest("sig"))}, []string{"sig"}},
		"keyword_any_case":            {gate.ImageFilter{Keyword: "WEB"}, []string{"bad"}},
		"percent_is_no_wildcard":      {gate.ImageFilter{Keyword: "%"}, []string{"waiting"}},
		"underscore_is_no_wildcard":   {gate.ImageFilter{Keyword: "b_s"}, []string{"bad"}},
		"escape_is_no_escape":         {gate.ImageFilter{Keyword: `\`}, []string{}},
		"quote":                       {gate.ImageFilter{Keyword: `' OR 1=1 --`}, []string{}},
		"all_together": {gate.ImageFilter{
			State: gate.StateScanned, Decision: gate.OutcomeDeny, Kind: gate.KindImage, Registry: "second", Repository: "app", Keyword: "team",
		}, []string{"bad"}},
		"limit": {gate.ImageFilter{Limit: 2}, []string{"set", "idle"}},
	} {
		t.Run(name, func(t *testing.T) {
			got := names(s.images(c.filter), "good", "bad", "waiting", "idle", "set", "sig")
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("images (-want +got):\n%s", diff)
			}
		})
	}
	row := s.one(bad)
	want := gate.ListedImage{
		Digest: bad, Kind: gate.KindImage, Platform: "linux/amd64", State: gate.StateScanned, Decision: gate.OutcomeDeny,
		Counts: gate.Counts{Critical: 1, High: 2, Unknown: 1}, Size: 1000, AnalyzedAt: row.AnalyzedAt, SeenAt: row.SeenAt,
		Places: []gate.Place{{Location: loc("team/web_server"), Tags: []string{}}, {Location: second, Tags: []string{}}},
	}
	if diff := cmp.Diff(want, row); diff != "" {
		t.Errorf("row (-want +got):\n%s", diff)
	}
	if !row.SeenAt.After(s.one(good).SeenAt) || row.AnalyzedAt.IsZero() {
		t.Errorf("times: seen %s, analysed %s", row.SeenAt, row.AnalyzedAt)
	}
}

// TestWorstLocation: one location without a verdict keeps an image from being
// listed as allowed, whichever was seen first.
func TestWorstLocation(t *testing.T) {
	s := newSite(t, sqlite.Options{})
	a, b := loc("a"), loc("b")
	for _, c := range []struct {
		a, b, want gate.Outcome
	}{
		{"", "", gate.OutcomeNone},
		{gate.OutcomeAllow, "", gate.OutcomeNone},
		{"", gate.OutcomeAllow, gate.OutcomeNone},
		{"", gate.OutcomeDeny, gate.OutcomeDeny},
		{gate.OutcomeWarn, gate.OutcomeAllow, gate.OutcomeWarn},
		{gate.OutcomeAllow, gate.OutcomeWarn, gate.OutcomeWarn},
		{gate.OutcomeAllow, gate.OutcomeAllow, gate.OutcomeAllow},
		{gate.OutcomeDeny, gate.OutcomeNone, gate.OutcomeDeny},
		{gate.OutcomeNone, gate.OutcomeWarn, gate.OutcomeNone},
	} {
		name := "image " + string(c.a) + " " + string(c.b)
		d := s.image(name, a, b)
		if c.a != "" {
			s.verdict(d, a, c.a)
		}
		if c.b != "" {
			s.verdict(d, b, c.b)
		}
		s.catchUp()
		if got := s.one(d).Decision; got != c.want {
			t.Errorf("verdicts %q and %q: listed as %q, want %q", c.a, c.b, got, c.want)
		}
	}
}

// TestIndexFollowsItsChildren: the row of an index is that of its judged
// children, and renewed when one of them changes.
func TestIndexFollowsItsChildren(t *testing.T) {
	s := newSite(t, sqlite.Options{})
	l := loc("app")
	set := s.index("set", l, "one", "two", "-ignored")
	expect := func(step string, state gate.State, decision gate.Outcome, counts gate.Counts) {
		t.Helper()
		s.catchUp()
		got := s.one(set)
		if got.State != state || got.Decision != decision || got.Counts != counts {
			t.Errorf("%s: got %s, %s, %+v; want %s, %s, %+v", step, got.State, got.Decision, got.Counts, state, decision, counts)
		}
	}
	expect("children_are_unknown", gate.StateNotScanned, gate.OutcomeNone, gate.Counts{})
	one, two := s.image("one", l), s.image("two", l)
	ignored := s.image("ignored", l)
	s.verdict(ignored, l, gate.OutcomeDeny)
	s.analysis(two)
	expect("one_is_queued", gate.StateNotScanned, gate.OutcomeNone, gate.Counts{})
	s.scanned(one)
	s.matched(one, gate.SeverityHigh)
	s.verdict(one, l, gate.OutcomeAllow)
	expect("one_is_scanned", gate.StateQueued, gate.OutcomeNone, gate.Counts{High: 1})
	s.run(gate.ErrScanFailed)
	expect("two_failed", gate.StateFailed, gate.OutcomeNone, gate.Counts{High: 1})
	s.scanned(two)
	s.matched(two, gate.SeverityCritical)
	s.verdict(two, l, gate.OutcomeDeny)
	expect("two_is_bad", gate.StateScanned, gate.OutcomeDeny, gate.Counts{High: 1, Critical: 1})
	s.verdict(two, l, gate.OutcomeWarn)
	expect("two_is_warned_of", gate.StateScanned, gate.OutcomeWarn, gate.Counts{High: 1, Critical: 1})
	if got := s.one(set); !got.AnalyzedAt.Equal(s.one(two).AnalyzedAt) {
		t.Errorf("analysed at %s, want that of the last child", got.AnalyzedAt)
	}
	empty := s.index("empty", l, "-ignored")
	s.catchUp()
	if got := s.one(empty); got.State != gate.StateUnassessable || got.Decision != gate.OutcomeNone {
		t.Errorf("an index without judged children: got %s, %s", got.State, got.Decision)
	}
	// Other platforms are configured: what is judged changes with the manifest.
	s.index("set", l, "one", "-two", "-ignored")
	expect("two_is_not_judged", gate.StateScanned, gate.OutcomeAllow, gate.Counts{High: 1})
}

func TestTagsMove(t *testing.T) {
	s := newSite(t, sqlite.Options{})
	app := loc("app")
	a, b := s.image("a", app, loc("mirror")), s.image("b", app)
	expect := func(step string, inA, inB []string) {
		t.Helper()
		s.catchUp()
		for d, want := range map[gate.Digest][]string{a: inA, b: inB} {
			got, err := s.catalog.Tags(s.ctx, d, app)
			if err != nil || !slices.Equal(got, want) {
				t.Errorf("%s: tags of %s: got %q, %v, want %q", step, d.Short(), got, err, want)
			}
			if places := s.one(d).Places; !slices.Equal(places[0].Tags, want) {
				t.Errorf("%s: listed tags of %s: got %+v, want %q", step, d.Short(), places, want)
			}
		}
	}
	expect("none", nil, nil)
	s.tag(app, "v1", a)
	s.tag(app, "latest", a)
	expect("two_tags_sorted", []string{"latest", "v1"}, nil)
	if got := s.one(a).Places[1]; got.Repository != "mirror" || len(got.Tags) != 0 {
		t.Errorf("the other repository: got %+v, want no tags", got)
	}
	s.tag(app, "latest", b)
	expect("one_moved", []string{"v1"}, []string{"latest"})
	s.no(s.store.MarkDirty(s.ctx, gate.TagKey{Location: app, Tag: "latest"}))
	expect("a_dirty_one_is_still_shown", []string{"v1"}, []string{"latest"})
	s.tag(app, "latest", "")
	expect("one_deleted", []string{"v1"}, nil)
	s.no(s.store.MarkGone(s.ctx, a, app))
	s.catchUp()
	if got := s.one(a).Places[0]; !got.Gone {
		t.Errorf("a place that is gone: got %+v", got)
	}
}

func TestJobsList(t *testing.T) {
	s := newSite(t, sqlite.Options{JobRetention: time.Hour})
	s.image("a", loc("app"))
	s.image("b", loc("app"))
	done := s.analysis(digest("a"))
	s.run(nil)
	failed := s.analysis(digest("b"))
	s.run(gate.ErrScanFailed)
	tagged := s.enqueue(gate.JobRequest{Kind: gate.JobResolve, Location: loc("app"), Tag: "v1", Trigger: gate.TriggerPush})
	s.catchUp()
	list := func(f gate.JobFilter) []string {
		t.Helper()
		jobs, _, err := s.catalog.Jobs(s.ctx, f)
		s.no(err)
		ids := []string{}
		for _, j := range jobs {
			ids = append(ids, j.ID)
		}
		return ids
	}
	for name, c := range map[string]struct {
		filter gate.JobFilter
		want   []string
	}{
		"last_changed_first": {gate.JobFilter{}, []string{tagged.ID, failed.ID, done.ID}},
		"state":              {gate.JobFilter{State: gate.JobFailed}, []string{failed.ID}},
		"kind":               {gate.JobFilter{Kind: gate.JobResolve}, []string{tagged.ID}},
		"digest":             {gate.JobFilter{Digest: digest("a")}, []string{done.ID}},
		"together":           {gate.JobFilter{Digest: digest("a"), State: gate.JobFailed}, []string{}},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(c.want, list(c.filter)); diff != "" {
				t.Errorf("jobs (-want +got):\n%s", diff)
			}
		})
	}
	t.Run("whole", func(t *testing.T) {
		jobs, _, err := s.catalog.Jobs(s.ctx, gate.JobFilter{State: gate.JobFailed})
		s.no(err)
		want, err := s.store.Job(s.ctx, failed.ID)
		s.no(err)
		if diff := cmp.Diff([]gate.Job{want}, jobs); diff != "" {
			t.Errorf("job (-want +got):\n%s", diff)
		}
	})
	t.Run("removed_by_the_store", func(t *testing.T) {
		s.clock.Advance(2 * time.Hour)
		for i := range 1200 { // the store tidies after 1,000 changes
			s.image(string(rune('a'+i%26))+string(rune('a'+i/26)), loc("app"))
		}
		s.catchUp()
		if got := list(gate.JobFilter{Digest: digest("a")}); len(got) != 0 {
			t.Errorf("a job that the store has removed is listed: %q", got)
		}
		if got := list(gate.JobFilter{State: gate.JobFailed}); len(got) != 1 {
			t.Errorf("the newest failed job: got %q, want it kept", got)
		}
	})
}

func TestScannedPages(t *testing.T) {
	s := newSite(t, sqlite.Options{})
	var want []gate.Digest
	for _, name := range []string{"a", "b", "c", "d", "e"} {
		d := s.image(name, loc("app"))
		s.scanned(d)
		want = append(want, d)
	}
	s.image("not scanned", loc("app"))
	slices.Sort(want)
	s.catchUp()
	var got []gate.Digest
	after := gate.Digest("")
	for range 4 {
		list, err := s.catalog.Scanned(s.ctx, after, 2)
		s.no(err)
		if len(list) == 0 {
			break
		}
		got = append(got, list...)
		after = list[len(list)-1]
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("digests (-want +got):\n%s", diff)
	}
}

// TestTagsOfManyDigests: what Tags lists of each location, of any number of digests.
func TestTagsOfManyDigests(t *testing.T) {
	s := newSite(t, sqlite.Options{})
	want := map[gate.Digest][]gate.TagKey{}
	var digests []gate.Digest
	for i := range 202 {
		name := fmt.Sprint("image ", i)
		d := s.image(name, loc("app"))
		digests = append(digests, d)
		if i%50 != 0 {
			continue // without a tag
		}
		for _, tag := range []string{"z", "a"} {
			tag = fmt.Sprint(tag, i)
			s.tag(loc("app"), tag, d)
			want[d] = append(want[d], gate.TagKey{Location: loc("app"), Tag: tag})
		}
		slices.Reverse(want[d])
	}
	s.catchUp()
	got, err := s.catalog.TagsOf(s.ctx, digests)
	s.no(err)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("tags (-want +got):\n%s", diff)
	}
	got, err = s.catalog.TagsOf(s.ctx, nil)
	if s.no(err); len(got) != 0 {
		t.Errorf("of none: %v", got)
	}
}

// TestPagesWithTies: a page ends between rows of the same time, and new rows do
// not move those that come.
func TestPagesWithTies(t *testing.T) {
	s := newSite(t, sqlite.Options{})
	s.clock.tick = 0 // all at once
	want := map[gate.Digest]bool{}
	for _, name := range []string{"a", "b", "c", "d", "e", "f", "g"} {
		want[s.image(name, loc("app"))] = true
	}
	s.catchUp()
	cursor, pages := "", 0
	for {
		list, next, err := s.catalog.Images(s.ctx, gate.ImageFilter{Limit: 3, Cursor: cursor})
		s.no(err)
		pages++
		for _, i := range list {
			if !want[i.Digest] {
				t.Errorf("%s is listed twice or was never there", i.Digest)
			}
			delete(want, i.Digest)
		}
		if cursor = next; next == "" {
			break
		}
		s.clock.Advance(time.Hour)
		s.image("new"+string(rune('0'+pages)), loc("app"))
		s.catchUp()
	}
	if len(want) != 0 || pages != 3 {
		t.Errorf("after %d pages %d images were not listed", pages, len(want))
	}
	// The last page of exactly the limit knows that it is the last.
	if _, next, err := s.catalog.Images(s.ctx, gate.ImageFilter{Limit: 9}); err != nil || next != "" {
		t.Errorf("a page with everything: got next %q, %v", next, err)
	}
}

func TestJobPages(t *testing.T) {
	s := newSite(t, sqlite.Options{})
	for _, tag := range []string{"a", "b", "c", "d", "e"} {
		s.enqueue(gate.JobRequest{Kind: gate.JobResolve, Location: loc("app"), Tag: tag, Trigger: gate.TriggerPush})
	}
	s.catchUp()
	var got []string
	f := gate.JobFilter{Limit: 2, Kind: gate.JobResolve}
	for {
		list, next, err := s.catalog.Jobs(s.ctx, f)
		s.no(err)
		for _, j := range list {
			got = append(got, j.Tags...)
		}
		if f.Cursor = next; next == "" {
			break
		}
	}
	if want := []string{"e", "d", "c", "b", "a"}; !slices.Equal(got, want) {
		t.Errorf("tags: got %q, want %q", got, want)
	}
}

func TestWrongPages(t *testing.T) {
	s := newSite(t, sqlite.Options{})
	for _, name := range []string{"a", "b", "c"} {
		s.analysis(s.image(name, loc("app")))
	}
	s.catchUp()
	_, ofImages, err := s.catalog.Images(s.ctx, gate.ImageFilter{Limit: 1})
	s.no(err)
	_, ofJobs, err := s.catalog.Jobs(s.ctx, gate.JobFilter{Limit: 1})
	s.no(err)
	encode := func(text string) string { return base64.RawURLEncoding.EncodeToString([]byte(text)) }
	for name, cursor := range map[string]string{
		"no_base64": "???", "no_json": encode("x"), "empty_object": encode("{}"), "null": encode("null"),
		"array": encode("[1]"), "wrong_type": encode(`{"l":"images","a":"x"}`), "cut": ofImages[:len(ofImages)-2], "a_digest": string(digest("a")),
	} {
		t.Run(name, func(t *testing.T) {
			if _, _, err := s.catalog.Images(s.ctx, gate.ImageFilter{Cursor: cursor}); !errors.Is(err, gate.ErrInvalid) {
				t.Errorf("images: got %v, want ErrInvalid", err)
			}
			if _, _, err := s.catalog.Jobs(s.ctx, gate.JobFilter{Cursor: cursor}); !errors.Is(err, gate.ErrInvalid) {
				t.Errorf("jobs: got %v, want ErrInvalid", err)
			}
		})
	}
	t.Run("of_the_other_list", func(t *testing.T) {
		if _, _, err := s.catalog.Images(s.ctx, gate.ImageFilter{Cursor: ofJobs}); !errors.Is(err, gate.ErrInvalid) {
			t.Errorf("images: got %v, want ErrInvalid", err)
		}
		if _, _, err := s.catalog.Jobs(s.ctx, gate.JobFilter{Cursor: ofImages}); !errors.Is(err, gate.ErrInvalid) {
			t.Errorf("jobs: got %v, want ErrInvalid", err)
		}
	})
	for _, limit := range []int{-1, gate.MaxPage + 1} {
		if _, _, err := s.catalog.Images(s.ctx, gate.ImageFilter{Limit: limit}); !errors.Is(err, gate.ErrInvalid) {
			t.Errorf("limit %d: got %v, want ErrInvalid", limit, err)
		}
	}
}

func TestWaiting(t *testing.T) {
	s := newSite(t, sqlite.Options{})
	waiting := func(want int64) {
		t.Helper()
		s.catchUp()
		if n, err := s.catalog.Waiting(s.ctx); err != nil || n != want {
			t.Errorf("got %d, %v, want %d", n, err, want)
		}
	}
	waiting(0)
	for _, name := range []string{"a", "b", "c"} {
		s.analysis(s.image(name, loc("app")))
	}
	waiting(0)
	claim := func(limit int64) {
		t.Helper()
		_, err := s.store.Claim(s.ctx, gate.ClaimRequest{Worker: "w", Period: gate.Period{Key: "p", Limit: limit}, Lease: time.Hour})
		if limit > 1 {
			s.no(err)
		}
	}
	claim(2)
	claim(1)
	waiting(2)
	claim(2)
	waiting(1)
}
