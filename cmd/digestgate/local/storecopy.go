package local

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/spf13/cobra"

	"github.com/digestgate/digestgate/cmd/digestgate/app"
	"github.com/digestgate/digestgate/cmd/digestgate/show"
	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/gate/retention"
	"github.com/digestgate/digestgate/store"
	"github.com/digestgate/digestgate/store/transfer"
)

func NewStoreCommand(o *app.Options) *cobra.Command {
	cmd := &cobra.Command{Use: "store", Short: "Move what a server has stored"}
	cmd.AddCommand(newStoreCopyCommand(o))
	return cmd
}

func newStoreCopyCommand(o *app.Options) *cobra.Command {
	var from, to store.Config
	var format string
	cmd := &cobra.Command{
		Use:   "copy --from URL --to URL",
		Short: "Copy everything from one store to another, and compare them",
		Long: `Copy everything from one store to another, sqlite://PATH or redis://…, and
compare the two afterwards. Stop every server that uses either of them before.

The target must be empty. Until the copy is finished no server starts on it. A
copy that was interrupted continues when the same command is run again.

The flags without "from" are about the Redis of --to, and also about that of
--from, unless a flag with "from" says otherwise.

Exit status: 0 when both hold the same afterwards, otherwise 1.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := show.ValidFormat(format); err != nil {
				return err
			}
			source, target := transfer.Sides(from, to)
			if err := checkSides(source, target); err != nil {
				return err
			}
			log := o.Logger(cmd.ErrOrStderr())
			open := func(ctx context.Context, c store.Config) (transfer.Movable, error) {
				return app.OpenAnyStore(ctx, c, retention.Config{}, log, prometheus.NewRegistry()) // whose metrics are not read
			}
			result, err := transfer.Between(cmd.Context(), source, target, open, log)
			if cmd.Context().Err() != nil {
				return errors.New("interrupted; run the same command again, it continues where it stopped")
			}
			if err != nil {
				return fmt.Errorf("copying the store: %w", err)
			}
			if err := printCopy(cmd.OutOrStdout(), format, result); err != nil {
				return err
			}
			if n := len(result.Differences) + result.More; n > 0 {
				return fmt.Errorf("the stores differ in %d places, and no server starts on the target: run this again, or copy into another prefix", n)
			}
			return nil
		},
	}
	flags := cmd.Flags()
	for _, side := range []struct {
		c            *store.Config
		prefix, what string
	}{{&from, "from-", "of the source"}, {&to, "", "of Redis"}} {
		flags.StringVar(&side.c.Username, side.prefix+"username", "", "ACL user "+side.what)
		flags.StringVar(&side.c.PasswordFile, side.prefix+"password-file", "", "file with the password "+side.what)
		flags.StringVar(&side.c.CAFile, side.prefix+"ca-file", "", "file with the certificate authority "+side.what)
		flags.StringVar(&side.c.Prefix, side.prefix+"prefix", "", "key store.prefix "+side.what+` (default "`+store.Default().Prefix+`")`)
		flags.StringVar(&side.c.MACKeyFile, side.prefix+"mac-key-file", "", "file with the MAC key "+side.what)
	}
	flags.StringVar(&from.URL, "from", "", "URL of the store that is copied")
	flags.StringVar(&to.URL, "to", "", "URL of the store that is filled")
	flags.StringVar(&format, "format", "table", "table or json")
	_ = cmd.MarkFlagRequired("from") // it exists
	_ = cmd.MarkFlagRequired("to")
	return cmd
}

// checkSides reports what is wrong with the two ends of a copy, in words of the flags
// that name them.
func checkSides(source, target store.Config) error {
	var list app.Findings
	list.Add("--from", source.Validate())
	list.Add("--to", target.Validate())
	var problems []error
	for _, f := range list {
		problems = append(problems, fmt.Errorf("%s: %s", strings.TrimSuffix(f.Path, ".url"), f.Text))
	}
	if !source.Shared() && !target.Shared() {
		problems = append(problems, errors.New("one of the two must be Redis; an SQLite store is copied as a file, see docs/operations.md"))
	}
	return errors.Join(problems...)
}

func printCopy(w io.Writer, format string, r transfer.Result) error {
	if format == "json" {
		return show.PrintJSON(w, r)
	}
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "SECTION\tREAD\tWRITTEN\tCOMPARED")
	for _, s := range store.Sections() {
		fmt.Fprintf(table, "%s\t%d\t%d\t%d\n", s, r.Seen[s], r.Written[s], r.Compared[s])
	}
	if err := table.Flush(); err != nil {
		return err
	}
	for _, d := range r.Differences {
		fmt.Fprintln(w, gate.Printable(d, 400))
	}
	if r.More > 0 {
		fmt.Fprintf(w, "and %d more\n", r.More)
	}
	if len(r.Differences) == 0 {
		fmt.Fprintln(w, "both stores hold the same")
	}
	return nil
}
