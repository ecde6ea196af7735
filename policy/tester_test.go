package policy

import (
	"context"
	"testing"
)

func TestStarterTests(t *testing.T) {
	results, err := Test(context.Background(), Starter(), "")
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range results {
		if !r.Passed {
			t.Errorf("%s:%d: %s: %s %s", r.File, r.Row, r.Name, r.Error, r.Output)
		}
	}
	if len(results) < 14 {
		t.Errorf("%d tests, want at least 14", len(results))
	}
}
