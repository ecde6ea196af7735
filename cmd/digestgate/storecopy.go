package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"text/tabwriter"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/spf13/cobra"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/store"
	"github.com/digestgate/digestgate/store/redis"
	"github.com/digestgate/digestgate/store/transfer"
)

func newStoreCommand(o *rootOptions) *cobra.Command {
	cmd := &cobra.Command{Use: "store", Short: "Move what a server has stored"}
	cmd.AddCommand(newStoreCopyCommand(o))
	return cmd
}

func newStoreCopyCommand(o *rootOptions) *cobra.Command {
	var from, to store.Config
	var format string
	cmd := &cobra.Command{
		Use:   "copy --from URL --to URL",
		Short: "Copy everything from one store to another, and compare them",
		Long: `Copy everything from one store to another, sqlite://PATH or redis://…, and
compare the two afterwards. Stop every server that uses either of them before.

The target must be empty. Until the copy is finished no server starts on it. A
copy that was broken off goes on when the same command is run again.

The flags without "from" are about the Redis of --to, and also about that of
--from as far as those with "from" say nothing else.

Exit status: 0 when both hold the same afterwards, otherwise 1.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := validFormat(format); err != nil {
				return err
			}
			source, target, err := copySides(from, to)
			if err != nil {
				return err
			}
			result, err := copyStore(cmd.Context(), source, target, o.logger(cmd.ErrOrStderr()))
			if cmd.Context().Err() != nil {
				return errors.New("interrupted; run the same command again, it goes on where it was")
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

// copySides completes and checks the two ends of a copy.
func copySides(from, to store.Config) (source, target store.Config, err error) {
	if to.Prefix == "" {
		to.Prefix = store.Default().Prefix
	}
	for _, f := range []struct{ own, other *string }{
		{&from.Username, &to.Username}, {&from.PasswordFile, &to.PasswordFile}, {&from.CAFile, &to.CAFile},
		{&from.Prefix, &to.Prefix}, {&from.MACKeyFile, &to.MACKeyFile},
	} {
		if *f.own == "" {
			*f.own = *f.other
		}
	}
	for _, c := range []*store.Config{&from, &to} {
		if !store.IsRedis(c.URL) {
			*c = store.Config{URL: c.URL}
		}
	}
	var list findings
	list.add("--from", from.Validate())
	list.add("--to", to.Validate())
	var problems []error
	for _, f := range list {
		problems = append(problems, fmt.Errorf("%s: %s", strings.TrimSuffix(f.path, ".url"), f.text))
	}
	if !store.IsRedis(from.URL) && !store.IsRedis(to.URL) {
		problems = append(problems, errors.New("one of the two must be Redis; an SQLite store is copied as a file, see docs/operations.md"))
	}
	return from, to, errors.Join(problems...)
}

func copyStore(ctx context.Context, source, target store.Config, log *slog.Logger) (result transfer.Result, err error) {
	name, err := storeName(source)
	if err != nil {
		return result, err
	}
	if other, err := storeName(target); err != nil || other == name {
		return result, errors.Join(err, fmt.Errorf("the source and the target are the same store %q", name))
	}
	if path, err := source.SQLitePath(); err == nil { // opening it would make it
		if _, err := os.Stat(path); err != nil {
			return result, fmt.Errorf("--from: %w", err)
		}
	}
	from, err := openAnyStore(ctx, source, log, prometheus.NewRegistry()) // which nobody reads
	if err != nil {
		return result, fmt.Errorf("--from: %w", err)
	}
	defer func() { err = errors.Join(err, from.Close()) }()
	if err := transfer.Refuse(ctx, from); err != nil {
		return result, fmt.Errorf("--from: %w", err)
	}
	to, err := openAnyStore(ctx, target, log, prometheus.NewRegistry())
	if err != nil {
		return result, fmt.Errorf("--to: %w", err)
	}
	defer func() { err = errors.Join(err, to.Close()) }()
	c := transfer.Copy{From: from, To: to, Name: name, Skip: secretsLeft(target), Log: log}
	return c.Run(ctx)
}

// storeName tells people, and a later run, which store it is.
func storeName(c store.Config) (string, error) {
	if !store.IsRedis(c.URL) {
		path, err := c.SQLitePath()
		if err != nil {
			return "", err
		}
		path, err = filepath.Abs(path)
		return "sqlite://" + path, err
	}
	t, err := store.ParseRedis(c.URL)
	return fmt.Sprintf("%s %s%s/%d, prefix %s", t.Kind, strings.Join(t.Addrs, ","), t.Master, t.Database, c.Prefix), err
}

// secretsLeft leaves the secrets that processes share out of a copy when those of
// the target could not read them: they are encrypted with the MAC key. The first
// server of the target puts its own there then.
func secretsLeft(target store.Config) func(context.Context, store.Piece) string {
	return func(_ context.Context, p store.Piece) string {
		for _, secret := range []sharedSecret{sharedToken(""), sharedAuthority("")} {
			if p.Name != secret.setting {
				continue
			}
			keys, err := redis.ReadKeys(target.MACKeyFile)
			for _, key := range keys {
				if _, err := secret.unseal(key, p.Setting.Value); err == nil {
					return ""
				}
			}
			if err != nil && store.IsRedis(target.URL) {
				return "the MAC key cannot be read"
			}
			return "it is encrypted with another MAC key; the first server of the target puts that of its dataDir there"
		}
		return ""
	}
}

func printCopy(w io.Writer, format string, r transfer.Result) error {
	if format == "json" {
		return printJSON(w, r)
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
