package redis_test

import (
	"errors"
	"testing"
	"time"

	"github.com/digestgate/digestgate/gate"
)

// Words that the tests of faults share.

var app = gate.Location{Registry: "harbor", Repository: "library/app"}

func analysis(d gate.Digest, trigger gate.Trigger) gate.JobRequest {
	return gate.JobRequest{Kind: gate.JobAnalyze, Location: app, Digest: d, Trigger: trigger}
}

func claimFor(worker string) gate.ClaimRequest {
	return gate.ClaimRequest{Worker: worker, Lease: 30 * time.Second, MaxAttempts: 3, Period: gate.Period{Key: "p"}}
}

func inventory(d gate.Digest, set string) *gate.Inventory {
	return &gate.Inventory{Format: gate.InventoryFormat, Digest: d, AnalyzerSet: set, AnalyzedAt: time.Unix(1_790_000_000, 0).UTC()}
}

// must is the value of a call that has to succeed: must(f())(t).
func must[T any](v T, err error) func(testing.TB) T {
	return func(t testing.TB) T {
		t.Helper()
		no(t, err)
		return v
	}
}

func no(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func wantErr(t testing.TB, what string, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Fatalf("%s: got %v, want %q", what, err, want)
	}
}
