package local

import (
	"errors"
	"fmt"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/spf13/cobra"

	"github.com/digestgate/digestgate/cmd/digestgate/app"
	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/policy"
)

// newPolicyActivateCommand is for what no process can know by itself: that files
// which were in force before are to be so again.
func newPolicyActivateCommand(o *app.Options) *cobra.Command {
	return &cobra.Command{
		Use:   "activate [PATH…]",
		Short: "Put policies in force for all processes on a shared store",
		Long: `Put policies in force for all processes that share the configured store on Redis:
those of PATH, or of policy.paths.

A process does so automatically when its files change. It does not when it starts
with files that were in force before and were replaced since: they may be an old
copy. This command puts them in force on purpose.`,
		RunE: func(cmd *cobra.Command, paths []string) (err error) {
			c, err := o.Load()
			if err != nil {
				return err
			}
			if !c.Store.Shared() {
				return fmt.Errorf("store.url does not name Redis: the one process that uses this store takes its own files, change them instead: %w", gate.ErrInvalid)
			}
			if len(paths) == 0 {
				paths = c.Policy.Paths
			}
			files, err := policy.Read(paths)
			if err != nil {
				return err
			}
			set, err := app.TryPolicies(cmd.Context(), files)
			if err != nil {
				return reportProblems(cmd, err)
			}
			if unwatched := set.Watched(); len(unwatched) > 0 && !c.Kubernetes.Watch {
				return reportProblems(cmd, unwatched)
			}
			s, err := app.OpenStore(cmd.Context(), c.Store, c.Retention, o.Logger(cmd.ErrOrStderr()), prometheus.NewRegistry())
			if err != nil {
				return err
			}
			defer func() { err = errors.Join(err, s.Close()) }()
			active, err := policy.NewActivations(s, app.ProcessName(), o.Version).Activate(cmd.Context(), files)
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "activation %d (%s) is in force: %d rules in %d files\n", active.Number, active.Content.Short(), set.Rules(), len(set.Files()))
			return err
		},
	}
}
