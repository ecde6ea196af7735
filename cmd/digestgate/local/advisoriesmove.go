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
	"github.com/digestgate/digestgate/scanner/advisory/download"
)

func newAdvisoriesExportCommand(o *app.Options) *cobra.Command {
	var path, out string
	cmd := &cobra.Command{
		Use:   "export --out FILE",
		Short: "Write advisory data into one file, for an installation that reaches no repository",
		Long: `Write advisory data into one file, a bundle, that is carried to an installation which
reaches no repository: that of --path, of advisories.path, or the newest that a server keeps in
dataDir. It is checked completely first. The file is complete or not there. With advisories.signing.keyFile it
is signed, so that an installation with the public key in advisories.keys takes it.`,
		Example: "  digestgate advisories export --path /srv/advisories/current --out advisories.bundle",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			config, err := loadPath(o.Load, &path)
			if err != nil {
				return err
			}
			if path == "" {
				if path, err = advisory.NewestKept(config.DataDir); err != nil {
					return err
				}
			}
			sign, signed, err := signing(config.Advisories.Signing)
			if err != nil {
				return err
			}
			db, err := export(cmd.Context(), path, out, sign)
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "wrote %s: content %s, data of %s, "+signed+"\nbring it to the other installation and run there: digestgate advisories import %s --out DIR\n",
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

// signing is how bundles are signed, in code and for people.
func signing(c advisory.SigningConfig) (sign func(content []byte) ([]byte, error), text string, err error) {
	if c.KeyFile == "" {
		return nil, "not signed", nil
	}
	s, err := download.LoadSigner(c.KeyFile, c.PasswordFile)
	if err != nil {
		return nil, "", fmt.Errorf("advisories.signing: %w", err)
	}
	return func(content []byte) ([]byte, error) { return s.Envelope(content, advisory.BundleType) }, "signed", nil
}

// export writes a bundle beside out and gives it its name when it is whole.
func export(ctx context.Context, path, out string, sign func([]byte) ([]byte, error)) (db *advisory.Database, err error) {
	f, err := os.CreateTemp(filepath.Dir(out), ".bundle-*")
	if err != nil {
		return nil, fmt.Errorf("writing %s: %w", gate.Quoted(out, 200), err)
	}
	defer os.Remove(f.Name()) // after the rename there is nothing left to remove
	if db, err = advisory.ExportSigned(ctx, path, f, time.Now(), sign); err != nil {
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
changes nothing, nor does one that none of advisories.keys has signed, when there are any. "-" reads the bundle from standard input.`,
		Example: "  digestgate advisories import advisories.bundle --out /srv/advisories/current",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			config, err := loadPath(o.Load, &out)
			if err != nil {
				return err
			}
			if out == "" {
				return fmt.Errorf("advisories.path is empty: give --out DIR, and name that directory as advisories.path of the server: %w", gate.ErrInvalid)
			}
			if link, err := os.Readlink(out); err == nil {
				return fmt.Errorf("%s is a link to %s: import into a directory beside that with --out, and move the link: %w", gate.Quoted(out, 200), gate.Quoted(link, 200), gate.ErrInvalid)
			}
			bundle, err := openBundle(cmd, args[0])
			if err != nil {
				return err
			}
			defer bundle.Close()
			open, by, err := opening(config.Advisories.Keys)
			if err != nil {
				return err
			}
			db, err := advisory.ImportSigned(cmd.Context(), bundle, out, time.Now(), open)
			if err != nil {
				return err
			}
			if *by != "" {
				fmt.Fprintf(cmd.OutOrStdout(), "signed by the key %s\n", gate.Printable(*by, 200))
			}
			return printDatabase(cmd.OutOrStdout(), db)
		},
	}
	cmd.Flags().StringVar(&out, "out", "", "directory to make; an existing database is replaced (default: advisories.path)")
	return cmd
}

// opening is how the signature of a bundle is verified: nil without keys. by is the file of
// the key that made it.
func opening(files []string) (open func(envelope []byte) ([]byte, error), by *string, err error) {
	by = new(string)
	if len(files) == 0 {
		return nil, by, nil
	}
	keys, err := download.LoadKeys(files)
	if err != nil {
		return nil, by, fmt.Errorf("advisories.%w", err)
	}
	return func(envelope []byte) (content []byte, err error) {
		content, *by, err = keys.Open(envelope, advisory.BundleType)
		return content, err
	}, by, nil
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
