package notify

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/gate/agree"
	"github.com/digestgate/digestgate/gate/notify/text"
)

// record is a source in memory.
type recordOf struct {
	mu      sync.Mutex
	changes []gate.StandingChange
	lost    int64 // the record does not reach back to positions below it
	running map[gate.Digest]bool
	reads   int
}

func (r *recordOf) add(c ...gate.StandingChange) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.changes = append(r.changes, c...)
}

func (r *recordOf) Newest(context.Context) (int64, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return int64(len(r.changes)), nil
}

func (r *recordOf) After(_ context.Context, position int64, limit int) ([]gate.StandingChange, int64, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.reads++
	if position < r.lost {
		return nil, position, fmt.Errorf("gone: %w", gate.ErrConflict)
	}
	list := r.changes[position:min(position+int64(limit), int64(len(r.changes)))]
	return list, position + int64(len(list)), nil
}

func (r *recordOf) Surroundings(_ context.Context, digests []gate.Digest) (Surroundings, error) {
	s := Surroundings{Places: map[gate.Digest][]gate.Location{}, Running: r.running}
	for _, d := range digests {
		s.Places[d] = []gate.Location{{Registry: "reg", Repository: "team/app"}}
	}
	return s, nil
}

// chat is a vendor in memory.
type chat struct {
	mu      sync.Mutex
	letters []Letter
	at      []time.Time
	fail    func(n int, l Letter) error // nil: everything is taken
	hang    bool
	tries   int
}

func (c *chat) vendor(name string) Vendor {
	return Vendor{
		Type: name, Markup: text.Markdown, Template: ListTemplate, Limit: 4096, Every: 3 * time.Second, TakesSecret: true,
		Open: func(Access) (Sender, error) { return c, nil },
	}
}

func (c *chat) Address() string { return "chat.example.com:443" }
func (c *chat) Close()          {}

func (c *chat) Send(ctx context.Context, l Letter) (Answer, error) {
	if c.hang {
		<-ctx.Done()
		return Answer{}, ctx.Err()
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.tries++
	if c.fail != nil {
		if err := c.fail(c.tries, l); err != nil {
			return Answer{Status: 500}, err
		}
	}
	c.letters = append(c.letters, l)
	c.at = append(c.at, time.Now())
	return Answer{Status: 200}, nil
}

func (c *chat) taken() []Letter {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]Letter(nil), c.letters...)
}

// fixture is an installation with the targets of a list.
type fixture struct {
	*Engine
	source *recordOf
	store  *agree.OwnStore
	chats  map[string]*chat
}

func newFixture(t *testing.T, list ...Config) *fixture {
	t.Helper()
	f := &fixture{source: &recordOf{}, store: agree.NewOwnStore(time.Now), chats: map[string]*chat{}}
	var vendors []Vendor
	for i := range list {
		c := &chat{}
		list[i].Type = list[i].Name
		f.chats[list[i].Name] = c
		vendors = append(vendors, c.vendor(list[i].Name))
	}
	f.Engine = &Engine{
		Store: f.store, Source: f.source, Log: slog.New(slog.DiscardHandler), Now: time.Now,
		Targets: &Targets{Maker: Maker{Vendors: vendors, Now: time.Now, Link: "https://gate.example.com"}, File: list, Store: f.store, Keys: [][]byte{[]byte("0123456789abcdef0123456789abcdef")}},
	}
	return f
}

// during runs the engine while work runs.
func (f *fixture) during(t *testing.T, work func()) {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); _ = f.Send(ctx) }()
	synctest.Wait()
	work()
	synctest.Wait()
	stop()
	<-done
}

func digest(n int) gate.Digest {
	return gate.Digest(fmt.Sprintf("sha256:%08x%056x", n, 0))
}

func found(n int, list ...gate.Vulnerability) gate.StandingChange {
	all := gate.Findings{Vulnerabilities: list}
	return gate.StandingChange{Digest: digest(n), At: time.Now(), Findings: &gate.FindingsChange{Found: gate.ChangedFindings{List: list, Total: all.Count()}}}
}

func flipped(n int, before, after gate.Outcome, repository string) gate.StandingChange {
	return gate.StandingChange{Digest: digest(n), At: time.Now(), Verdicts: []gate.VerdictChange{{
		Location: gate.Location{Registry: "reg", Repository: repository}, Before: gate.VerdictRef{Outcome: before}, After: gate.VerdictRef{Outcome: after, Code: "POLICY", Rules: []string{"max-severity"}},
	}}}
}

func cve(id string, s gate.Severity) gate.Vulnerability {
	return gate.Vulnerability{ID: id, Package: "expat", InstalledVersion: "2.5.0", FixedVersion: "2.5.1", Severity: s}
}

// TestGeneration: 10,000 findings that one generation changes, and the flips that follow,
// are one message for each target.
func TestGeneration(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, Config{Name: "a"}, Config{Name: "b", MinSeverity: gate.SeverityCritical})
		f.during(t, func() {
			for i := range 10_000 {
				f.source.add(found(i, cve(fmt.Sprintf("CVE-2026-%d", i%200), gate.SeverityHigh)))
			}
			f.source.add(flipped(7, gate.OutcomeAllow, gate.OutcomeDeny, "team/app"))
			time.Sleep(5 * time.Minute)
		})
		a, b := f.chats["a"].taken(), f.chats["b"].taken()
		if len(a) != 1 || len(b) != 1 {
			t.Fatalf("%d and %d messages, want one each", len(a), len(b))
		}
		for _, want := range []string{"1 verdict flipped to deny", "10000 new findings (10000 high)", "more than 2000 images"} {
			if !strings.Contains(a[0].Title, want) {
				t.Errorf("the title %q has no %q", a[0].Title, want)
			}
		}
		if lines := strings.Count(a[0].Text, "\n- "); lines > MaxItems || lines < 10 || !strings.Contains(a[0].Text, "\n- reg/team/app sha256:000000070000: verdict DENY, before allow") || len(a[0].Text) > 4096 {
			t.Errorf("%d lines, %d bytes:\n%s", lines, len(a[0].Text), a[0].Text)
		}
		if strings.Contains(b[0].Title, "findings") {
			t.Errorf("below the threshold: %q", b[0].Title)
		}
		t.Logf("10,000 changed findings of one generation: %d message for each target; %d pages were read for both", len(a), f.source.reads)
	})
}

// TestCrash: a process that ends at any moment repeats at most a message, under its id,
// and loses none.
func TestCrash(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, Config{Name: "a", Gather: 10 * time.Second})
		f.during(t, func() {})
		total := 0
		for i := range 20 {
			f.during(t, func() {
				f.source.add(flipped(i, gate.OutcomeAllow, gate.OutcomeDeny, "team/app"))
				total++
				time.Sleep(time.Duration(i*731) * time.Millisecond)
			})
		}
		f.during(t, func() { time.Sleep(5 * time.Minute) })
		denied, ids := 0, map[string]bool{}
		for _, l := range f.chats["a"].taken() {
			if ids[l.ID] {
				continue
			}
			ids[l.ID] = true
			var n int
			if _, err := fmt.Sscanf(l.Title, "digestgate: %d verdict", &n); err != nil {
				t.Fatalf("%q: %v", l.Title, err)
			}
			denied += n
		}
		if denied != total {
			t.Errorf("%d flips in the messages, want %d", denied, total)
		}
	})
}

// TestRepeated: delivered and not written down is delivered again, with the same id.
func TestRepeated(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, Config{Name: "a", Gather: time.Second})
		ctx, stop := context.WithCancel(t.Context())
		defer stop()
		broken := &brokenStore{OwnStore: f.store}
		f.Engine.Store = broken
		f.chats["a"].fail = func(n int, _ Letter) error {
			broken.set(n == 1) // the store is away just after the first message was taken
			return nil
		}
		go func() { _ = f.Send(ctx) }()
		synctest.Wait()
		f.source.add(flipped(1, gate.OutcomeAllow, gate.OutcomeDeny, "team/app"))
		time.Sleep(10 * time.Second)
		broken.set(false)
		time.Sleep(time.Minute)
		got := f.chats["a"].taken()
		if len(got) < 2 || got[0].ID != got[1].ID {
			t.Fatalf("got %d messages, want one twice", len(got))
		}
		if last := len(got); last != 2 {
			t.Errorf("got %d messages", last)
		}
		stop()
		synctest.Wait()
	})
}

// brokenStore refuses writes while it is broken.
type brokenStore struct {
	*agree.OwnStore
	mu     sync.Mutex
	broken bool
}

func (b *brokenStore) set(broken bool) { b.mu.Lock(); defer b.mu.Unlock(); b.broken = broken }

func (b *brokenStore) PutSetting(ctx context.Context, name string, value []byte, version int64) (int64, error) {
	b.mu.Lock()
	broken := b.broken
	b.mu.Unlock()
	if broken {
		return 0, gate.ErrStoreUnavailable
	}
	return b.OwnStore.PutSetting(ctx, name, value, version)
}

// TestDeadTarget: a target that hangs delays no other, and is tried again until it is well.
func TestDeadTarget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, Config{Name: "dead", Gather: time.Second}, Config{Name: "well", Gather: time.Second})
		f.chats["dead"].hang = true
		f.during(t, func() {
			for i := range 10 {
				f.source.add(flipped(i, gate.OutcomeAllow, gate.OutcomeDeny, "team/app"))
				time.Sleep(10 * time.Second)
			}
		})
		if n := len(f.chats["well"].taken()); n != 10 {
			t.Errorf("%d messages to the other, want 10", n)
		}
		f.chats["dead"].hang = false
		f.during(t, func() { time.Sleep(2 * time.Hour) })
		total := 0
		for _, l := range f.chats["dead"].taken() {
			var n int
			_, _ = fmt.Sscanf(l.Title, "digestgate: %d verdict", &n)
			total += n
		}
		if total != 10 {
			t.Errorf("%d flips reached it when it was well, want 10", total)
		}
	})
}

// TestRetry: waits grow, a Retry-After is obeyed, and the vendor's rate too.
func TestRetry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, Config{Name: "a", Gather: time.Second})
		c := f.chats["a"]
		var tried []time.Time
		c.fail = func(n int, _ Letter) error {
			tried = append(tried, time.Now())
			switch n {
			case 1, 2:
				return errors.New("no")
			case 3:
				return NewFailure(nil, false, 20*time.Minute, "too often")
			}
			return nil
		}
		f.during(t, func() {
			for range 3 {
				f.source.add(flipped(len(f.source.changes), gate.OutcomeAllow, gate.OutcomeDeny, "team/app"))
				time.Sleep(4 * time.Second)
			}
			time.Sleep(time.Hour)
		})
		if len(tried) < 5 {
			t.Fatalf("tried %d times", len(tried))
		}
		for i, least := range []time.Duration{5 * time.Second, 10 * time.Second, 20 * time.Minute} {
			if gap := tried[i+1].Sub(tried[i]); gap < least || gap > least+5*time.Second {
				t.Errorf("after try %d: %s, want about %s", i+1, gap, least)
			}
		}
		for i := 4; i < len(tried); i++ {
			if gap := tried[i].Sub(tried[i-1]); gap < 3*time.Second {
				t.Errorf("two messages within %s", gap)
			}
		}
	})
}

// TestGivenUp: what waits longer than maxAge is given up, counted and told by the next
// message, and so is what a target refuses for good.
func TestGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, Config{Name: "a", Gather: time.Second, MaxAge: time.Hour})
		c := f.chats["a"]
		c.fail = func(int, Letter) error { return errors.New("away") }
		s := &Service{f.Targets, time.Now}
		f.during(t, func() {
			f.source.add(flipped(1, gate.OutcomeAllow, gate.OutcomeDeny, "team/app"))
			time.Sleep(2 * time.Hour)
		})
		v, err := s.Target(t.Context(), "a")
		if err != nil || v.GivenUp != 1 || v.Waiting != 0 {
			t.Errorf("got %+v, %v, want one given up", v, err)
		}
		refuse := true
		c.fail = func(int, Letter) error {
			if refuse {
				return NewFailure(nil, true, 0, "not this")
			}
			return nil
		}
		f.during(t, func() {
			f.source.add(flipped(2, gate.OutcomeAllow, gate.OutcomeDeny, "team/app"))
			time.Sleep(10 * time.Minute)
			refuse = false
			f.source.add(flipped(3, gate.OutcomeAllow, gate.OutcomeDeny, "team/app"))
			time.Sleep(10 * time.Minute)
		})
		got := c.taken()
		if len(got) != 1 || !strings.Contains(got[0].Text, "2 messages before this one were given up") {
			t.Errorf("got %d messages: %+v", len(got), got)
		}
		list, err := s.Deliveries(t.Context(), "a")
		if err != nil || len(list) != 3 || list[0].Outcome != Delivered || list[1].Outcome != GivenUp || list[1].Attempts != maxFinal || list[2].Outcome != GivenUp {
			t.Errorf("deliveries: %+v, %v", list, err)
		}
	})
}

// TestBounded: a target that is dead for long holds a bounded state, and counts everything.
func TestBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, Config{Name: "a", Gather: time.Second})
		f.chats["a"].fail = func(int, Letter) error { return errors.New("away") }
		long := strings.Repeat("<\"\u202e", 300)
		f.during(t, func() {
			for i := range 40 {
				for n := range 200 {
					c := flipped(1000*i+n, gate.OutcomeAllow, gate.OutcomeDeny, "team/"+long)
					c.Verdicts[0].After.Rules = []string{long, long, long, long, long, long, long}
					f.source.add(c)
				}
				time.Sleep(10 * time.Second)
			}
		})
		value, _, err := f.store.Setting(t.Context(), agree.SettingNotifyState("a"))
		var st state
		if err != nil || json.Unmarshal(value, &st) != nil || len(value) > maxState || len(st.Queue) > MaxQueue {
			t.Fatalf("a state of %d bytes, %d messages, %v", len(value), len(st.Queue), err)
		}
		total := st.Open.Totals.Denied
		for _, q := range st.Queue {
			total += q.Message.Totals.Denied
		}
		if total != 8000 {
			t.Errorf("%d flips are counted, want 8000", total)
		}
	})
}

// TestFilter: events, thresholds and scope decide what a target is sent.
func TestFilter(t *testing.T) {
	raised := gate.StandingChange{Digest: digest(1), Findings: &gate.FindingsChange{Severity: []gate.SeverityChange{{Vulnerability: cve("CVE-2026-1", gate.SeverityHigh), Before: gate.SeverityLow}}}}
	first := found(1, cve("CVE-2026-1", gate.SeverityHigh))
	first.Findings.First = true
	unfixed := cve("CVE-2026-1", gate.SeverityHigh)
	unfixed.FixedVersion = ""
	fixed := gate.StandingChange{Digest: digest(1), Findings: &gate.FindingsChange{Fixed: gate.ChangedFindings{List: []gate.Vulnerability{cve("CVE-2026-1", gate.SeverityHigh)}, Total: gate.Counts{High: 1}}}}
	cut := found(1, cve("CVE-2026-1", gate.SeverityHigh))
	cut.Findings.Found.Total = gate.Counts{High: 5, Low: 7}
	lost := found(1, cve("CVE-2026-1", gate.SeverityHigh))
	lost.Findings.Lost = true
	deny, allow := flipped(1, gate.OutcomeAllow, gate.OutcomeDeny, "team/app"), flipped(1, gate.OutcomeDeny, gate.OutcomeAllow, "team/app")
	firstDeny := flipped(1, "", gate.OutcomeDeny, "team/app")
	for name, c := range map[string]struct {
		config Config
		change gate.StandingChange
		want   string // the lines, in short
	}{
		"new":                  {Config{}, found(1, cve("CVE-2026-1", gate.SeverityHigh)), "new 1"},
		"severe_enough":        {Config{MinSeverity: gate.SeverityHigh}, found(1, cve("CVE-2026-1", gate.SeverityHigh), cve("CVE-2026-2", gate.SeverityLow)), "new 1"},
		"not_severe_enough":    {Config{MinSeverity: gate.SeverityCritical}, found(1, cve("CVE-2026-1", gate.SeverityHigh)), ""},
		"fixable":              {Config{OnlyFixable: true}, found(1, cve("CVE-2026-2", gate.SeverityLow), unfixed), "new 1"},
		"not_fixable":          {Config{OnlyFixable: true}, found(1, unfixed), ""},
		"cut_list":             {Config{}, cut, "new 12"},
		"cut_list_severe":      {Config{MinSeverity: gate.SeverityHigh}, cut, "new 5"},
		"cut_list_fixable":     {Config{OnlyFixable: true}, cut, "new 1"},
		"lost":                 {Config{}, lost, ""},
		"raised":               {Config{MinSeverity: gate.SeverityHigh}, raised, "raised 1"},
		"raised_without":       {Config{}, raised, ""},
		"raised_below":         {Config{MinSeverity: gate.SeverityCritical}, raised, ""},
		"first_scan":           {Config{}, first, ""},
		"first_scan_wanted":    {Config{FirstScans: true}, first, "new 1"},
		"fixed":                {Config{}, fixed, "fixed 1"},
		"fixed_not_wanted":     {Config{Events: []Event{EventNew}}, fixed, ""},
		"denied":               {Config{}, deny, "denied 1"},
		"allowed":              {Config{}, allow, "flipped 1"},
		"only_denied":          {Config{OnlyDenied: true}, allow, ""},
		"verdicts_not_wanted":  {Config{Events: []Event{EventQuota}}, deny, ""},
		"first_verdict":        {Config{}, firstDeny, ""},
		"first_verdict_wanted": {Config{FirstScans: true}, firstDeny, "denied 1"},
		"same_outcome":         {Config{}, flipped(1, gate.OutcomeDeny, gate.OutcomeDeny, "team/app"), ""},
		"registry":             {Config{Registries: []string{"reg"}}, deny, "denied 1"},
		"other_registry":       {Config{Registries: []string{"other"}}, deny, ""},
		"other_registry_found": {Config{Registries: []string{"other"}}, found(1, unfixed), ""},
		"repository":           {Config{Repositories: []string{"team/**"}}, deny, "denied 1"},
		"repository_found":     {Config{Repositories: []string{"team/**"}}, found(1, unfixed), "new 1"},
		"other_repository":     {Config{Repositories: []string{"x/**"}}, deny, ""},
		"running":              {Config{Running: true}, deny, "denied 1"},
		"not_running":          {Config{Running: true}, flipped(2, gate.OutcomeAllow, gate.OutcomeDeny, "team/app"), ""},
		"both_of_one_change":   {Config{}, gate.StandingChange{Digest: digest(1), Findings: fixed.Findings, Verdicts: allow.Verdicts}, "flipped 1, fixed 1"},
	} {
		t.Run(name, func(t *testing.T) {
			around := Surroundings{Running: map[gate.Digest]bool{digest(1): true}, Places: map[gate.Digest][]gate.Location{digest(1): {{Registry: "reg", Repository: "team/app"}}}}
			p := c.config.WithDefaults().filter(c.change, around)
			var parts []string
			for _, x := range []struct {
				n    int
				word string
			}{{p.totals.Denied, "denied"}, {p.totals.Flipped, "flipped"}, {p.totals.New.Total(), "new"}, {p.totals.Raised.Total(), "raised"}, {p.totals.Fixed.Total(), "fixed"}} {
				if x.n > 0 {
					parts = append(parts, fmt.Sprintf("%s %d", x.word, x.n))
				}
			}
			if got := strings.Join(parts, ", "); got != c.want || p.empty() != (c.want == "") {
				t.Errorf("got %q, want %q; %+v", got, c.want, p)
			}
		})
	}
}

// TestUndone: a verdict that flips and flips back within one message is not in it.
func TestUndone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, Config{Name: "a"})
		f.during(t, func() {
			f.source.add(flipped(1, gate.OutcomeAllow, gate.OutcomeDeny, "team/app"))
			time.Sleep(10 * time.Second)
			f.source.add(flipped(1, gate.OutcomeDeny, gate.OutcomeAllow, "team/app"))
			time.Sleep(10 * time.Minute)
			f.source.add(flipped(1, gate.OutcomeAllow, gate.OutcomeWarn, "team/app"))
			time.Sleep(10 * time.Second)
			f.source.add(flipped(1, gate.OutcomeWarn, gate.OutcomeDeny, "team/app"))
			time.Sleep(10 * time.Minute)
		})
		got := f.chats["a"].taken()
		if len(got) != 1 || !strings.HasPrefix(got[0].Title, "digestgate: 1 verdict flipped to deny (1 image)") || !strings.Contains(got[0].Text, "DENY, before allow") {
			t.Errorf("got %d messages: %+v", len(got), got)
		}
	})
}

// TestMissed: a record that does not reach back any more is said, and followed from now on.
func TestMissed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, Config{Name: "a", Gather: time.Second})
		f.during(t, func() { time.Sleep(5 * time.Second) })
		f.source.add(flipped(1, gate.OutcomeAllow, gate.OutcomeDeny, "team/app"), flipped(2, gate.OutcomeAllow, gate.OutcomeDeny, "team/app"))
		f.source.lost = 2
		f.during(t, func() {
			time.Sleep(10 * time.Second)
			f.source.add(flipped(3, gate.OutcomeAllow, gate.OutcomeDeny, "team/app"))
			time.Sleep(10 * time.Second)
		})
		got := f.chats["a"].taken()
		if len(got) != 2 || !strings.Contains(got[0].Text, "were not read in time") || !strings.Contains(got[1].Title, "1 verdict flipped to deny") {
			t.Errorf("got %+v", got)
		}
	})
}

// TestConditions: what is not well is said once, again when it becomes worse, and once
// when it is well.
func TestConditions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, Config{Name: "a", Gather: time.Second}, Config{Name: "b", Gather: time.Second, Events: []Event{EventStale}})
		var mu sync.Mutex
		var now []Condition
		var failing error
		f.Engine.Conditions = func(context.Context) ([]Condition, error) { mu.Lock(); defer mu.Unlock(); return now, failing }
		set := func(err error, c ...Condition) { mu.Lock(); defer mu.Unlock(); now, failing = c, err }
		f.during(t, func() {
			for _, level := range []string{"near", "near", "used up"} {
				set(nil, Condition{EventQuota, "quota", level, "the quota is " + level})
				time.Sleep(time.Minute)
			}
			set(errors.New("away"))
			time.Sleep(time.Minute)
			set(nil)
			time.Sleep(time.Minute)
			set(nil, Condition{EventStale, "data", "old", "the data is old"})
			time.Sleep(time.Minute)
		})
		var texts []string
		for _, l := range f.chats["a"].taken() {
			texts = append(texts, l.Text)
		}
		if len(texts) != 4 || !strings.Contains(texts[0], "is near") || !strings.Contains(texts[1], "is used up") || !strings.Contains(texts[2], "over: the quota") || !strings.Contains(texts[3], "is old") {
			t.Errorf("got %d messages: %q", len(texts), texts)
		}
		if b := f.chats["b"].taken(); len(b) != 1 {
			t.Errorf("%d messages about stale data, want one", len(b))
		}
	})
}

// TestOneSender: of two processes one sends; when it ends the other takes over.
func TestOneSender(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, Config{Name: "a", Gather: time.Second})
		other := &Engine{Store: f.Store, Source: f.Source, Targets: f.Targets, Log: f.Log, Now: f.Now}
		ctxs, stops := make([]context.Context, 2), make([]context.CancelFunc, 2)
		var wait sync.WaitGroup
		for i, e := range []*Engine{f.Engine, other} {
			ctxs[i], stops[i] = context.WithCancel(t.Context())
			wait.Go(func() { e.Run(ctxs[i]) })
			synctest.Wait()
		}
		for i := range 5 {
			f.source.add(flipped(i, gate.OutcomeAllow, gate.OutcomeDeny, "team/app"))
			time.Sleep(20 * time.Second)
		}
		stops[0]()
		time.Sleep(20 * time.Second)
		f.source.add(flipped(9, gate.OutcomeAllow, gate.OutcomeDeny, "team/app"))
		time.Sleep(time.Minute)
		stops[1]()
		wait.Wait()
		ids := map[string]int{}
		for _, l := range f.chats["a"].taken() {
			ids[l.ID]++
		}
		if len(ids) != 6 || len(f.chats["a"].taken()) != 6 {
			t.Errorf("%d messages of %d ids, want 6", len(f.chats["a"].taken()), len(ids))
		}
	})
}

// TestRedeliver: a message that is kept is sent again under its id; a test is in the log
// with its status and time.
func TestRedeliver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, Config{Name: "a", Gather: time.Second})
		s := &Service{f.Targets, time.Now}
		f.during(t, func() {
			f.source.add(flipped(1, gate.OutcomeAllow, gate.OutcomeDeny, "team/app"))
			time.Sleep(10 * time.Second)
			list, err := s.Deliveries(t.Context(), "")
			if err != nil || len(list) != 1 || list[0].Status != 200 || !list[0].Kept || list[0].Attempts != 1 {
				t.Fatalf("deliveries: %+v, %v", list, err)
			}
			if v, err := s.Redeliver(t.Context(), list[0].ID); err != nil || v.Outcome != Waiting {
				t.Errorf("got %+v, %v", v, err)
			}
			if _, err := s.Redeliver(t.Context(), list[0].ID); !errors.Is(err, gate.ErrConflict) {
				t.Errorf("twice: %v", err)
			}
			time.Sleep(10 * time.Second)
			tested, err := s.Test(t.Context(), "a")
			if err != nil || tested.Outcome != Delivered || !tested.Test {
				t.Errorf("test: %+v, %v", tested, err)
			}
			for _, id := range []string{"nothing", tested.ID} {
				if _, err := s.Redeliver(t.Context(), id); !errors.Is(err, gate.ErrNotFound) {
					t.Errorf("%s: %v", id, err)
				}
			}
		})
		got := f.chats["a"].taken()
		if len(got) != 3 || got[0].ID != got[1].ID || got[0].Text != got[1].Text {
			t.Errorf("got %+v", got)
		}
	})
}

// TestTemplateFails: what the target's template cannot make, the shipped one does.
func TestTemplateFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, Config{Name: "a", Gather: time.Second, Template: "{{range .Items}}{{if eq .What `denied`}}{{.Nothing}}{{end}}{{end}}x"})
		if err := f.Targets.Check(t.Context(), Definition{Config: f.Targets.File[0], File: true}); !errors.Is(err, gate.ErrInvalid) {
			t.Errorf("the trial: %v", err)
		}
		f.Targets.File[0].Template = "{{if eq .Images 3}}{{range 1000000}}{{end}}{{else}}own{{end}}"
		f.during(t, func() {
			for i := range 3 {
				f.source.add(flipped(i, gate.OutcomeAllow, gate.OutcomeDeny, "team/app"))
			}
			time.Sleep(10 * time.Second)
			f.source.add(flipped(9, gate.OutcomeAllow, gate.OutcomeDeny, "team/app"))
			time.Sleep(10 * time.Second)
		})
		got := f.chats["a"].taken()
		if len(got) != 2 || !strings.Contains(got[0].Text, "DENY") || got[1].Text != "own" {
			t.Errorf("got %+v", got)
		}
	})
}

// TestManyPlacesOfAnother: an image that somebody else has pushed to many repositories does
// not keep the owner of one from being told that something has changed.
func TestManyPlacesOfAnother(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, Config{Name: "owner", Repositories: []string{"team/**"}}, Config{Name: "stranger", Repositories: []string{"shop/**"}})
		change := gate.StandingChange{Digest: digest(1), At: time.Now(), MoreVerdicts: 2}
		for i := range gate.MaxChanged {
			change.Verdicts = append(change.Verdicts, flipped(1, gate.OutcomeAllow, gate.OutcomeDeny, fmt.Sprintf("other/%d", i)).Verdicts...)
		}
		f.during(t, func() {
			f.source.add(change)
			time.Sleep(5 * time.Minute)
		})
		if got := f.chats["owner"].taken(); len(got) != 1 || got[0].Title != "digestgate: 1 change that is not listed (1 image)" {
			t.Errorf("the owner is told %+v", got)
		}
		if got := f.chats["stranger"].taken(); len(got) != 0 {
			t.Errorf("who has none of the places is told %+v", got)
		}
	})
}

// TestTakenOver: what was read while another process took over is in no message, so that it
// is read again.
func TestTakenOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, Config{Name: "a"})
		d, err := f.Targets.One(t.Context(), "a")
		if err != nil {
			t.Fatal(err)
		}
		target, err := f.Targets.open(t.Context(), d)
		if err != nil {
			t.Fatal(err)
		}
		// Nothing for the target is followed by something for it.
		for i := range 3 {
			f.source.add(gate.StandingChange{Digest: digest(i), At: time.Now()})
		}
		r := &running{Engine: f.Engine, pages: &pages{source: f.source}, conditions: &conditions{now: time.Now}, targets: map[string]*runner{}}
		run := new(runner)
		st, _, err := r.begin(t.Context(), target)
		if err != nil {
			t.Fatal(err)
		}
		f.source.add(flipped(7, gate.OutcomeAllow, gate.OutcomeDeny, "team/app"), found(8, cve("CVE-2026-8", gate.SeverityHigh)))
		// The other process has taken in the first of the two changes only.
		if _, err := updateState(t.Context(), f.store, "a", func(other *state) bool { other.Cursor++; return true }); err != nil {
			t.Fatal(err)
		}
		if st, _, err = r.read(t.Context(), target, run, st); err != nil {
			t.Fatal(err)
		}
		if st, _, err = r.read(t.Context(), target, run, st); err != nil || st.Open == nil || st.Open.Totals.New.High != 1 {
			t.Errorf("the second change is lost: %+v, %v", st.Open, err)
		}
	})
}
