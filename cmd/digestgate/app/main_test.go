package app

import (
	"os"
	"testing"

	"github.com/digestgate/digestgate/policy"
)

// TestMain lets the test binary stand for the program as the child in which policies
// are tried.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == PolicyTrialName {
		os.Exit(policy.TrialMain(os.Stdin, os.Stdout))
	}
	os.Exit(m.Run())
}
