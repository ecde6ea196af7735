package policy

import (
	"context"
	"crypto/sha256"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
	"unsafe"

	"github.com/google/go-cmp/cmp"

	"github.com/digestgate/digestgate/gate"
)

func setOf(t testing.TB, text string) *Set {
	t.Helper()
	set, err := CompileInForce(source("package digestgate\n\n" + text + "\n"))
	if err != nil {
		t.Fatal(err)
	}
	return set
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
		"assigned":         {"deny contains \"x\" if {\n\tr := input.request\n\tr.user == \"a\"\n}", only("[request user]")},
		"whole_input":      {`deny contains "x" if object.get(input, ["event"], "") == "y"`, everything},
		"input_assigned":   {"deny contains \"x\" if {\n\ti := input\n\ti.event == \"push\"\n}", only("[event]")},
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
			see := setOf(t, c.text).sight
			for _, p := range all {
				if got := see.any(p...); got != c.want[fmt.Sprint(p)] {
					t.Errorf("any(%v): got %t, want %t", p, got, !got)
				}
			}
		})
	}
}

// TestMentionedFields: of the elements of a list only those fields are mentioned that
// stand behind the variable, unless it is used as a whole.
func TestMentionedFields(t *testing.T) {
	const of = "some v in input.findings.vulnerabilities\n\t"
	for name, c := range map[string]struct {
		text string
		want []string // of id, severity and layer
	}{
		"fields":           {"deny contains v.id if {\n\t" + of + "v.severity == \"LOW\"\n}", []string{"id", "severity"}},
		"index":            {`deny contains input.findings.vulnerabilities[0].id`, []string{"id"}},
		"index_variable":   {"deny contains \"x\" if {\n\tsome i\n\tinput.findings.vulnerabilities[i].severity == \"LOW\"\n}", []string{"severity"}},
		"two_steps":        {"deny contains \"x\" if {\n\tall := input.findings.vulnerabilities\n\tall[_].severity == \"LOW\"\n}", []string{"severity"}},
		"comprehension":    {`deny contains concat(", ", {v.id | some v in input.findings.vulnerabilities; v.severity == "LOW"})`, []string{"id", "severity"}},
		"computed_field":   {"deny contains \"x\" if {\n\t" + of + "v[input.event] == \"LOW\"\n}", []string{"id", "severity", "layer"}},
		"handed_on":        {"deny contains \"x\" if {\n\t" + of + "f(v)\n}\n\nf(v) if v.severity == \"LOW\"", []string{"id", "severity", "layer"}},
		"collected":        {`deny contains sprintf("%d", [count({v | some v in input.findings.vulnerabilities; v.severity == "LOW"})])`, []string{"id", "severity", "layer"}},
		"compared":         {"deny contains \"x\" if {\n\t" + of + "some w in input.findings.vulnerabilities\n\tv != w\n}", []string{"id", "severity", "layer"}},
		"twice_the_same":   {"deny contains \"x\" if {\n\tv = input.findings.vulnerabilities[_]\n\tv = input.findings.vulnerabilities[1]\n\tv.id != \"\"\n}", []string{"id", "severity", "layer"}},
		"every":            {"deny contains \"x\" if {\n\tevery v in input.findings.vulnerabilities { v.severity == \"LOW\" }\n}", []string{"id", "severity", "layer"}},
		"in_a_head":        {"deny contains \"x\" if by[_][_].id == \"y\"\n\nby[v.severity] contains v if " + "some v in input.findings.vulnerabilities", []string{"id", "severity", "layer"}},
		"key_of_a_rule":    {"deny contains \"x\" if r[_][\"a\"]\n\nr[v][k] := 1 if {\n\t" + of + "k := v.id\n}", []string{"id", "severity", "layer"}},
		"number":           {`deny contains sprintf("%d", [count(input.findings.vulnerabilities)])`, nil},
		"counted_list":     {`deny contains "x" if count([v | some v in input.findings.vulnerabilities; v.severity == "HIGH"]) > 3`, []string{"severity"}},
		"counted_and_read": {"deny contains list[0].id if {\n\tlist := [v | some v in input.findings.vulnerabilities; v.severity == \"HIGH\"]\n\tcount(list) > 3\n}", []string{"id", "severity", "layer"}},
		"counted_by_name":  {"deny contains \"x\" if {\n\tlist := input.findings.vulnerabilities\n\tcount(list) > 3\n}", nil},
		"walk":             {"deny contains \"x\" if {\n\twalk(input.findings, [_, \"LOW\"])\n}", []string{"id", "severity", "layer"}},
		"with":             {"deny contains \"x\" if low with input.findings.vulnerabilities as []\n\nlow if input.event == \"push\"", []string{"id", "severity", "layer"}},
		"under_not":        {"deny contains \"x\" if not low\n\nlow if {\n\t" + of + "v.severity == \"LOW\"\n}", []string{"severity"}},
		"else_branch":      {"deny contains \"x\" if f == 2\n\nf := 1 if input.event == \"push\" else := 2 if {\n\t" + of + "v.layer == \"\"\n}", []string{"layer"}},
		"nothing_but_some": {"deny contains \"x\" if {\n\tsome _ in input.findings.vulnerabilities\n}", nil},
	} {
		t.Run(name, func(t *testing.T) {
			see := setOf(t, c.text).sight.along("findings", "vulnerabilities")
			if see == nil {
				t.Fatal("the list is not mentioned")
			}
			var got []string
			for _, f := range []string{"id", "severity", "layer"} {
				if see.any(element, f) {
					got = append(got, f)
				}
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("got %v, want %v", got, c.want)
			}
		})
	}
}

// TestSeverities: how severe a vulnerability must be to make a difference.
func TestSeverities(t *testing.T) {
	const of = "some v in input.findings.vulnerabilities\n\t"
	rule := func(body string) string { return "deny contains \"x\" if {\n\t" + body + "\n}" }
	for name, c := range map[string]struct {
		text  string
		least gate.Severity // "" for none
	}{
		"nothing":            {`deny contains "x" if input.image.size > 1`, ""},
		"their_number":       {`deny contains "x" if count(input.findings.vulnerabilities) > 1`, ""},
		"number_of_some":     {`deny contains "x" if count([v | some v in input.findings.vulnerabilities; v.severity == "HIGH"]) > 3`, gate.SeverityHigh},
		"one":                {rule(of + `v.severity == "CRITICAL"`), gate.SeverityCritical},
		"turned_around":      {rule(of + `"HIGH" == v.severity`), gate.SeverityHigh},
		"one_of_some":        {rule(of + `v.severity in {"MEDIUM", "CRITICAL"}`), gate.SeverityMedium},
		"one_of_a_list":      {rule(of + `v.severity in ["LOW", "CRITICAL"]`), gate.SeverityLow},
		"after_a_comparison": {rule(of + "v.cvss > 7\n\tv.fixedVersion != \"\"\n\tv.severity == \"HIGH\""), gate.SeverityHigh},
		"a_comprehension":    {`deny contains concat(",", {v.id | some v in input.findings.vulnerabilities; v.severity == "HIGH"})`, gate.SeverityHigh},
		"the_worst_of_two":   {rule(of+`v.severity == "CRITICAL"`) + "\n\nwarn contains \"y\" if {\n\t" + of + "v.severity == \"HIGH\"\n}", gate.SeverityHigh},
		"unknown":            {rule(of + `v.severity == "UNKNOWN"`), gate.SeverityUnknown},
		"any":                {rule(of + `v.id == "CVE-1"`), gate.SeverityUnknown},
		"another":            {rule(of + `v.severity != "LOW"`), gate.SeverityUnknown},
		"negated":            {rule(of + `not v.severity == "CRITICAL"`), gate.SeverityUnknown},
		"a_variable":         {rule(of + "v.severity == input.event"), gate.SeverityUnknown},
		"after_a_call":       {rule(of + "to_number(v.fixedVersion) > 1\n\tv.severity == \"CRITICAL\""), gate.SeverityUnknown},
		"after_a_rule":       {rule(of+"other\n\tv.severity == \"CRITICAL\"") + "\n\nother if input.event == \"push\"", gate.SeverityUnknown},
		"with_its_index":     {"deny contains sprintf(\"%d\", [i]) if {\n\tsome i, v in input.findings.vulnerabilities\n\tv.severity == \"CRITICAL\"\n}", gate.SeverityUnknown},
		"the_first":          {rule("v := input.findings.vulnerabilities[0]\n\tv.severity == \"CRITICAL\""), gate.SeverityUnknown},
		"by_index":           {rule("some i\n\tinput.findings.vulnerabilities[i].severity == \"CRITICAL\""), gate.SeverityUnknown},
		"collected":          {`deny contains sprintf("%d", [count({v | some v in input.findings.vulnerabilities; v.severity == "CRITICAL"})])`, gate.SeverityUnknown},
		"whole_input":        {`deny contains sprintf("%d", [count(input)])`, gate.SeverityUnknown},
		"all_findings":       {rule("f := input.findings\n\tcount(f) > 9"), gate.SeverityUnknown},
		"list_of_its_own":    {rule("all := input.findings.vulnerabilities\n\tsome v in all\n\tv.severity == \"CRITICAL\""), gate.SeverityCritical},
		"counted_besides":    {rule(of+`v.severity == "CRITICAL"`) + "\n\nwarn contains \"y\" if count(input.findings.vulnerabilities) > 5", gate.SeverityCritical},
	} {
		t.Run(name, func(t *testing.T) {
			v := setOf(t, c.text).visible
			if got := append(gate.Severities(), "")[(v.least+6)%6]; got != c.least {
				t.Errorf("got %s, want %s", got, c.least)
			}
			if want := strings.Contains(c.text, "count(input.findings.vulnerabilities)"); v.counted != want {
				t.Errorf("counted: got %t, want %t", v.counted, want)
			}
		})
	}
	set, err := Compile(Starter())
	if err != nil {
		t.Fatal(err)
	}
	if v := set.visible; gate.Severities()[v.least] != gate.SeverityHigh || v.vulnerabilitiesOwn || v.secretsOwn || v.inventory || v.clock {
		t.Errorf("the starter set sees %+v", v)
	}
}

// TestMemoKey: what a policy mentions separates decisions, what it does not
// mention does not.
func TestMemoKey(t *testing.T) {
	changes := map[string]func(*gate.Question){
		"event":      func(q *gate.Question) { q.Event = gate.EventRescan },
		"namespace":  func(q *gate.Question) { q.Request.Namespace = "other" },
		"user":       func(q *gate.Question) { q.Request.User = "other" },
		"label":      func(q *gate.Question) { q.Request.NamespaceLabels = map[string]string{"team": "b"} },
		"annotation": func(q *gate.Question) { q.Request.NamespaceAnnotations = map[string]string{"team": "a"} },
		"tags":       func(q *gate.Question) { q.Tags = []string{"b"} },
		"generation": func(q *gate.Question) { q.Advisories.Number++ },
		"data_time":  func(q *gate.Question) { q.Advisories.UpdatedAt = testNow.Add(-time.Minute) },
		"digest":     func(q *gate.Question) { q.Digest = "sha256:bb" },
		"registry":   func(q *gate.Question) { q.Location.Registry = "r2" },
		"repository": func(q *gate.Question) { q.Location.Repository = "r2" },
		"host":       func(q *gate.Question) { q.Host = "h2" },
	}
	// Without a summary of what the record names, the ids stand for everything.
	always := map[string]func(*gate.Question){
		"inventory":         func(q *gate.Question) { q.Record.InventoryID = "i2" },
		"findings":          func(q *gate.Question) { q.Record.FindingsID = "f2" },
		"another_inventory": func(q *gate.Question) { q.Record.InventoryID += ", another" },
	}
	base := func() gate.Question {
		q := question(nil, nil)
		q.Request = &gate.Request{Namespace: "shop", User: "u", NamespaceLabels: map[string]string{"team": "a"}}
		q.Tags = []string{"a"}
		return q
	}
	keying := func(revision, text string) func(...func(*gate.Question)) memoKey {
		set := &activeSet{Set: setOf(t, text), id: sha256.Sum256([]byte(revision))}
		return func(changes ...func(*gate.Question)) memoKey {
			q := base()
			for _, f := range changes {
				f(&q)
			}
			return set.key(&q, origin{}, nil, &joint{})
		}
	}
	const size = `deny contains "x" if input.image.size > 1`
	blind := keying("rev", size)
	sees := keying("rev", `deny contains "x" if count(object.keys(input)) > 99`)
	for name, f := range changes {
		if blind(f) != blind() {
			t.Errorf("%s separates decisions of a policy that does not mention it", name)
		}
		if sees(f) == sees() {
			t.Errorf("%s does not separate decisions of a policy that sees everything", name)
		}
	}
	for name, f := range always {
		if blind(f) == blind() {
			t.Errorf("%s does not separate decisions", name)
		}
	}
	moved := func(a, b string) func(*gate.Question) {
		return func(q *gate.Question) { q.Location.Registry, q.Location.Repository = a, b }
	}
	if sees(moved("ab", "c")) == sees(moved("a", "bc")) {
		t.Error("two locations have one key")
	}
	labels := func(m map[string]string) func(*gate.Question) {
		return func(q *gate.Question) { q.Request.NamespaceLabels = m }
	}
	if sees(labels(map[string]string{"a": "b5:c"})) == sees(labels(map[string]string{"a": "b", "c": ""})) {
		t.Error("two sets of labels have one key")
	}
	annotations := func(q *gate.Question) {
		q.Request.NamespaceLabels, q.Request.NamespaceAnnotations = nil, map[string]string{"team": "a"}
	}
	if sees(annotations) == sees(labels(map[string]string{"team": "a"})) {
		t.Error("a label and an annotation have one key")
	}
	if blind() == keying("rev2", size)() {
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

// counting makes a question count what is read for it: both values, or the findings.
func counting(q *gate.Question, inv *gate.Inventory, f *gate.Findings) (both, findings *int) {
	both, findings = new(int), new(int)
	q.Load = func(context.Context) (*gate.Inventory, *gate.Findings, error) { *both++; return inv, f, nil }
	q.LoadFindings = func(context.Context) (*gate.Findings, error) { *findings++; return f, nil }
	return both, findings
}

// TestWhatIsRead: nothing for what was decided before, once for what was not, also after
// a restart; the inventory only where the rules or the conditions need it.
func TestWhatIsRead(t *testing.T) {
	same, asIs := func(*gate.Inventory) {}, func(*gate.Question) {}
	for name, c := range map[string]struct {
		inventory      func(*gate.Inventory)
		question       func(*gate.Question)
		text           string // "" for the starter set
		both, findings int
		others         int // of an image that is alike
	}{
		"findings":          {same, asIs, "", 0, 1, 0},
		"no_findings_seen":  {same, asIs, `deny contains "x" if input.image.size > 1`, 0, 0, 0},
		"of_summary_alone":  {same, asIs, "deny contains sprintf(\"%s\", [input.image.os.name]) if {\n\tinput.image.config.runsAsRoot\n\tinput.scan.ageHours > 1\n}", 0, 0, 0},
		"packages_seen":     {same, asIs, `deny contains p.name if some p in input.packages`, 1, 0, 1},
		"layers_of_some":    {same, asIs, `deny contains v.layer if some v in input.findings.vulnerabilities`, 0, 1, 1},
		"secrets":           {func(inv *gate.Inventory) { inv.Secrets = []gate.Secret{{Rule: "r", Severity: "HIGH"}} }, asIs, "", 1, 0, 0},
		"an_earlier_record": {same, func(q *gate.Question) { q.Record.Summary = gate.Summary{} }, "", 1, 0, 1},
		"matched_again":     {same, func(q *gate.Question) { q.Record.FindingsID += ", matched again"; q.LoadFindings = nil }, "", 1, 0, 1},
		"a_gap": {func(inv *gate.Inventory) {
			inv.Risks[gate.RiskSecrets] = gate.RiskStatus{Coverage: gate.Partial, Reason: "a file"}
		}, asIs, "", 1, 0, 1},
	} {
		t.Run(name, func(t *testing.T) {
			o := Options{Config: Config{AllowIncomplete: []string{"secrets"}}}
			start := func() *Active {
				if c.text == "" {
					return newEngine(t, o)
				}
				return engineOver(t, o, source("package digestgate\n\n"+c.text+"\n")...)
			}
			image := func(digest gate.Digest) (gate.Question, *int, *int) {
				inv, f := testInventory(), testFindings(critical("CVE-1"))
				q := question(inv, f)
				q.Digest, q.Record.InventoryID, q.Record.FindingsID = digest, "i"+string(digest), "f"+string(digest)
				f.InventoryID = q.Record.InventoryID
				c.inventory(inv)
				summarized(&q)
				both, findings := counting(&q, inv, f)
				c.question(&q)
				return q, both, findings
			}
			e := start()
			q, both, findings := image("sha256:aa")
			for range 3 {
				e.Evaluate(context.Background(), q)
				if *both != c.both || *findings != c.findings {
					t.Fatalf("both were read %d times and the findings %d times, want %d and %d", *both, *findings, c.both, c.findings)
				}
			}
			q.Now = q.Now.Add(time.Minute)
			q.Location.Repository, q.Event = "another", gate.EventRescan
			e.Evaluate(context.Background(), q)
			if *both != c.both || *findings != c.findings {
				t.Errorf("for another place and time: both %d, findings %d", *both, *findings)
			}
			other, otherBoth, otherFindings := image("sha256:bb")
			e.Evaluate(context.Background(), other)
			if n := *otherBoth + *otherFindings; n != c.others {
				t.Errorf("for an image that is alike %d were read, want %d", n, c.others)
			}
			e = start()
			e.Evaluate(context.Background(), q)
			e.Evaluate(context.Background(), q)
			if *both != 2*c.both || *findings != 2*c.findings {
				t.Errorf("after a restart: both %d, findings %d", *both, *findings)
			}
		})
	}
}

// TestMatchedWithNewerData: an image that is matched for a question may be matched with
// data that came after it. That decides, and must not stay for the data that the question
// names: after a rollback that is in force again.
func TestMatchedWithNewerData(t *testing.T) {
	e := newEngine(t, Options{Config: Default()})
	inv, newer := testInventory(), testFindings()
	newer.Generation = 2
	q := question(inv, newer)
	if d := e.Evaluate(t.Context(), q); d.Outcome != gate.OutcomeAllow {
		t.Fatalf("by the newer data: got %+v, want allow", d)
	}
	q.Load = func(context.Context) (*gate.Inventory, *gate.Findings, error) {
		return inv, testFindings(critical("CVE-1")), nil
	}
	if d := e.Evaluate(t.Context(), q); d.Outcome != gate.OutcomeDeny {
		t.Errorf("by the data before, which has a vulnerability that the newer does not: got %+v, want deny", d)
	}
}

// TestNewerValuesAreNotKept: Load may return what a later match wrote; it decides, and
// must not stay under what the older record says.
func TestNewerValuesAreNotKept(t *testing.T) {
	for _, summaries := range []bool{false, true} {
		e := newEngine(t, Options{})
		inv, older, newer := testInventory(), testFindings(critical("CVE-1")), testFindings()
		q := question(inv, older)
		if newer.InventoryID = "another"; summaries {
			newer.InventoryID = ""
			summarized(&q)
		}
		q.Load = func(context.Context) (*gate.Inventory, *gate.Findings, error) { return inv, newer, nil }
		if d := e.Evaluate(context.Background(), q); d.Outcome != gate.OutcomeAllow {
			t.Errorf("got %+v", d)
		}
		if e.inputs.len()+e.memos.len()+e.judged.len() != 0 {
			t.Error("what follows from newer values is kept")
		}
		q.Load = func(context.Context) (*gate.Inventory, *gate.Findings, error) { return inv, older, nil }
		if d := e.Evaluate(context.Background(), q); d.Outcome != gate.OutcomeDeny {
			t.Errorf("an image with the findings of the record: got %+v", d)
		}
	}
}

// TestSharedReasons: what decisions have in common is there once, and it is what each of
// them says.
func TestSharedReasons(t *testing.T) {
	s := newSharing()
	reason := func(msg string, findings ...string) gate.Reason {
		return gate.Reason{Action: gate.OutcomeWarn, Code: gate.CodePolicy, Rule: "r", Msg: strings.Clone(msg), Findings: append([]string{}, findings...)}
	}
	first := []gate.Reason{reason("a", "1", "2"), reason("b")}
	second := []gate.Reason{reason("c"), reason("a", "1", "2"), reason("a", "12")}
	one, oneBytes := s.share(slices.Clone(first))
	two, twoBytes := s.share(slices.Clone(second))
	if diff := cmp.Diff([][]gate.Reason{first, second}, [][]gate.Reason{one, two}); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if unsafe.StringData(one[0].Msg) != unsafe.StringData(two[1].Msg) || &one[0].Findings[0] != &two[1].Findings[0] {
		t.Error("one reason of two decisions is there twice")
	}
	if oneBytes <= 2*slotBytes || twoBytes >= oneBytes+2*slotBytes {
		t.Errorf("they weigh %d and %d bytes", oneBytes, twoBytes)
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
