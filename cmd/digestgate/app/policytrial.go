package app

import (
	"context"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/digestgate/digestgate/cmd/digestgate/show"
	"github.com/digestgate/digestgate/policy"
)

// PolicyTrialName is the hidden command in which the server tries a set of
// policies before it activates it.
const PolicyTrialName = "policy-trial"

// NewPolicyTrialCommand is that command; see policy.ChildTrial.
func NewPolicyTrialCommand() *cobra.Command {
	return &cobra.Command{
		Use:    PolicyTrialName,
		Short:  "Try a set of policies (started by the server)",
		Hidden: true,
		Args:   cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if code := policy.TrialMain(cmd.InOrStdin(), cmd.OutOrStdout()); code != show.ExitAllow {
				return show.ExitError{Code: code}
			}
			return nil
		},
	}
}

// TryPolicies tries and compiles a set as the server does.
func TryPolicies(ctx context.Context, files []policy.File) (*policy.Set, error) {
	program, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("finding this program to try the policies in: %w", err)
	}
	warnings, err := policy.ChildTrial(policy.DefaultBudget, program, PolicyTrialName)(ctx, files)
	switch {
	case err != nil:
		return nil, err
	case len(warnings) > 0:
		return nil, warnings
	}
	return policy.Compile(files)
}
