package policy

import (
	"slices"
	"strings"
	"testing"
	"time"

	rego "github.com/open-policy-agent/opa/v1/ast"

	"github.com/digestgate/digestgate/gate"
)

// fullSample has a value in every field that the stored records can fill.
func fullSample() sample {
	s := admissionSample()
	d, now := s.question.Digest, sampleNow()
	s.inventory.OS.EOL = true
	s.inventory.Config.Cmd, s.inventory.Config.Volumes, s.inventory.Config.StopSignal = []string{"x"}, []string{"/x"}, "SIGINT"
	s.inventory.History = []gate.History{{Created: now, CreatedBy: "x", Comment: "x", EmptyLayer: true}}
	s.inventory.Secrets[0].Layer = d
	p := &s.inventory.Packages[0]
	p.FilePath, p.Dev, p.Indirect = "x", true, true
	v := &s.findings.Vulnerabilities[0]
	v.PackageID, v.Path, v.Layer = "x", "x", d
	s.findings.Gaps = []gate.Gap{{Package: "x", Version: "1", Reason: "x"}}
	s.findings.MatchedAt = now.Add(-time.Minute)
	hidden := *v
	hidden.ID = hiddenSample
	s.findings.Vulnerabilities = append(s.findings.Vulnerabilities, hidden)
	s.question.Request.NamespaceLabels, s.question.Request.NamespaceAnnotations = map[string]string{"a": "b"}, map[string]string{"a": "b"}
	return s
}

// TestNotFilledIsWhatTheSchemaSays: a place is never filled exactly when it is
// empty in an input made of records with all their fields. When a version
// begins to fill one, its "notFilled" in the schema goes.
func TestNotFilledIsWhatTheSchemaSays(t *testing.T) {
	plain, err := rego.JSON(fullSample().input())
	if err != nil {
		t.Fatal(err)
	}
	want := NotFilled()
	var got []string
	var walk func(path string, s *shape, v any)
	walk = func(path string, s *shape, v any) {
		if strings.HasPrefix(path, "input.scan.risks.") {
			return // they say the truth: nobody looked, or there is no reason
		}
		switch v := v.(type) {
		case map[string]any:
			empty := true
			before := len(got)
			for name, p := range s.Properties {
				n := len(got)
				walk(path+"."+name, p, v[name])
				empty = empty && len(got) > n
			}
			if empty && len(s.Properties) > 0 && path != "input.provenance" {
				got = append(got[:before], path)
			}
		case []any:
			if len(v) == 0 {
				got = append(got, path)
			} else {
				walk(path+"[_]", s.Items, v[0])
			}
		case string:
			if v == "" || v == s.NotKnown || v == "unknown" {
				got = append(got, path)
			}
		}
	}
	walk("input", inputShape(), plain)
	slices.Sort(got)
	if !slices.Equal(got, want) {
		t.Errorf("not filled are\n%s\nthe schema says\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// TestSchemaSaysWhatIsNotFilled: also in the text for people, and the sample
// shows it.
func TestSchemaSaysWhatIsNotFilled(t *testing.T) {
	if strings.Contains(string(SampleInput()), "kubernetes.io/metadata.name") {
		t.Error("the sample has labels of a namespace")
	}
	if n, want := strings.Count(string(Schema()), "not filled by this version"), len(NotFilled()); n < want {
		t.Errorf("%d descriptions say so, want %d", n, want)
	}
}
