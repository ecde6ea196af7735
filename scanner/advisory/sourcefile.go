package advisory

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/scanner/advisory/format"
	"github.com/digestgate/digestgate/scanner/advisory/format/cvrf"
	"github.com/digestgate/digestgate/scanner/advisory/format/oval"
	"github.com/digestgate/digestgate/scanner/advisory/format/updateinfo"
)

// Names of formats, for messages and for the coverage of a bucket.
const (
	kindCSAF       = "CSAF"
	kindCVRF       = "CVRF"
	kindOVAL       = "OVAL"
	kindUpdateinfo = "updateinfo"
	kindOSV        = "OSV"
	kindUbuntu     = "Ubuntu tracker"
)

// sourceKind is ".json", ".yaml" or ".xml" for a file that is read, "" for another. The
// name may end in what it is packed with besides.
func sourceKind(name string) string {
	ext := path.Ext(name)
	if ext == ".zip" {
		return ext
	}
	if slices.Contains([]string{".gz", ".xz", ".zst", ".bz2"}, ext) {
		ext = path.Ext(strings.TrimSuffix(name, ext))
	}
	switch ext {
	case ".json", ".xml", ".yaml":
		return ext
	case ".yml":
		return ".yaml"
	}
	return ""
}

// readFile reads one source. Errors name it; they wrap gate.ErrInvalid or
// gate.ErrTooLarge.
func (c *collection) readFile(ctx context.Context, from fs.FS, name, kind string) error {
	if kind == ".xml" {
		f, err := from.Open(name)
		if err != nil {
			return fmt.Errorf("reading advisory source %q: %w: %w", name, err, gate.ErrInvalid)
		}
		defer f.Close()
		if err := c.readXML(name, f); err != nil {
			return fmt.Errorf("advisory source %q: %w", name, err)
		}
		return nil
	}
	if kind == ".zip" {
		return c.readArchive(ctx, from, name)
	}
	if kind == ".json" {
		if large, err := largeSource(from, name); err != nil || large {
			if err == nil {
				err = c.readLarge(from, name)
			}
			return sourceError(name, err)
		}
	}
	data, err := readSource(from, name)
	if err != nil {
		return err
	}
	if err := c.parse(name, document{yaml: kind == ".yaml", data: data}); err != nil {
		return sourceError(name, err)
	}
	return nil
}

// sourceError names the source; nil stays nil.
func sourceError(name string, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, gate.ErrTooLarge), errors.Is(err, gate.ErrInvalid):
		return fmt.Errorf("advisory source %q: %w", name, err)
	}
	return fmt.Errorf("advisory source %q: %w: %w", name, err, gate.ErrInvalid)
}

// otherFiles are documents of an RPM repository that have no advisories.
var otherFiles = map[string]bool{"repomd": true, "metadata": true, "filelists": true, "otherdata": true, "comps": true}

// headBytes is how much of an XML document is looked at to recognise it.
const headBytes = 16 << 10

// readXML streams an XML document to the reader of its format.
func (c *collection) readXML(name string, r io.Reader) error {
	unpacked, err := format.Unpack(r, format.Limits{})
	if err != nil {
		return err
	}
	defer unpacked.Close()
	in := bufio.NewReaderSize(unpacked, headBytes)
	head, err := in.Peek(headBytes)
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	root, err := format.XMLRoot(head)
	if err != nil {
		return err
	}
	var read func(io.Reader, format.Limits, format.Sink) error
	var kind string
	switch root {
	case updateinfo.Root:
		kind, read = kindUpdateinfo, updateinfo.Read
	case oval.Root:
		kind, read = kindOVAL, oval.Read
	case cvrf.Root:
		kind, read = kindCVRF, cvrf.Read
	default:
		if otherFiles[root] {
			c.skip("files of RPM repositories that have no advisories")
			return nil
		}
		return fmt.Errorf("unknown format with the element <%s>: want updateinfo (<updates>), OVAL (<oval_definitions>) or CVRF 1.2 (<cvrfdoc>): %w",
			gate.Printable(root, 60), gate.ErrInvalid)
	}
	return c.vendorFile(name, kind).read(func(sink format.Sink) error { return read(in, format.Limits{}, sink) })
}
