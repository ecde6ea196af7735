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
	var e exporting
	cmd := &cobra.Command{
		Use:   "export --out FILE",
		Short: "Write advisory data into one file, for an installation that reaches no repository",
		Long: `Write advisory data into one file, a bundle, for an installation that reaches no repository.
The data is that of --path, else of advisories.path, else the newest that a server keeps in dataDir.
The index of Java archives is written too: that of --java, else of advisories.java.path, else the one
that the server keeps for this data. Both are checked completely first. The file is complete or not
there. With advisories.signing.keyFile it is signed, so that an installation with the public key in
advisories.keys imports it.`,
		Example: "  digestgate advisories export --path /srv/advisories/current --out advisories.bundle",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			config, err := loadPath(o.Load, &e.path)
			if err != nil {
				return err
			}
			sign, signed, err := signing(config.Advisories.Signing)
			if err != nil {
				return err
			}
			if err := e.choose(config); err != nil {
				return err
			}
			db, err := e.write(cmd.Context(), sign)
			if err != nil {
				return err
			}
			with, java := "without an index of Java archives", ""
			if j := db.Manifest.Java; j != nil {
				with, java = fmt.Sprintf("with an index of %d Java archives, data of %s", j.Indices, dataTime(j.UpdatedAt)), " --java-out DIR"
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "wrote %s: content %s, data of %s, %s, %s\nbring it to the other installation and run there: digestgate advisories import %s --out DIR%s\n",
				e.out, db.Content, dataTime(db.UpdatedAt), signed, with, filepath.Base(e.out), java)
			return err
		},
	}
	cmd.Flags().StringVar(&e.path, "path", "", "directory of the database (default: advisories.path, else what is kept in dataDir)")
	cmd.Flags().StringVar(&e.java, "java", "", "directory of the index of Java archives (default: advisories.java.path, else the one of the generation in dataDir)")
	cmd.Flags().BoolVar(&e.noJava, "no-java", false, "leave out the index of Java archives, which is several times as large as the database")
	cmd.Flags().StringVar(&e.out, "out", "", "file to write")
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

// exporting are the flags of "advisories export".
type exporting struct {
	path, java, out string
	noJava          bool
}

// choose finds what is exported where no flag says it.
func (e *exporting) choose(config app.Config) (err error) {
	if e.path == "" {
		if e.path, err = advisory.NewestKept(config.DataDir); err != nil {
			return err
		}
	}
	switch {
	case e.noJava && e.java != "":
		return fmt.Errorf("--java and --no-java contradict each other: give one of them: %w", gate.ErrInvalid)
	case e.noJava || e.java != "":
		return nil
	}
	if e.java = config.Advisories.Java.Path; e.java == "" {
		if e.java, _, err = advisory.JavaDir(e.path); err != nil {
			return fmt.Errorf("%w; leave the index out with --no-java, or name another one with --java", err)
		}
	}
	return nil
}

// write writes a bundle beside out and gives it its name when it is whole.
func (e *exporting) write(ctx context.Context, sign func([]byte) ([]byte, error)) (db *advisory.Database, err error) {
	f, err := os.CreateTemp(filepath.Dir(e.out), ".bundle-*")
	if err != nil {
		return nil, fmt.Errorf("writing %s: %w", gate.Quoted(e.out, 200), err)
	}
	defer os.Remove(f.Name()) // after the rename there is nothing left to remove
	if db, err = (advisory.Exported{Dir: e.path, Java: e.java, Sign: sign, Now: time.Now()}).Write(ctx, f); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	if err := errors.Join(f.Chmod(0o644), f.Sync(), f.Close()); err != nil {
		return nil, fmt.Errorf("writing %s: %w", gate.Quoted(e.out, 200), err)
	}
	return db, os.Rename(f.Name(), e.out)
}

func newAdvisoriesImportCommand(o *app.Options) *cobra.Command {
	var out, javaOut string
	cmd := &cobra.Command{
		Use:   "import FILE",
		Short: "Unpack a file of \"advisories export\" into a directory that advisories.path names",
		Long: `Check every byte of a bundle and unpack it into the directory --out, else advisories.path. The index
of Java archives, if the bundle has one, is written to --java-out, else to advisories.java.path. The
data there is replaced in one step, and a running server takes it into use within 15 seconds. A damaged
bundle changes nothing, and with advisories.keys a bundle that none of the keys has signed changes
nothing either. "-" reads the bundle from standard input.`,
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
			if javaOut == "" {
				javaOut = config.Advisories.Java.Path
			}
			for flag, dir := range map[string]string{"--out": out, "--java-out": javaOut} {
				if link, err := os.Readlink(dir); err == nil {
					return fmt.Errorf("%s is a link to %s: import into a directory beside that with %s, and move the link: %w", gate.Quoted(dir, 200), gate.Quoted(link, 200), flag, gate.ErrInvalid)
				}
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
			db, err := advisory.Imported{Out: out, JavaOut: javaOut, Open: open, Now: time.Now()}.Read(cmd.Context(), bundle)
			if err != nil {
				return err
			}
			if *by != "" {
				fmt.Fprintf(cmd.OutOrStdout(), "signed by the key %s\n", gate.Printable(*by, 200))
			}
			printIndex(cmd, db.Manifest.Java, javaOut)
			return printDatabase(cmd.OutOrStdout(), db)
		},
	}
	cmd.Flags().StringVar(&out, "out", "", "directory to make; an existing database is replaced (default: advisories.path)")
	cmd.Flags().StringVar(&javaOut, "java-out", "", "directory to make for the index of Java archives; an existing one is replaced (default: advisories.java.path)")
	return cmd
}

// printIndex says what became of the index of Java archives of a bundle.
func printIndex(cmd *cobra.Command, java *advisory.JavaSource, out string) {
	switch {
	case java == nil:
		cmd.Println("the bundle has no index of Java archives")
	case out == "":
		cmd.PrintErrf("warning: the index of %d Java archives in the bundle was left out: give --java-out DIR, and name that directory as advisories.java.path of the server\n", java.Indices)
	default:
		cmd.Printf("index of %d Java archives, data of %s: %s\n", java.Indices, dataTime(java.UpdatedAt), out)
	}
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
