package policy

import (
	"os"
	"testing"

	"go.uber.org/goleak"
)

// TestMain is also the child of ChildTrial, as cmd/digestgate is in production.
func TestMain(m *testing.M) {
	if len(os.Args) == 2 && os.Args[1] == "policy-trial" {
		os.Exit(TrialMain(os.Stdin, os.Stdout))
	}
	goleak.VerifyTestMain(m)
}
