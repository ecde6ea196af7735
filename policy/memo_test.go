package policy

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/digestgate/digestgate/gate"
)

func mentionsIn(t *testing.T, text string) mentions {
	t.Helper()
	set, err := CompileInForce(source("package digestgate\n\n" + text + "\n"))
	if err != nil {
		t.Fatal(err)
	}
	return set.mentions
}

func TestMentions(t *testing.T) {
	all := [][]string{
		{"event"}, {"now"}, {"image", "tags"}, {"image", "ageHours"}, {"scan", "advisories"},
		{"request", "namespace"}, {"request", "user"}, {"request", "namespaceLabels", "team"},
	}
	everything := map[string]bool{}
	for _, p := range all {
		everything[fmt.Sprint(p)] = true
	}
	only := func(paths ...string) map[string]bool {
		m := map[string]bool{}
		for _, p := range paths {
			m[p] = true
		}
		return m
	}
	for name, c := range map[string]struct {
		text string
		want map[string]bool
	}{
		"nothing":          {`deny contains "x" if input.image.size > 1`, only()},
		"one_field":        {`deny contains "x" if input.request.namespace == "a"`, only("[request namespace]")},
		"other_label":      {`deny contains "x" if input.request.namespaceLabels.owner == "a"`, only()},
		"label":            {`deny contains "x" if input.request.namespaceLabels["team"] == "a"`, only("[request namespaceLabels team]")},
		"any_label":        {"deny contains \"x\" if {\n\tsome k, _ in input.request.namespaceLabels\n\tk == \"a\"\n}", only("[request namespaceLabels team]")},
		"dynamic_label":    {`deny contains "x" if input.request.namespaceLabels[input.image.host] == "a"`, only("[request namespaceLabels team]")},
		"dynamic_field":    {`deny contains "x" if input.request[_] == "a"`, only("[request namespace]", "[request user]", "[request namespaceLabels team]")},
		"whole_request":    {`deny contains "x" if count(input.request) > 99`, only("[request namespace]", "[request user]", "[request namespaceLabels team]")},
		"assigned":         {"deny contains \"x\" if {\n\tr := input.request\n\tr.user == \"a\"\n}", only("[request namespace]", "[request user]", "[request namespaceLabels team]")},
		"whole_input":      {`deny contains "x" if object.get(input, ["event"], "") == "y"`, everything},
		"input_assigned":   {"deny contains \"x\" if {\n\ti := input\n\ti.event == \"push\"\n}", everything},
		"in_function":      {"deny contains \"x\" if f(input.event)\n\nf(e) if e == \"push\"", only("[event]")},
		"in_head":          {`deny contains input.request.user`, only("[request user]")},
		"in_comprehension": {`deny contains "x" if count([1 | input.event == "push"]) > 0`, only("[event]")},
		"under_not":        {`deny contains "x" if not input.event == "push"`, only("[event]")},
		"in_every":         {"deny contains \"x\" if {\n\tevery t in input.image.tags { t != \"a\" }\n}", only("[image tags]")},
		"image_age":        {`deny contains "x" if input.image.ageHours > 3`, only("[image ageHours]")},
		"advisory_age":     {`deny contains "x" if input.scan.advisories.ageHours > 3`, only("[scan advisories]")},
		"print_is_gone":    {"deny contains \"x\" if {\n\tprint(input.event)\n\tinput.image.size > 1\n}", only()},
		"now":              {`deny contains "x" if input.now == ""`, only("[now]")},
	} {
		t.Run(name, func(t *testing.T) {
			m := mentionsIn(t, c.text)
			for _, p := range all {
				if got := m.any(p...); got != c.want[fmt.Sprint(p)] {
					t.Errorf("any(%v): got %t, want %t (%v)", p, got, !got, m.paths)
				}
			}
		})
	}
	for text, want := range map[string]bool{
		`deny contains "x" if input.nowUnix > 3`:                                   true,
		`deny contains "x" if input.scan.advisories.ageHours > 3`:                  true,
		`deny contains "x" if input.scan.advisories.generation > 3`:                false,
		`deny contains "x" if count(input.scan) > 99`:                              true,
		`deny contains "x" if input.findings.vulnerabilities[_].firstSeenUnix > 3`: false,
	} {
		if got := mentionsIn(t, text).timed; got != want {
			t.Errorf("timed of %s: got %t, want %t", text, got, want)
		}
	}
}

// TestMemoKey: what a policy mentions separates decisions, what it does not
// mention does not.
func TestMemoKey(t *testing.T) {
	type change struct {
		name string
		f    func(*gate.Question)
	}
	changes := []change{
		{"event", func(q *gate.Question) { q.Event = gate.EventRescan }},
		{"namespace", func(q *gate.Question) { q.Request.Namespace = "other" }},
		{"user", func(q *gate.Question) { q.Request.User = "other" }},
		{"label", func(q *gate.Question) { q.Request.NamespaceLabels = map[string]string{"team": "b"} }},
		{"tags", func(q *gate.Question) { q.Tags = []string{"b"} }},
		{"generation", func(q *gate.Question) { q.Advisories.Number++ }},
		{"data_time", func(q *gate.Question) { q.Advisories.UpdatedAt = testNow.Add(-time.Minute) }},
	}
	always := []change{
		{"digest", func(q *gate.Question) { q.Digest = "sha256:bb" }},
		{"inventory", func(q *gate.Question) { q.Record.InventoryID = "i2" }},
		{"findings", func(q *gate.Question) { q.Record.FindingsID = "f2" }},
		{"registry", func(q *gate.Question) { q.Location.Registry = "r2" }},
		{"repository", func(q *gate.Question) { q.Location.Repository = "r2" }},
		{"host", func(q *gate.Question) { q.Host = "h2" }},
	}
	base := func() gate.Question {
		q := question(nil, nil)
		q.Request = &gate.Request{Namespace: "shop", User: "u", NamespaceLabels: map[string]string{"team": "a"}}
		q.Tags = []string{"a"}
		return q
	}
	blind := mentionsIn(t, `deny contains "x" if input.image.size > 1`)
	sees := mentionsIn(t, `deny contains "x" if count(object.keys(input)) > 99`)
	key := func(m mentions, f func(*gate.Question)) memoKey {
		q := base()
		f(&q)
		return m.key("rev", q, q.Advisories)
	}
	same := func(*gate.Question) {}
	for _, c := range changes {
		if key(blind, c.f) != key(blind, same) {
			t.Errorf("%s separates decisions of a policy that does not mention it", c.name)
		}
		if key(sees, c.f) == key(sees, same) {
			t.Errorf("%s does not separate decisions of a policy that sees everything", c.name)
		}
	}
	for _, c := range always {
		if key(blind, c.f) == key(blind, same) {
			t.Errorf("%s does not separate decisions", c.name)
		}
	}
	moved := func(a, b string) func(*gate.Question) {
		return func(q *gate.Question) { q.Location.Registry, q.Location.Repository = a, b }
	}
	if key(blind, moved("ab", "c")) == key(blind, moved("a", "bc")) {
		t.Error("two locations have one key")
	}
	labels := func(m map[string]string) func(*gate.Question) {
		return func(q *gate.Question) { q.Request.NamespaceLabels = m }
	}
	if key(sees, labels(map[string]string{"a": "b5:c"})) == key(sees, labels(map[string]string{"a": "b", "c": ""})) {
		t.Error("two sets of labels have one key")
	}
	q := base()
	if blind.key("rev", q, q.Advisories) == blind.key("rev2", q, q.Advisories) {
		t.Error("the revision does not separate decisions")
	}
}

// TestMemoGivesTheRightAnswer: each namespace gets its own answer, again and
// again, and one evaluation serves the unmentioned rest.
func TestMemoGivesTheRightAnswer(t *testing.T) {
	e := engineOver(t, Options{}, denying(`input.request.namespace if input.request.namespace != "free"`)...)
	for range 3 {
		for _, ns := range []string{"a", "b", "free"} {
			for _, user := range []string{"u1", "u2"} {
				q := question(testInventory(), testFindings())
				q.Request = &gate.Request{Namespace: ns, User: user}
				d := e.Evaluate(context.Background(), q)
				if ns == "free" {
					if d.Outcome != gate.OutcomeAllow {
						t.Errorf("%s: got %+v", ns, d)
					}
				} else if len(d.Reasons) != 1 || d.Reasons[0].Msg != ns {
					t.Errorf("%s: got %+v", ns, d)
				}
			}
		}
	}
	if got := e.memos.len(); got != 3 {
		t.Errorf("%d decisions are kept, want 3", got)
	}
}

func TestTimedMemo(t *testing.T) {
	timed := engineOver(t, Options{}, denying(`input.now`)...)
	blind := engineOver(t, Options{}, denying(`sprintf("%v", [input.image.size])`)...)
	at := func(e *Active, d time.Duration) string {
		q := question(testInventory(), testFindings())
		q.Now = testNow.Add(d)
		got := e.Evaluate(context.Background(), q)
		if !got.EvaluatedAt.Equal(q.Now) {
			t.Errorf("EvaluatedAt: got %s, want %s", got.EvaluatedAt, q.Now)
		}
		return got.Reasons[0].Msg
	}
	first := at(timed, 0)
	for _, c := range []struct {
		after time.Duration
		fresh bool
	}{{30 * time.Second, true}, {31 * time.Second, false}, {45 * time.Second, true}, {0, false}} {
		got := at(timed, c.after)
		if (got == first) != c.fresh {
			t.Errorf("after %s: got %s; the answer of %s is kept: %t, want %t", c.after, got, first, got == first, c.fresh)
		}
		first = got
	}
	at(blind, 0)
	at(blind, 100*time.Hour)
	if got := blind.memos.len(); got != 1 {
		t.Errorf("%d decisions are kept, want 1", got)
	}
}

// TestLoadOnce: callers that miss together share one load; later ones need
// none.
func TestLoadOnce(t *testing.T) {
	e := newEngine(t, Options{})
	var loads atomic.Int32
	release := make(chan struct{})
	q := question(nil, nil)
	q.Load = func(context.Context) (*gate.Inventory, *gate.Findings, error) {
		loads.Add(1)
		<-release
		return testInventory(), testFindings(critical("CVE-1")), nil
	}
	var callers sync.WaitGroup
	for range 8 {
		callers.Go(func() {
			if d := e.Evaluate(context.Background(), q); d.Code != gate.CodePolicy {
				t.Errorf("got %+v", d)
			}
		})
	}
	for loads.Load() == 0 {
		time.Sleep(time.Millisecond)
	}
	close(release)
	callers.Wait()
	e.Evaluate(context.Background(), q)
	// Callers that came after the first had finished found it in the cache.
	if got := loads.Load(); got != 1 {
		t.Errorf("%d loads, want 1", got)
	}
}

// TestNewerValuesAreNotKept: Load may return what a later match wrote; it must
// not stay under the ids of the older record.
func TestNewerValuesAreNotKept(t *testing.T) {
	e := newEngine(t, Options{})
	q := question(testInventory(), testFindings())
	newer := testFindings()
	newer.InventoryID = "another"
	q.Load = func(context.Context) (*gate.Inventory, *gate.Findings, error) { return testInventory(), newer, nil }
	if d := e.Evaluate(context.Background(), q); d.Outcome != gate.OutcomeAllow {
		t.Errorf("got %+v", d)
	}
	if e.inputs.len() != 0 {
		t.Error("values of another inventory are kept")
	}
}

func TestLRU(t *testing.T) {
	c := newLRU[string, int](100)
	c.put("a", 1, 40)
	c.put("b", 2, 40)
	c.get("a")
	c.put("c", 3, 40)
	if _, ok := c.get("b"); ok {
		t.Error("b was used least and is kept")
	}
	if v, ok := c.get("a"); !ok || v != 1 {
		t.Errorf("a: got %d %t", v, ok)
	}
	c.put("a", 5, 60)
	if v, _ := c.get("a"); v != 5 || c.weight != 100 {
		t.Errorf("a: got %d, weight %d, want 5 and 100", v, c.weight)
	}
	c.put("huge", 6, 101)
	if _, ok := c.get("huge"); ok || c.len() != 2 {
		t.Errorf("a value over the limit is kept, or pushed others out: %d", c.len())
	}
}
