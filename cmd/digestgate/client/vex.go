package client

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/digestgate/digestgate/cmd/digestgate/app"
	"github.com/digestgate/digestgate/cmd/digestgate/show"
	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/scanner/joined/vex"
)

// newVEXCommand shows what a VEX document would hide.
func newVEXCommand(o *app.Options) *cobra.Command {
	var flags clientFlags
	var format, file, source string
	cmd := &cobra.Command{
		Use:   "vex --explain FILE",
		Short: "Show what a VEX document would hide, before it counts",
		Long: "Show which findings of which stored images a VEX document (OpenVEX, CSAF or CycloneDX) would hide, by which\n" +
			"statement, and which statements do not count and why. Nothing is changed, and the document need not be\n" +
			"signed. It counts when advisories.vex names it.",
		Example: "  digestgate advisories vex --explain acme.openvex.json --source acme --server https://gate.example.com",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if file == "" {
				return errors.New("--explain is empty; name the file with the document")
			}
			text, err := readDocument(file)
			if err != nil {
				return err
			}
			c, err := forFormat(o, &flags, format)
			if err != nil {
				return err
			}
			var v gate.VEXEffect
			in := map[string]any{"source": source, "document": string(text)}
			if err := c.Call(cmd.Context(), http.MethodPost, "/advisories/vex/explain", in, &v); err != nil {
				return err
			}
			if format == "json" {
				return show.PrintJSON(cmd.OutOrStdout(), v)
			}
			return printEffect(cmd.OutOrStdout(), v)
		},
	}
	cmd.Flags().StringVar(&file, "explain", "", "file with the document")
	cmd.Flags().StringVar(&source, "source", "", "entry of advisories.vex in whose repositories it would count (default: everywhere)")
	flags.add(cmd)
	addFormat(cmd, &format)
	return cmd
}

// readDocument reads a file that may be as large as a VEX document.
func readDocument(file string) ([]byte, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, vex.MaxDocument+1))
	if err == nil && len(text) > vex.MaxDocument {
		err = fmt.Errorf("%q has more than %s: %w", file, gate.ByteSize(vex.MaxDocument), gate.ErrTooLarge)
	}
	return text, err
}

func printEffect(w io.Writer, v gate.VEXEffect) error {
	fmt.Fprintf(w, "%s %s by %s, of %s\n", v.Format, show.Cell(v.Document, 200), show.Cell(v.Author, 200), v.At.UTC().Format(time.RFC3339))
	refused := 0
	for _, n := range v.Refused {
		refused += n
	}
	fmt.Fprintf(w, "%s, %d that do not count\n", show.Count(v.Statements, "statement"), refused)
	for _, why := range slices.Sorted(maps.Keys(v.Refused)) {
		fmt.Fprintf(w, "  %d: %s\n", v.Refused[why], gate.Printable(why, 300))
	}
	n := len(v.Hidden) + v.More
	if n == 0 {
		_, err := fmt.Fprintln(w, "it would hide nothing of what is stored")
		return err
	}
	fmt.Fprintf(w, "it would hide %s in %s\n\n", show.Count(n, "finding"), show.Count(v.Images, "image"))
	if err := show.PrintHidden(w, v.Hidden, true); err != nil {
		return err
	}
	if v.More > 0 {
		fmt.Fprintf(w, "and %d more\n", v.More)
	}
	if v.Partial != "" {
		fmt.Fprintf(w, "not everything was looked at: %s\n", gate.Printable(v.Partial, 300))
	}
	return nil
}

// printTables shows what is joined to findings.
func printTables(row func(name, format string, args ...any), list []gate.TableStatus) {
	for _, t := range list {
		switch {
		case t.InForce.Number > 0:
			row(string(t.Kind), "%d rows of %s, in force since %s", t.InForce.Rows, t.InForce.UpdatedAt.UTC().Format(time.RFC3339), t.ActivatedAt.UTC().Format(time.RFC3339))
		case t.Problem != "":
			row(string(t.Kind), "none")
		}
		if t.Problem != "" {
			row("", "not renewed: %s", gate.Printable(t.Problem, 500))
		}
		for _, s := range t.Sources {
			state := "counts until " + s.Until.UTC().Format(time.RFC3339)
			switch {
			case s.UpdatedAt.IsZero() && s.Images && s.Problem == "":
				state = "only documents beside images"
			case s.UpdatedAt.IsZero():
				state = "never loaded"
			case s.Expired:
				state = "too old to count since " + s.Until.UTC().Format(time.RFC3339)
			}
			refused := 0
			for _, n := range s.Refused {
				refused += n
			}
			row("", "source %s, by %s: %d statements, %d that do not count, %s", gate.Printable(s.Name, 63), show.Cell(s.Author, 100), s.Statements, refused, state)
			if s.Problem != "" {
				row("", "not renewed: %s", gate.Printable(s.Problem, 500))
			}
		}
		if t.Beside != nil {
			printBeside(row, t.Beside)
		}
	}
}

// printBeside shows what a process has found beside images.
func printBeside(row func(name, format string, args ...any), b *gate.BesideStanding) {
	row("", "beside %d images since the start of the process: %d documents", b.Images, b.Documents)
	for _, why := range slices.Sorted(maps.Keys(b.Refused)) {
		row("", "refused %d times: %s", b.Refused[why], gate.Printable(why, 300))
	}
	if b.Unread > 0 {
		row("", "beside %d images there is more than could be read, so that no document beside them hides anything", b.Unread)
	}
	if b.Unreached > 0 {
		row("", "beside %d images the registry could not be asked, documents found before stay: %s", b.Unreached, gate.Printable(b.Problem, 300))
	}
}
