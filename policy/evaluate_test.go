package policy

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/digestgate/digestgate/gate"
)

// write puts a set into a directory and returns an engine over it.
func write(t testing.TB, dir string, files ...File) {
	t.Helper()
	for _, f := range files {
		if err := os.WriteFile(filepath.Join(dir, filepath.Base(f.Name)), []byte(f.Text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func engineOver(t testing.TB, o Options, files ...File) *Active {
	t.Helper()
	dir := t.TempDir()
	write(t, dir, files...)
	o.Config.Paths = []string{dir}
	return newEngine(t, o)
}

func denying(expression string) []File {
	return source("package digestgate\n\ndeny contains " + expression + "\n")
}

func TestOutput(t *testing.T) {
	long := strings.Repeat("x", 3000)
	for _, c := range []struct {
		name    string
		text    string // after `package digestgate`
		outcome gate.Outcome
		code    gate.Code
		says    string
	}{
		{"nothing_fires", `deny contains "x" if input.image.size < 0`, gate.OutcomeAllow, "", ""},
		{"text", `deny contains "no root"`, gate.OutcomeDeny, gate.CodePolicy, "no root"},
		{"object", `deny contains {"rule": "r", "msg": "m", "findings": ["a"]}`, gate.OutcomeDeny, gate.CodePolicy, "m"},
		{"findings_set", `warn contains {"rule": "r", "msg": "m", "findings": {"a"}}`, gate.OutcomeWarn, "", "m"},
		{"warn_and_deny", "warn contains \"w\"\n\ndeny contains \"d\"", gate.OutcomeDeny, gate.CodePolicy, "d"},
		{"number", `deny contains 1`, gate.OutcomeDeny, gate.CodePolicyError, "a reason is a number"},
		{"boolean", `deny contains true`, gate.OutcomeDeny, gate.CodePolicyError, "a reason is a boolean"},
		{"null", `deny contains null`, gate.OutcomeDeny, gate.CodePolicyError, "a reason is a null"},
		{"array", `deny contains []`, gate.OutcomeDeny, gate.CodePolicyError, "a reason is a array"},
		{"set", `deny contains {"x"}`, gate.OutcomeDeny, gate.CodePolicyError, "a reason is a set"},
		{"ill_typed_warn", `warn contains 1`, gate.OutcomeDeny, gate.CodePolicyError, "data.digestgate.warn: a reason is a number"},
		{"empty_object", `deny contains {}`, gate.OutcomeDeny, gate.CodePolicyError, "has no rule"},
		{"empty_text", `deny contains ""`, gate.OutcomeDeny, gate.CodePolicyError, "empty text"},
		{"no_msg", `deny contains {"rule": "r"}`, gate.OutcomeDeny, gate.CodePolicyError, "has no msg"},
		{"wrong_key", `deny contains {"rule": "r", "message": "m"}`, gate.OutcomeDeny, gate.CodePolicyError, "unknown field"},
		{"msg_is_number", `deny contains {"rule": "r", "msg": 1}`, gate.OutcomeDeny, gate.CodePolicyError, "msg of a reason is 1"},
		{"findings_is_text", `deny contains {"rule": "r", "msg": "m", "findings": "a"}`, gate.OutcomeDeny, gate.CodePolicyError, "findings of a reason is a string"},
		{"findings_of_numbers", `deny contains {"rule": "r", "msg": "m", "findings": [1]}`, gate.OutcomeDeny, gate.CodePolicyError, "holds a number"},
		{"conflict", "deny contains \"x\" if y == 1\n\ny := 1 if input.image.size > 0\n\ny := 2 if input.image.size > 1", gate.OutcomeDeny, gate.CodePolicyError, "p.rego:"},
		{"builtin_error", `deny contains "x" if to_number(input.image.host) > 3`, gate.OutcomeDeny, gate.CodePolicyError, "p.rego:3:22: "},
		{"builtin_error_of_time", `deny contains "x" if time.parse_rfc3339_ns(input.image.host) > 3`, gate.OutcomeDeny, gate.CodePolicyError, "time.parse_rfc3339_ns"},
		{"builtin_error_under_not", `deny contains "x" if not semver.compare(input.image.host, "1.0.0") == 3`, gate.OutcomeDeny, gate.CodePolicyError, "semver.compare"},
		{"division_by_zero", `deny contains "x" if 1 / (input.image.size - 1000) > 3`, gate.OutcomeDeny, gate.CodePolicyError, "divide by zero"},
		{"long_message", `deny contains "` + long + `"`, gate.OutcomeDeny, gate.CodePolicy, "xxx..."},
		{"hostile_message", `deny contains "\u001b[31m<b>\u202e\n"`, gate.OutcomeDeny, gate.CodePolicy, `\x1b[31m<b>\u202e\n`},
	} {
		t.Run(c.name, func(t *testing.T) {
			e := engineOver(t, Options{}, source("package digestgate\n\n"+c.text+"\n")...)
			d := e.Evaluate(context.Background(), question(testInventory(), testFindings()))
			if d.Outcome != c.outcome || d.Code != c.code {
				t.Fatalf("got %+v, want %s %s", d, c.outcome, c.code)
			}
			if c.says != "" && (len(d.Reasons) == 0 || !strings.Contains(d.Reasons[0].Msg, c.says)) {
				t.Errorf("reasons: got %q, want %q", d.Reasons, c.says)
			}
			for _, r := range d.Reasons {
				if len(r.Msg) > maxMsgBytes || r.Findings == nil || r.Action == "" || r.Code == "" {
					t.Errorf("reason out of form: %+v", r)
				}
			}
		})
	}
}

func TestOutputIsCapped(t *testing.T) {
	var found []gate.Vulnerability
	for i := range 100 {
		found = append(found, critical(fmt.Sprintf("CVE-%03d", i)))
	}
	e := engineOver(t, Options{}, source(`package digestgate

deny contains {"rule": "each", "msg": v.id, "findings": [w.id | some w in input.findings.vulnerabilities]} if {
	some v in input.findings.vulnerabilities
}
`)...)
	d := e.Evaluate(context.Background(), question(testInventory(), testFindings(found...)))
	if len(d.Reasons) != maxReasons || d.Reasons[maxReasons-1].Msg != "and 51 more reasons" || d.Reasons[0].Msg != "CVE-000" {
		t.Errorf("got %d reasons, first %q, last %q", len(d.Reasons), d.Reasons[0].Msg, d.Reasons[len(d.Reasons)-1].Msg)
	}
	if got := len(d.Reasons[0].Findings); got != maxFindings {
		t.Errorf("%d findings in a reason, want %d", got, maxFindings)
	}
}

// TestUndefinedResult: a query without a result is a failure, not "no reason".
func TestUndefinedResult(t *testing.T) {
	set, err := Compile(denying(`"x"`))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := set.reasonsOf(nil); gate.CodeOf(err) != gate.CodePolicyError {
		t.Errorf("reasonsOf(nil): got %v, want POLICY_ERROR", err)
	}
	for _, value := range []any{nil, false, "x", []any{}} {
		if _, err := reasonsIn(ruleDeny, gate.OutcomeDeny, value); gate.CodeOf(err) != gate.CodePolicyError {
			t.Errorf("reasonsIn(%v): got %v, want POLICY_ERROR", value, err)
		}
	}
}

// heavy loops over n^4 elements, far more than any budget allows.
const heavy = `package digestgate

deny contains "x" if {
	n := count([1 |
		some a in input.findings.vulnerabilities
		some b in input.findings.vulnerabilities
		some c in input.findings.vulnerabilities
		some d in input.findings.vulnerabilities
		a.cvss + b.cvss + c.cvss + d.cvss < 0
	])
	n > 0
}

deny contains "y" if input.image.size < 0
`

func TestBudget(t *testing.T) {
	e := engineOver(t, Options{Budget: 50 * time.Millisecond, Slots: 1}, source(heavy)...)
	var found []gate.Vulnerability
	for i := range 300 {
		found = append(found, critical(fmt.Sprint(i)))
	}
	q := question(testInventory(), testFindings(found...))
	start := time.Now()
	d := e.Evaluate(context.Background(), q)
	if d.Outcome != gate.OutcomeDeny || d.Code != gate.CodePolicyError || !strings.Contains(d.Reasons[0].Msg, "took longer than 50ms of processor time") {
		t.Fatalf("got %+v, want deny POLICY_ERROR", d)
	}
	if took := time.Since(start); took > 30*time.Second { // by itself it would take minutes
		t.Errorf("took %s", took)
	}
	// The only slot comes back, and the failure is not remembered as an answer.
	small := question(testInventory(), testFindings())
	small.Record.FindingsID = "small"
	for range 200 {
		if d = e.Evaluate(context.Background(), small); d.Code == "" {
			break
		}
	}
	if d.Outcome != gate.OutcomeAllow {
		t.Errorf("after the heavy evaluation: got %+v, want allow", d)
	}
	if err := e.Healthy(); err != nil {
		t.Errorf("Healthy: %v", err)
	}
}

// TestLostSlots: an evaluation that does not end keeps its slot, the others are
// told, and readiness says so until it ends.
func TestLostSlots(t *testing.T) {
	e := engineOver(t, Options{Budget: 20 * time.Millisecond, Slots: 1}, denying(`"x"`)...)
	measured := e.pool.clock
	e.pool.clock = wallClock
	release := make(chan struct{})
	_, err := e.pool.do(context.Background(), func(context.Context) ([]gate.Reason, error) {
		<-release
		return nil, nil
	})
	if gate.CodeOf(err) != gate.CodePolicyError {
		t.Fatalf("over budget: got %v, want POLICY_ERROR", err)
	}
	if e.Healthy() == nil || e.Status().LostSlots != 1 {
		t.Errorf("all slots lost: Healthy %v, status %+v", e.Healthy(), e.Status())
	}
	d := e.Evaluate(context.Background(), question(testInventory(), testFindings()))
	if d.Outcome != gate.OutcomeDeny || d.Code != gate.CodeBusy {
		t.Errorf("no slot: got %+v, want deny BUSY", d)
	}
	close(release)
	for e.Healthy() != nil {
		time.Sleep(time.Millisecond)
	}
	e.pool.clock = measured
	if d := e.Evaluate(context.Background(), question(testInventory(), testFindings())); d.Code != gate.CodePolicy {
		t.Errorf("slot is back: got %+v, want deny POLICY", d)
	}
}

// wallClock takes the time that has passed for that of the processor.
func wallClock() func() time.Duration {
	began := time.Now()
	return func() time.Duration { return time.Since(began) }
}

// TestPressureIsNotAPolicyError: rules that wait for a processor are given up as BUSY,
// long after their budget, and those that get one in time answer. What they take is their
// own thread's time.
func TestPressureIsNotAPolicyError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(1, time.Second)
		p.clock = func() func() time.Duration { return func() time.Duration { return 10 * time.Millisecond } }
		wait := func(d time.Duration) func(context.Context) ([]gate.Reason, error) {
			return func(ctx context.Context) ([]gate.Reason, error) {
				select {
				case <-time.After(d):
					return []gate.Reason{}, nil
				case <-ctx.Done():
					return nil, ctx.Err()
				}
			}
		}
		if _, err := p.do(t.Context(), wait(19*time.Second)); err != nil {
			t.Errorf("within what it may wait: %v", err)
		}
		began := time.Now()
		if _, err := p.do(t.Context(), wait(time.Hour)); gate.CodeOf(err) != gate.CodeBusy {
			t.Errorf("got %v, want BUSY", err)
		}
		if took := time.Since(began); took < patience*time.Second || took > (patience+1)*time.Second {
			t.Errorf("it was given up after %s", took)
		}
		synctest.Wait()
		short, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		if _, err := p.do(short, wait(time.Hour)); gate.CodeOf(err) != gate.CodeTimeout {
			t.Errorf("the time of the caller has ended: got %v, want TIMEOUT", err)
		}
		p.slots <- struct{}{} // another evaluation
		waiting, end := context.WithTimeout(t.Context(), 2*time.Second)
		defer end()
		began = time.Now()
		if _, err := p.do(waiting, wait(0)); gate.CodeOf(err) != gate.CodeTimeout || time.Since(began) != 2*time.Second {
			t.Errorf("waiting for a slot when the time of the caller ends: got %v after %s, want TIMEOUT after 2s", err, time.Since(began))
		}
		<-p.slots
		var others sync.WaitGroup
		for range 3 { // one after the other
			others.Go(func() {
				if _, err := p.do(t.Context(), wait(5*time.Second)); err != nil {
					t.Errorf("waiting for a slot: %v", err)
				}
			})
		}
		others.Wait()
	})
	spent := make(chan func() time.Duration)
	busy, stop := make(chan struct{}), make(chan struct{})
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		spent <- threadClock()
		<-stop
	}()
	idle := <-spent
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		spent <- threadClock()
		for n := 0; ; n++ {
			select {
			case <-stop:
				close(busy)
				return
			default:
			}
		}
	}()
	for own := <-spent; own() < 20*time.Millisecond; {
		runtime.Gosched()
	}
	if runtime.GOOS == "linux" && idle() > 10*time.Millisecond {
		t.Errorf("a thread that waits has taken %s", idle())
	}
	close(stop)
	<-busy
}

func TestPanicIsADeny(t *testing.T) {
	p := newPool(1, time.Minute)
	_, err := p.do(context.Background(), func(context.Context) ([]gate.Reason, error) { panic("secret value") })
	if gate.CodeOf(err) != gate.CodePolicyError || strings.Contains(err.Error(), "secret value") {
		t.Errorf("got %v, want POLICY_ERROR without the value", err)
	}
	if _, err := p.do(context.Background(), func(context.Context) ([]gate.Reason, error) { return nil, nil }); err != nil {
		t.Errorf("the slot is gone after a panic: %v", err)
	}
}

// TestGrowthIsBounded: what would take seconds or gigabytes ends at once.
func TestGrowthIsBounded(t *testing.T) {
	doubling := func(first, step string) string {
		var b strings.Builder
		fmt.Fprintf(&b, "package digestgate\n\nx0 := %s\n\n", first)
		for i := 1; i <= 40; i++ {
			fmt.Fprintf(&b, "x%d := %s\n\n", i, strings.ReplaceAll(step, "X", fmt.Sprintf("x%d", i-1)))
		}
		b.WriteString("deny contains \"x\" if type_name(x40) == \"null\"\n")
		return b.String()
	}
	deny := func(body string) string { return "package digestgate\n\ndeny contains \"x\" if {\n\t" + body + "\n}\n" }
	for name, text := range map[string]string{
		"concat":           doubling(`input.image.host`, `concat("", [X, X])`),
		"sprintf":          doubling(`input.image.host`, `sprintf("%s%s", [X, X])`),
		"sprintf_indexed":  doubling(`input.image.host`, `sprintf("%[1]s%[1]s", [X])`),
		"template":         doubling(`input.image.host`, `$"{X}{X}"`),
		"replace":          doubling(`input.image.host`, `replace(X, "e", "ee")`),
		"replace_n":        doubling(`input.image.host`, `strings.replace_n({"e": "ee"}, X)`),
		"regex_replace":    doubling(`input.image.host`, `regex.replace(X, ".*", "$0$0")`),
		"array":            doubling(`[input.image.host]`, `array.concat(X, X)`),
		"flatten":          doubling(`[input.image.host]`, `array.flatten([X, X])`),
		"shared_arrays":    strings.Replace(doubling(`[input.image.host]`, `[X, X]`), `type_name(x40) == "null"`, `sprintf("%v", [x40]) == ""`, 1),
		"square":           doubling(`input.image.size`, `X * X`),
		"width":            deny(`sprintf("%999999d", [input.image.size]) == ""`),
		"width_argument":   deny(`sprintf(concat("", ["%*", "d"]), [999999, input.image.size]) == ""`),
		"number_in_label":  deny(`to_number(input.image.config.labels.big) + 1 > 2`),
		"number_in_json":   deny(`json.unmarshal(input.image.config.labels.json).n > 2`),
		"rounded_exponent": deny(`floor(to_number(input.image.config.labels.big)) > 2`),
	} {
		t.Run(name, func(t *testing.T) {
			e := engineOver(t, Options{}, source(text)...)
			inv := testInventory()
			inv.Config.Labels = map[string]string{"big": "1e300000000", "json": `{"n": 1e300000000}`}
			d := e.Evaluate(context.Background(), question(inv, testFindings()))
			if d.Code != gate.CodePolicyError || strings.Contains(d.Reasons[0].Msg, "took longer") || strings.Contains(d.Reasons[0].Msg, "bounded.") {
				t.Errorf("got %+v, want POLICY_ERROR because of a bound", d)
			}
		})
	}
}

// TestTextInTotalIsBounded: many large texts are as bad as one.
func TestTextInTotalIsBounded(t *testing.T) {
	e := engineOver(t, Options{}, source(`package digestgate

deny contains "x" if {
	big := concat("", [v.title | some v in input.findings.vulnerabilities])
	count({concat("", [big, v.id, w.id]) |
		some v in input.findings.vulnerabilities
		some w in input.findings.vulnerabilities
	}) < 0
}
`)...)
	var found []gate.Vulnerability
	for i := range 500 {
		v := critical(fmt.Sprint(i))
		v.Title = strings.Repeat("t", 200)
		found = append(found, v)
	}
	d := e.Evaluate(context.Background(), question(testInventory(), testFindings(found...)))
	if d.Code != gate.CodePolicyError || !strings.Contains(d.Reasons[0].Msg, "bytes of text") {
		t.Errorf("got %+v, want POLICY_ERROR because of the text in total", d)
	}
}

// TestBoundedBuiltinsStillWork: the redirection changes no result.
func TestBoundedBuiltinsStillWork(t *testing.T) {
	var checks []string
	for expression, want := range map[string]string{
		`1 + 2 * 3 - 4 / 2 % 5`: `5`, `abs(-2)`: `2`, `ceil(1.2)`: `2`, `floor(1.8)`: `1`, `round(1.5)`: `2`,
		`sum([1, 2])`: `3`, `max([1, 2])`: `2`, `min({1, 2})`: `1`, `to_number("7.5")`: `7.5`,
		`lower("A")`: `"a"`, `upper("a")`: `"A"`, `strings.reverse("ab")`: `"ba"`,
		`json.unmarshal("{\"a\": [1]}")`: `{"a": [1]}`, `base64.decode("YQ==")`: `"a"`,
		`split("a,b", ",")`: `["a", "b"]`, `regex.split(",", "a,b")`: `["a", "b"]`,
		`concat("-", ["a", "b"])`: `"a-b"`, `replace("aba", "a", "c")`: `"cbc"`,
		`strings.replace_n({"a": "b"}, "aa")`: `"bb"`, `regex.replace("abc", "(b)", "<$1>")`: `"a<b>c"`,
		`sprintf("%s %d %v %05.1f", ["a", 1, [2], 3.14])`: `"a 1 [2] 003.1"`, `$"{1}-{"x"}"`: `"1-x"`,
		`array.concat([1], [2])`: `[1, 2]`, `array.flatten([[1], 2])`: `[1, 2]`,
		`{1, 2} - {2}`: `{1}`,
	} {
		checks = append(checks, fmt.Sprintf("deny contains sprintf(\"%%v\", [%q]) if not same(%s, %s)", expression, expression, want))
	}
	e := engineOver(t, Options{}, source("package digestgate\n\n"+strings.Join(checks, "\n\n")+"\n\nsame(x, y) if x == y\n")...)
	d := e.Evaluate(context.Background(), question(testInventory(), testFindings()))
	if d.Outcome != gate.OutcomeAllow {
		t.Errorf("got %+v, want allow", d)
	}
}
