package local

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/digestgate/digestgate/cmd/digestgate/app"
	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/scanner/advisory"
)

func newAdvisoriesExportCommand(o *app.Options) *cobra.Command {
	var path, out string
	cmd := &cobra.Command{
		Use:   "export --out FILE",
		Short: "Write advisory data into one file, for an installation that reaches no repository",
		Long: `Write advisory data into one file, a bundle, that is carried to an installation which
reaches no repository: that of --path, of advisories.path, or the newest that a server keeps in
dataDir. It is checked completely first. The file is complete or not there.`,
		Example: "  digestgate advisories export --path /srv/advisories/current --out advisories.bundle",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			config, err := loadPath(o, &path)
			if err != nil {
				return err
			}
			if path == "" {
				if path, err = advisory.NewestKept(config.DataDir); err != nil {
					return err
				}
			}
			db, err := export(cmd.Context(), path, out)
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "wrote %s: content %s, data of %s\nbring it to the other installation and run there: digestgate advisories import %s --out DIR\n",
				out, db.Content, dataTime(db.UpdatedAt), filepath.Base(out))
			return err
		},
	}
	cmd.Flags().StringVar(&path, "path", "", "directory of the database (default: advisories.path, else what is kept in dataDir)")
	cmd.Flags().StringVar(&out, "out", "", "file to write")
	if err := cmd.MarkFlagRequired("out"); err != nil {
		panic(err) // the flag is defined a line above
	}
	return cmd
}

// export writes a bundle beside out and gives it its name when it is whole.
func export(ctx context.Context, path, out string) (db *advisory.Database, err error) {
	f, err := os.CreateTemp(filepath.Dir(out), ".bundle-*")
	if err != nil {
		return nil, fmt.Errorf("writing %s: %w", gate.Quoted(out, 200), err)
	}
	defer os.Remove(f.Name()) // after the rename there is nothing left to remove
	if db, err = advisory.Export(ctx, path, f, time.Now()); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	if err := errors.Join(f.Chmod(0o644), f.Sync(), f.Close()); err != nil {
		return nil, fmt.Errorf("writing %s: %w", gate.Quoted(out, 200), err)
	}
	return db, os.Rename(f.Name(), out)
}

func newAdvisoriesImportCommand(o *app.Options) *cobra.Command {
	var out string
	cmd := &cobra.Command{
		Use:   "import FILE",
		Short: "Unpack a file of \"advisories export\" into a directory that advisories.path names",
		Long: `Unpack a bundle into a directory and check every byte of it: --out, or advisories.path. The
data there is replaced in one step, and a running server takes it into use within 15 seconds. A damaged bundle
changes nothing. "-" reads the bundle from standard input.`,
		Example: "  digestgate advisories import advisories.bundle --out /srv/advisories/current",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			config, err := loadPath(o, &out)
			if err != nil {
				return err
			}
			if out == "" {
				return fmt.Errorf("advisories.path is empty: give --out DIR, and name that directory as advisories.path of the server: %w", gate.ErrInvalid)
			}
			if len(config.Advisories.Keys) > 0 {
				return fmt.Errorf("advisories.keys is set, and a bundle carries no signature: download from a repository that has one, or import on a machine without that key: %w", gate.ErrInvalid)
			}
			if link, err := os.Readlink(out); err == nil {
				return fmt.Errorf("%s is a link to %s: import into a directory beside that with --out, and move the link: %w", gate.Quoted(out, 200), gate.Quoted(link, 200), gate.ErrInvalid)
			}
			bundle, err := openBundle(cmd, args[0])
			if err != nil {
				return err
			}
			defer bundle.Close()
			db, err := advisory.Import(cmd.Context(), bundle, out, time.Now())
			if err != nil {
				return err
			}
			return printDatabase(cmd.OutOrStdout(), db)
		},
	}
	cmd.Flags().StringVar(&out, "out", "", "directory to make; an existing database is replaced (default: advisories.path)")
	return cmd
}

func openBundle(cmd *cobra.Command, file string) (io.ReadCloser, error) {
	if file == "-" {
		return io.NopCloser(cmd.InOrStdin()), nil
	}
	f, err := os.Open(file)
	if err != nil {
		return nil, fmt.Errorf("opening the bundle: %w", err)
	}
	return f, nil
}
