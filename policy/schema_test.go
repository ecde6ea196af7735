package policy

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/open-policy-agent/opa/v1/ast"

	"github.com/digestgate/digestgate/gate"
)

// rawSchema is a JSON Schema with the keywords that decide whether a field may
// be absent or unknown.
type rawSchema struct {
	Type                 string                `json:"type"`
	Properties           map[string]*rawSchema `json:"properties"`
	Required             []string              `json:"required"`
	AdditionalProperties json.RawMessage       `json:"additionalProperties"`
	Items                *rawSchema            `json:"items"`
	Enum                 []any                 `json:"enum"`
}

func (s *rawSchema) walk(path string, see func(path string, s *rawSchema)) {
	see(path, s)
	for name, p := range s.Properties {
		p.walk(path+"."+name, see)
	}
	if s.Items != nil {
		s.Items.walk(path+"[]", see)
	}
}

func readSchema(t *testing.T) *rawSchema {
	t.Helper()
	var s rawSchema
	if err := json.Unmarshal(Schema(), &s); err != nil {
		t.Fatal(err)
	}
	return &s
}

func TestSchemaHasNoOptionalField(t *testing.T) {
	seen := 0
	readSchema(t).walk("input", func(path string, s *rawSchema) {
		seen++
		switch s.Type {
		case "object":
			if len(s.Properties) == 0 {
				if string(s.AdditionalProperties) != `{"type": "string"}` {
					t.Errorf("%s: a free object must be a map of texts", path)
				}
				return
			}
			if string(s.AdditionalProperties) != "false" {
				t.Errorf("%s: is not closed", path)
			}
			required := map[string]bool{}
			for _, r := range s.Required {
				required[r] = true
			}
			for name := range s.Properties {
				if !required[name] {
					t.Errorf("%s.%s is optional", path, name)
				}
			}
			if len(required) != len(s.Properties) {
				t.Errorf("%s: requires %v, has %d properties", path, s.Required, len(s.Properties))
			}
		case "array":
			if s.Items == nil {
				t.Errorf("%s: has no type of element", path)
			}
		case "string", "number", "integer", "boolean":
		default:
			t.Errorf("%s: has type %q", path, s.Type)
		}
	})
	if seen < 150 {
		t.Errorf("saw %d places of the schema, want at least 150", seen)
	}
}

func TestSchemaKnowsTheWordsOfGate(t *testing.T) {
	words := map[string][]any{}
	readSchema(t).walk("input", func(path string, s *rawSchema) {
		if s.Enum != nil {
			words[path] = s.Enum
		}
	})
	var severities, coverages, events []any
	for _, s := range gate.Severities() {
		severities = append(severities, string(s))
	}
	for _, c := range []gate.Coverage{gate.Complete, gate.Partial, gate.Failed, gate.NotLookedAt} {
		coverages = append(coverages, string(c))
	}
	for _, e := range []gate.Event{gate.EventPush, gate.EventAdmission, gate.EventRescan, gate.EventCheck} {
		events = append(events, string(e))
	}
	want := map[string][]any{"input.event": events}
	for _, list := range []string{"vulnerabilities", "secrets", "misconfigurations", "licenses", "baseline"} {
		want["input.findings."+list+"[].severity"] = severities
	}
	for _, r := range gate.Risks() {
		want["input.scan.risks."+string(r)+".coverage"] = coverages
	}
	for path, list := range want {
		if diff := cmp.Diff(list, words[path]); diff != "" {
			t.Errorf("%s: want (-), got (+):\n%s", path, diff)
		}
	}
}

// TestInputsFitTheSchema also proves the converse of the test above: what the
// Go code builds has every field of the closed schema and no other.
func TestInputsFitTheSchema(t *testing.T) {
	samples := append(trialSamples(), sample{
		name: "hostile values", question: hostileQuestion(), inventory: hostileInventory(),
		findings: testFindings(gate.Vulnerability{ID: "\xff\x00", Severity: "critical", CVSS: -7}, gate.Vulnerability{CVSS: 1e9}),
	})
	for _, s := range samples {
		plain, err := ast.JSON(s.input())
		if err != nil {
			t.Fatalf("%s: %v", s.name, err)
		}
		data, err := json.Marshal(plain)
		if err != nil {
			t.Fatalf("%s: %v", s.name, err)
		}
		if _, err := parseInput(data); err != nil {
			t.Errorf("%s: %v", s.name, err)
		}
	}
	if _, err := parseInput(SampleInput()); err != nil {
		t.Errorf("SampleInput: %v", err)
	}
}

func hostileQuestion() gate.Question {
	q := question(nil, nil)
	q.Tags = []string{"\xfe"}
	q.Request = &gate.Request{NamespaceLabels: map[string]string{"\xff": "\x1b[31m"}}
	return q
}

func hostileInventory() *gate.Inventory {
	inv := testInventory()
	inv.Risks[gate.RiskSecrets] = gate.RiskStatus{Coverage: "fine"}
	inv.Isolation.Level = "none"
	inv.Secrets = []gate.Secret{{Severity: "high", Path: "\xff"}}
	inv.History = []gate.History{{}}
	return inv
}

func TestParseInputRefuses(t *testing.T) {
	for _, text := range []string{``, `{`, `[]`, `{}`, `null`, `{"version": 2}`} {
		if _, err := parseInput([]byte(text)); err == nil {
			t.Errorf("parseInput(%q): no error", text)
		}
	}
}

func TestRunsAsRoot(t *testing.T) {
	for user, want := range map[string]bool{
		"": true, "root": true, "root:root": true, "0": true, "0:0": true, "00": true, " 0": true, ":1000": true, "+0": true,
		"1000": false, "10001:0": false, "app": false, "rooty": false, "nobody:nogroup": false, "99999999999999999999": false,
	} {
		if got := runsAsRoot(user); got != want {
			t.Errorf("runsAsRoot(%q): got %t, want %t", user, got, want)
		}
	}
}
