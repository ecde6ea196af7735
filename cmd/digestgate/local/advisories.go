package local

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/digestgate/digestgate/cmd/digestgate/app"
	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/scanner/advisory"
	"github.com/digestgate/digestgate/scanner/advisory/coverage"
)

// NewAdvisoriesCommand builds and describes advisory databases.
//
// server are the commands that ask a server, ask has the command "status" do so where
// no directory is named.
func NewAdvisoriesCommand(o *app.Options, server []*cobra.Command, ask func(status *cobra.Command, o *app.Options, hasPath func() bool)) *cobra.Command {
	cmd := &cobra.Command{Use: "advisories", Short: "Build, inspect and move advisory data, and have a server update it or go back"}
	load := sync.OnceValues(o.Load)
	status := newAdvisoriesStatusCommand(load)
	ask(status, o, func() bool {
		if path, err := status.Flags().GetString("path"); err == nil && path != "" {
			return true
		}
		config, err := load()
		return err != nil || config.Advisories.Path != ""
	})
	cmd.AddCommand(newAdvisoriesBuildCommand(), newAdvisoriesFetchCommand(o), status, newAdvisoriesExportCommand(o), newAdvisoriesImportCommand(o))
	cmd.AddCommand(server...)
	return cmd
}

func newAdvisoriesBuildCommand() *cobra.Command {
	var from, out, updatedAt string
	cmd := &cobra.Command{
		Use:   "build --from DIR --out DIR",
		Short: "Build an advisory database from the files of vendors and of OSV",
		Long: `Builds a database in Trivy's format from every .json, .yaml and .xml file below --from, also packed (.gz,
.xz, .zst, .bz2): OSV, CSAF 2.0, CVRF, OVAL, updateinfo of RPM repositories, Alpine secdb, the trackers
of Debian and Ubuntu, and the formats of docs/advisories.md. The output is complete or not there, and
the same sources give the same bytes.

An updateinfo.xml does not say which distribution it is of. A file feed.yaml beside it, or in a
directory above, does:

  distribution: hce    # ID in os-release: hce, tencentos, alinux, anolis, openeuler, euleros,
  release: "2.0"       # kylin, uos, opencloudos, almalinux, rocky, ol, amzn, sles, …

What cannot be understood is left out, counted and named: each may be a vulnerability that is not
found.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := isDirectory(from); err != nil {
				return fmt.Errorf("--from %q: %w; name the directory that holds the files of the sources", from, err)
			}
			options := advisory.BuildOptions{From: os.DirFS(from), Out: out}
			if updatedAt != "" {
				t, err := time.Parse(time.RFC3339, updatedAt)
				if err != nil {
					return fmt.Errorf("--updated-at %s is not a time; write it as RFC 3339 has it, such as 2026-04-27T20:14:33Z: %w", gate.Printable(updatedAt, 60), gate.ErrInvalid)
				}
				if now := time.Now(); t.After(now.Add(gate.ClockSkew)) {
					return fmt.Errorf("--updated-at %s is in the future (it is %s now); give the time at which the sources were fetched: %w",
						updatedAt, now.UTC().Format(time.RFC3339), gate.ErrInvalid)
				}
				options.UpdatedAt = t
			}
			result, err := advisory.Build(cmd.Context(), options)
			if err != nil {
				return err
			}
			if result.Undated != "" {
				// A script that builds every night continues; verdicts say STALE.
				fmt.Fprintf(cmd.ErrOrStderr(), "warning: the time of the data is not known, so the data counts as older than advisories.maxAge: %s. Build again with --updated-at TIME (RFC 3339), the time at which the sources were fetched\n",
					result.Undated)
			}
			return printBuilt(cmd.OutOrStdout(), result)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&from, "from", "", "directory with the sources")
	flags.StringVar(&out, "out", "", "directory to make; an existing database is replaced")
	flags.StringVar(&updatedAt, "updated-at", "", "time of the data in RFC 3339: when the sources were fetched (default: what they state)")
	for _, name := range []string{"from", "out"} {
		if err := cmd.MarkFlagRequired(name); err != nil {
			panic(err) // the flag is defined two lines above
		}
	}
	return cmd
}

// isDirectory says in words why a path is not a directory that can be read.
func isDirectory(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("cannot be read: %w", errors.Unwrap(err))
	}
	defer d.Close()
	if info, err := d.Stat(); err != nil || !info.IsDir() {
		return errors.Join(errors.New("is not a directory"), err)
	}
	return nil
}

func printBuilt(w io.Writer, r advisory.BuildResult) error {
	var errs []error
	say := func(format string, args ...any) {
		_, err := fmt.Fprintf(w, format, args...)
		errs = append(errs, err)
	}
	say("built %s from %d files: %d advisories, %d vulnerabilities\n", r.Dir, r.Files, r.Summary.Advisories(), r.Summary.Vulnerabilities)
	for _, reason := range slices.Sorted(maps.Keys(r.Skipped)) {
		say("left out: %d %s\n", r.Skipped[reason], gate.Printable(reason, 200))
	}
	for _, l := range r.LeftOut {
		of := l.Bucket
		if of == "" {
			of = "a release that is not known"
		}
		say("not understood, and left out where it says nothing else: %d in %s, of %s; the first: %s\n", l.Count, gate.Quoted(l.File, 200), gate.Printable(of, 60), l.First)
	}
	return errors.Join(append(errs, printDatabase(w, &r.Database))...)
}

// databaseStatus is what "advisories status" prints.
type databaseStatus struct {
	Path       string                    `json:"path"`
	Content    gate.Digest               `json:"content"`
	UpdatedAt  time.Time                 `json:"updatedAt"`
	AgeSeconds int64                     `json:"ageSeconds"` // -1: not known
	Freshness  advisory.Freshness        `json:"freshness"`
	MaxAge     string                    `json:"maxAge"`
	RefuseAge  string                    `json:"refuseAge"` // "0s": never
	Bytes      int64                     `json:"bytes"`
	Ecosystems []advisory.EcosystemCount `json:"ecosystems"`
	Coverage   []coverage.Record         `json:"coverage,omitempty"`
}

// loadPath reads the configuration, and sets a directory that no flag names to its
// advisories.path.
func loadPath(load func() (app.Config, error), path *string) (app.Config, error) {
	config, err := load()
	if err == nil && *path == "" {
		*path = config.Advisories.Path
	}
	return config, err
}

func newAdvisoriesStatusCommand(load func() (app.Config, error)) *cobra.Command {
	var path, format string
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Check the advisory database at advisories.path, or ask a server how its data stands",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			config, err := loadPath(load, &path)
			if err != nil {
				return err
			}
			if path == "" {
				return fmt.Errorf("advisories.path is empty: ask a server with --server URL, or name a directory with --path: %w", gate.ErrAdvisoriesUnavailable)
			}
			now := time.Now()
			db, err := advisory.Inspect(cmd.Context(), path, now)
			if err != nil {
				return err
			}
			fresh := advisory.FreshnessOf(db.UpdatedAt, now, config.Advisories.MaxAge)
			seconds := int64(-1)
			if gate.AgeKnown(db.UpdatedAt) {
				seconds = int64(now.Sub(db.UpdatedAt).Seconds())
			}
			switch format {
			case "json":
				enc := json.NewEncoder(cmd.OutOrStdout())
				enc.SetIndent("", "  ")
				return enc.Encode(databaseStatus{
					Path: path, Content: db.Content, UpdatedAt: db.UpdatedAt, AgeSeconds: seconds,
					Freshness: fresh, MaxAge: config.Advisories.MaxAge.String(), RefuseAge: config.Advisories.RefuseAge.String(), Bytes: db.Summary.Bytes, Ecosystems: db.Summary.Ecosystems(),
					Coverage: db.Summary.Coverage,
				})
			case "table":
				if err := printDatabase(cmd.OutOrStdout(), db); err != nil {
					return err
				}
				old := "of unknown age"
				if gate.AgeKnown(db.UpdatedAt) && !db.UpdatedAt.After(now.Add(gate.ClockSkew)) {
					old = age(now.Sub(db.UpdatedAt)) + " old"
				}
				limits := fmt.Sprintf("advisories.maxAge is %s", config.Advisories.MaxAge)
				if most := config.Advisories.RefuseAge; most > 0 {
					limits += fmt.Sprintf(", advisories.refuseAge %s", most)
				}
				_, err := fmt.Fprintf(cmd.OutOrStdout(), "\nThe data is %s: %s, %s.\n", fresh, old, limits)
				return err
			}
			return fmt.Errorf("--format is %q, want table or json: %w", format, gate.ErrInvalid)
		},
	}
	cmd.Flags().StringVar(&path, "path", "", "directory of the database (default: advisories.path)")
	cmd.Flags().StringVar(&format, "format", "table", "table or json")
	return cmd
}

func printDatabase(w io.Writer, db *advisory.Database) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintf(t, "path\t%s\n", db.Dir)
	fmt.Fprintf(t, "content\t%s\n", db.Content)
	fmt.Fprintf(t, "data of\t%s\n", dataTime(db.UpdatedAt))
	fmt.Fprintf(t, "size\t%.1f MiB\n\n", float64(db.Summary.Bytes)/(1<<20))
	fmt.Fprintf(t, "ecosystem\tbuckets\tpackages\tadvisories\n")
	for _, e := range db.Summary.Ecosystems() {
		fmt.Fprintf(t, "%s\t%d\t%d\t%d\n", gate.Printable(e.Ecosystem, 60), e.Buckets, e.Packages, e.Advisories)
	}
	printCoverage(t, db.Summary.Coverage)
	return t.Flush() // a failed write shows here
}

// printCoverage says how much "no finding" means in each bucket.
func printCoverage(t io.Writer, list []coverage.Record) {
	if len(list) == 0 {
		return
	}
	fmt.Fprintf(t, "\nbucket\trows\tnewest\tfrom\tflaws without a fix\tleft out\n")
	for _, c := range list {
		newest, unfixed := "-", "no"
		if !c.Newest.IsZero() {
			newest = c.Newest.UTC().Format(time.DateOnly)
		}
		if c.Unfixed {
			unfixed = "yes"
		}
		fmt.Fprintf(t, "%s\t%d\t%s\t%s\t%s\t%d\n", gate.Printable(c.Bucket, 60), c.Rows, newest, gate.Printable(cmp.Or(strings.Join(c.Sources, ", "), "-"), 60), unfixed, c.Gaps)
	}
}

// dataTime is the time of advisory data for people.
func dataTime(t time.Time) string {
	if !gate.AgeKnown(t) {
		return "unknown time: the sources state none"
	}
	return t.UTC().Format(time.RFC3339)
}

// age shows days where hours would be hard to read.
func age(d time.Duration) string {
	if d >= 72*time.Hour {
		return fmt.Sprintf("%d days", int(d.Hours()/24))
	}
	return d.Round(time.Minute).String()
}
