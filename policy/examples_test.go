package policy

import (
	"context"
	"testing"
)

// TestExamples runs the tests of examples/policies, and tries the set as the
// server would.
func TestExamples(t *testing.T) {
	files, err := Read([]string{"../examples/policies"})
	if err != nil {
		t.Fatal(err)
	}
	results, err := Test(context.Background(), files, "")
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range results {
		if !r.Passed {
			t.Errorf("%s:%d: %s: %s %s", r.File, r.Row, r.Name, r.Error, r.Output)
		}
	}
	if len(results) < 11 {
		t.Errorf("%d tests, want at least 11", len(results))
	}
	if warnings, err := selfTrial(t, 0)(context.Background(), files); err != nil || len(warnings) > 0 {
		t.Error(warnings, err)
	}
}
