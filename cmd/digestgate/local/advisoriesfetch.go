package local

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/digestgate/digestgate/cmd/digestgate/app"
	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/scanner/advisory"
	"github.com/digestgate/digestgate/scanner/advisory/source"
	"github.com/digestgate/digestgate/scanner/registry"
)

// fetching are the flags of "advisories fetch".
type fetching struct {
	out, base, cache string
	only             []string
	offline          bool
}

func newAdvisoriesFetchCommand(o *app.Options) *cobra.Command {
	var f fetching
	cmd := &cobra.Command{
		Use:   "fetch --out DIR",
		Short: "Download the sources that advisories.sources names, and build one database of them",
		Long: `Download what the entries of advisories.sources name, build a database of each, and put them together with
the database in --base (default: advisories.path) into the directory --out, which advisories.path of a server may
name. A feed that has not changed is not downloaded again: files are kept in --cache, which may be carried to a
machine without a network and used there with --offline. The output is complete or not there; when one source
cannot be had, nothing is made.`,
		Example: "  digestgate advisories fetch --base /srv/advisories/trivy-db --out /srv/advisories/current",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			config, err := o.Load()
			if err != nil {
				return err
			}
			db, err := f.run(cmd, config)
			if err != nil {
				return err
			}
			for _, s := range db.Manifest.Sources {
				cmd.Printf("%s: %d advisories, data of %s; %d alike and %d overruled by sources before it, %d replaced\n",
					s.Name, s.Gave.Rows, dataTime(s.UpdatedAt), s.Gave.Alike, s.Gave.Overruled, s.Gave.Replaced)
				if len(s.Gave.Unused) > 0 {
					cmd.PrintErrf("warning: %s cannot be united with a source before it, and is not used: %s. Write it in replaces of the source that is to count\n",
						s.Name, gate.Printable(strings.Join(s.Gave.Unused, ", "), 300))
				}
			}
			return printDatabase(cmd.OutOrStdout(), db)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&f.out, "out", "", "directory to make; an existing database is replaced")
	flags.StringVar(&f.base, "base", "", "directory with Trivy's database, or one of yours in its place (default: advisories.path)")
	flags.StringVar(&f.cache, "cache", "", "directory in which downloads are kept (default: in dataDir)")
	flags.StringSliceVar(&f.only, "source", nil, "name of an entry of advisories.sources; may be repeated (default: all)")
	flags.BoolVar(&f.offline, "offline", false, "use what the last download has left in --cache, and connect to nothing")
	if err := cmd.MarkFlagRequired("out"); err != nil {
		panic(err) // the flag is defined above
	}
	return cmd
}

// run fetches all sources and composes them.
func (f *fetching) run(cmd *cobra.Command, config app.Config) (*advisory.Database, error) {
	list, err := f.chosen(config.Advisories)
	if err != nil {
		return nil, err
	}
	if f.base == "" && filepath.Clean(config.Advisories.Path) != filepath.Clean(f.out) {
		f.base = config.Advisories.Path
	}
	if f.cache == "" {
		f.cache = filepath.Join(config.DataDir, "advisories", "fetched")
	}
	var inputs []advisory.Input
	for _, s := range source.Ordered(list, f.base != "") {
		in := advisory.Input{Config: s, Dir: f.base}
		if s.Name != gate.SourceTrivyDB {
			cmd.Printf("%s: %s\n", s.Name, gate.Printable(s.Where(), 300))
			d, err := f.fetch(cmd.Context(), s, config)
			if err != nil {
				return nil, fmt.Errorf("source %q: %w", s.Name, err)
			}
			defer d.Discard()
			in.Dir = d.Dir
			if d.Repository != "" {
				in.From = d.Repository + "@" + string(d.Manifest)
			}
		}
		inputs = append(inputs, in)
	}
	return advisory.Compose(cmd.Context(), f.out, inputs, time.Now())
}

// chosen are the sources that are fetched.
func (f *fetching) chosen(c advisory.Config) ([]source.Config, error) {
	if len(c.Sources) == 0 {
		return nil, fmt.Errorf("advisories.sources is empty: write there what is to be fetched, see docs/advisories.md: %w", gate.ErrInvalid)
	}
	if len(f.only) == 0 {
		return c.Sources, nil
	}
	var list []source.Config
	for _, name := range f.only {
		i := slices.IndexFunc(c.Sources, func(s source.Config) bool { return s.Name == name })
		if i < 0 {
			return nil, fmt.Errorf("--source %s is not in advisories.sources: %w", gate.Quoted(name, 60), gate.ErrInvalid)
		}
		list = append(list, c.Sources[i])
	}
	return list, nil
}

// fetch brings the database of one source.
func (f *fetching) fetch(ctx context.Context, s source.Config, config app.Config) (*advisory.Download, error) {
	dir := filepath.Join(f.cache, s.Name)
	var mirrors advisory.Mirrors
	if s.Kind() == source.Repository {
		if f.offline {
			return nil, fmt.Errorf("a repository cannot be asked with --offline: export its data as a bundle and name that as path: %w", gate.ErrInvalid)
		}
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return nil, fmt.Errorf("making the directory for downloads: %w: %w", gate.ErrResource, err)
		}
		var registries []registry.Config
		for _, entry := range config.Registries {
			registries = append(registries, entry.Config)
		}
		d, err := app.NewSourceDownload(s, dir, registries, nil)
		if err != nil {
			return nil, err
		}
		defer d.Close()
		mirrors = app.SourceMirrors(d)
	} else {
		supply, err := app.NewSupply(s, config.Advisories.Keys, dir, f.offline, nil)
		if err != nil {
			return nil, err
		}
		mirrors = supply
	}
	d, err := mirrors.Fetch(ctx, advisory.MirrorRequest{Again: true, Accept: func(context.Context, advisory.Download) error { return nil }})
	if err == nil && d == nil {
		err = errors.Join(errors.New("it has no data"), gate.ErrNotFound)
	}
	return d, err
}
