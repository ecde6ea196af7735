package policy

import (
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/digestgate/digestgate/gate"
)

// TestNamespace: labels and annotations decide where they are known; where they are not,
// a rule that can see them refuses for the moment, whichever way it would have decided.
func TestNamespace(t *testing.T) {
	const (
		denies = `"closed" if input.request.namespaceLabels.env == "prod"`
		lets   = `"open" if not input.request.namespaceLabels.env`
		notes  = `"owner" if input.request.namespaceAnnotations.owner == "nobody"`
		broad  = `"many" if count(input.request) > 99`
		other  = `"name" if input.request.namespace == "closed"`
	)
	for _, c := range []struct {
		name, rule string
		request    gate.Request
		watched    bool
		want       gate.Code
	}{
		{"label", denies, gate.Request{NamespaceLabels: map[string]string{"env": "prod"}}, true, gate.CodePolicy},
		{"another", denies, gate.Request{NamespaceLabels: map[string]string{"env": "test"}}, true, ""},
		{"none", lets, gate.Request{}, true, gate.CodePolicy},
		{"annotation", notes, gate.Request{NamespaceAnnotations: map[string]string{"owner": "nobody"}}, true, gate.CodePolicy},
		{"unknown label", denies, gate.Request{NamespaceUnknown: "no answer"}, true, gate.CodeTimeout},
		{"unknown annotation", notes, gate.Request{NamespaceUnknown: "no answer"}, true, gate.CodeTimeout},
		{"unknown, and seen with the rest", broad, gate.Request{NamespaceUnknown: "no answer"}, true, gate.CodeTimeout},
		{"unknown and not read", other, gate.Request{NamespaceUnknown: "no answer"}, true, ""},
		{"not watched", broad, gate.Request{NamespaceUnknown: "no cluster is watched here"}, false, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			e := engineOver(t, Options{Watched: c.watched}, denying(c.rule)...)
			q := question(testInventory(), testFindings())
			q.Event, q.Request = gate.EventAdmission, &c.request
			for range 2 { // the second answer may be a remembered one
				if d := e.Evaluate(t.Context(), q); d.Code != c.want || c.want == gate.CodeTimeout && !strings.Contains(d.Reasons[0].Msg, "no answer") {
					t.Errorf("got %q %v, want %q", d.Code, d.Reasons, c.want)
				}
			}
			if d, ok := e.Known(q); c.want == gate.CodeTimeout && ok {
				t.Errorf("known at once: %v", d)
			}
			// What was unknown is answered when it is known.
			if c.want == gate.CodeTimeout && c.rule == denies {
				q.Request = &gate.Request{NamespaceLabels: map[string]string{"env": "prod"}}
				if d := e.Evaluate(t.Context(), q); d.Code != gate.CodePolicy {
					t.Errorf("when it is known: got %q", d.Code)
				}
			}
		})
	}
	q := question(testInventory(), testFindings()) // outside admission nothing is unknown
	if d := engineOver(t, Options{Watched: true}, denying(denies)...).Evaluate(t.Context(), q); d.Outcome != gate.OutcomeAllow {
		t.Errorf("outside admission: got %v", d)
	}
}

// TestNamespace_unwatched: a set that reads labels does not load where nobody knows them,
// and the refusal says where it reads them and what to do.
func TestNamespace_unwatched(t *testing.T) {
	dir := t.TempDir()
	text := "package digestgate\n\ndeny contains \"closed\" if input.request.namespaceLabels.env == \"prod\"\n"
	if err := os.WriteFile(filepath.Join(dir, "p.rego"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	o := Options{Config: Config{Paths: []string{dir}}, Log: slog.New(slog.DiscardHandler)}
	_, err := New(t.Context(), o)
	var ps Problems
	if !errors.As(err, &ps) || len(ps) != 1 || ps[0].Row != 3 || !strings.Contains(ps[0].Text, "kubernetes.watch") {
		t.Fatalf("got %v", err)
	}
	o.Watched = true
	a, err := New(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	if !a.ReadsNamespace() {
		t.Error("the set is said not to read labels")
	}
}
