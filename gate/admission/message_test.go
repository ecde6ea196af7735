package admission

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/gate/refusal"
)

func refusedAt(index int, image string, a gate.Answer) checkedPlace {
	return checkedPlace{place: place{"spec", "containers", index, fmt.Sprint("c", index), image}, answer: a}
}

func policyAnswer(rules, findings int) gate.Answer {
	a := gate.Answer{Outcome: gate.OutcomeDeny, Code: gate.CodePolicy}
	for r := range rules {
		for f := range findings {
			a.Reasons = append(a.Reasons, gate.Reason{
				Action: gate.OutcomeDeny, Rule: fmt.Sprintf("rule-%d", r), Msg: fmt.Sprintf("CVE-2026-%04d in package-%d has a fix", f, f),
			})
		}
	}
	return a
}

// verbatim is a text that says what is given.
func verbatim(s string) gate.Text { return refusal.Say(refusal.Detail, refusal.P{"text": s}) }

func TestMessage(t *testing.T) {
	pendingAnswer := gate.Answer{Outcome: gate.OutcomeNone, Code: gate.CodePending, Text: verbatim("its scan is running")}
	tests := map[string]struct {
		refused []checkedPlace
		details Details
		want    string
	}{
		"text": {[]checkedPlace{refusedAt(0, "app:1", pendingAnswer)}, DetailsFull,
			`digestgate: PENDING: spec.containers[0].image: "app:1": its scan is running`},
		"usual_text": {[]checkedPlace{refusedAt(0, "app:1", gate.Answer{Code: gate.CodeStale})}, DetailsFull,
			`digestgate: STALE: spec.containers[0].image: "app:1": the vulnerability data is too old to decide; ask the operators of digestgate to refresh it`},
		"rules": {[]checkedPlace{refusedAt(0, "app:1", policyAnswer(2, 1))}, DetailsFull,
			`digestgate: POLICY: spec.containers[0].image: "app:1": rule-0: CVE-2026-0000 in package-0 has a fix; rule-1: CVE-2026-0000 in package-0 has a fix`},
		"many_findings": {[]checkedPlace{refusedAt(0, "app:1", policyAnswer(1, 40))}, DetailsFull,
			`digestgate: POLICY: spec.containers[0].image: "app:1": rule-0: CVE-2026-0000 in package-0 has a fix, CVE-2026-0001 in package-1 has a fix, ` +
				`CVE-2026-0002 in package-2 has a fix, CVE-2026-0003 in package-3 has a fix, CVE-2026-0004 in package-4 has a fix and 35 more`},
		"rule_only": {[]checkedPlace{refusedAt(0, "app:1", policyAnswer(2, 9))}, DetailsRule,
			`digestgate: POLICY: spec.containers[0].image: "app:1": refused by rules rule-0, rule-1`},
		"platform": {[]checkedPlace{refusedAt(0, "app:1", func() gate.Answer { a := policyAnswer(1, 1); a.Platform = "linux/arm64"; return a }())}, DetailsRule,
			`digestgate: POLICY: spec.containers[0].image: "app:1": platform linux/arm64: refused by rule rule-0`},
		"policy_without_reasons": {[]checkedPlace{refusedAt(0, "app:1", gate.Answer{Code: gate.CodePolicy})}, DetailsFull,
			`digestgate: POLICY: spec.containers[0].image: "app:1": refused by policy`},
		"several": {[]checkedPlace{refusedAt(0, "app:1", pendingAnswer), refusedAt(3, "b", policyAnswer(1, 1))}, DetailsFull,
			`digestgate: PENDING: spec.containers[0].image: "app:1": its scan is running; spec.containers[3].image: POLICY`},
		"hostile_reference": {[]checkedPlace{refusedAt(0, "a\x1b[31m\r\n\"\u202e\x07\u00e9", gate.Answer{Code: gate.CodeRefInvalid, Text: verbatim("no")})}, DetailsFull,
			`digestgate: REF_INVALID: spec.containers[0].image: "a\x1b[31m\r\n\"\u202e\a\u00e9": no`},
		"hostile_text": {[]checkedPlace{refusedAt(0, "app:1", gate.Answer{Code: gate.CodeScanFailed, Text: verbatim("GET https://u:p4ss@reg/v2/x?token=s3cr3t: \x1b]0;x\x07 <b>")})}, DetailsFull,
			`digestgate: SCAN_FAILED: spec.containers[0].image: "app:1": GET https://***@reg/v2/x?*** \x1b]0;x\a <b>`},
		"password_in_reference": {[]checkedPlace{refusedAt(0, "user:hunter2@reg.example.com/app", gate.Answer{Code: gate.CodeRefInvalid, Text: verbatim("no")})}, DetailsFull,
			`digestgate: REF_INVALID: spec.containers[0].image: "***@reg.example.com/app": no`},
		"password_before_digest": {[]checkedPlace{refusedAt(0, "user:hunter2@reg/app@sha256:1", gate.Answer{Code: gate.CodeRefInvalid, Text: verbatim("no")})}, DetailsFull,
			`digestgate: REF_INVALID: spec.containers[0].image: "***@reg/app@sha256:1": no`},
		"tag_and_digest": {[]checkedPlace{refusedAt(0, "app:1.0@sha256:"+badHex, gate.Answer{Code: gate.CodeStale, Text: verbatim("no")})}, DetailsFull,
			`digestgate: STALE: spec.containers[0].image: "app:1.0@sha256:` + badHex + `": no`},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(test.want, message(test.refused, test.details, "")); diff != "" {
				t.Errorf("message (-want +got):\n%s", diff)
			}
		})
	}
}

// TestMessage_limits: findings are cut first, then images; nothing is longer
// than allowed whatever is put in.
func TestMessage_limits(t *testing.T) {
	var refused []checkedPlace
	for i := range 10 {
		refused = append(refused, refusedAt(i, good, policyAnswer(4, 30)))
	}
	got := message(refused, DetailsFull, "")
	for i := 1; i < 10; i++ {
		if !strings.Contains(got, fmt.Sprintf("; spec.containers[%d].image: POLICY", i)) {
			t.Errorf("message lost image %d while there were findings to cut: %q", i, got)
		}
	}
	if len(got) > maxMessage || !strings.Contains(got, "rule-3") || !strings.Contains(got, "and 2") {
		t.Errorf("message: got %d bytes: %q", len(got), got)
	}
	for i := 10; i < 200; i++ {
		refused = append(refused, refusedAt(i, good, policyAnswer(1, 1)))
	}
	got = message(refused, DetailsFull, "")
	if len(got) > maxMessage || !strings.Contains(got, "rule-3") || !strings.HasSuffix(got, " more") {
		t.Errorf("message: got %d bytes: %q", len(got), got)
	}
	long := strings.Repeat("\U0010ffff", 3000)
	for _, a := range []gate.Answer{policyAnswer(300, 1), {Code: gate.CodeStale, Text: verbatim(long)}, {Code: gate.CodePolicy, Reasons: []gate.Reason{{Rule: long, Msg: long}}}} {
		refused[0] = refusedAt(0, long, a)
		if got := message(refused, DetailsFull, ""); len(got) > maxMessage || !strings.HasPrefix(got, "digestgate: "+string(a.Code)+": spec.containers[0].image: \"") {
			t.Errorf("message: got %d bytes: %q", len(got), got)
		}
		if got := warning(refused[0], DetailsFull); len(got) > maxWarning {
			t.Errorf("warning: got %d bytes: %q", len(got), got)
		}
	}
}

func TestQuote_keepsTheEnd(t *testing.T) {
	ref := "reg.example.com/" + strings.Repeat("a", 250) + ":tag@sha256:" + badHex
	got := quote(ref, 320)
	if len(got) > 322 || !strings.HasSuffix(got, "@sha256:"+badHex+`"`) || !strings.HasPrefix(got, `"reg.example.com/`) {
		t.Errorf("quote: got %q", got)
	}
}

// TestResponse_warningLimits: what all webhooks may say together is 4,096
// bytes.
func TestResponse_warningLimits(t *testing.T) {
	var images []string
	for i := range 60 {
		images = append(images, fmt.Sprintf("reg.example.com/%s%d/warns:1", strings.Repeat("x", 200), i))
	}
	got, _ := answer(t, reviewer(&lookup{}), review(pod(images...), nil))
	if !got.Allowed || len(got.Warnings) < 5 || got.Warnings[len(got.Warnings)-1] != "digestgate: there are more warnings" {
		t.Errorf("warnings: got %q", got.Warnings)
	}
}
