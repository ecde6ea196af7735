package advisory

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/scanner/advisory/format"
	"github.com/digestgate/digestgate/scanner/advisory/format/csaf"
	"github.com/digestgate/digestgate/scanner/advisory/format/jsonfile"
)

// largeBytes is from where on a JSON file, unpacked, is read piece by piece and not whole:
// the largest single advisories known have 5 MB, Debian's tracker 70 MB, lists of OSV
// entries any size.
const largeBytes = 8 << 20

// opened gives a source, unpacked, to read.
func opened(from fs.FS, name string, read func(r io.Reader) error) error {
	f, err := from.Open(name)
	if err != nil {
		return fmt.Errorf("reading: %w: %w", err, gate.ErrInvalid)
	}
	defer f.Close()
	unpacked, err := format.Unpack(f, format.Limits{Bytes: maxSourceBytes})
	if err != nil {
		return err
	}
	defer unpacked.Close()
	return read(unpacked)
}

// largeSource reports whether a source has more than [largeBytes].
func largeSource(from fs.FS, name string) (large bool, err error) {
	err = opened(from, name, func(r io.Reader) error {
		n, err := io.CopyN(io.Discard, r, largeBytes+1)
		large = n > largeBytes
		if errors.Is(err, io.EOF) {
			return nil
		}
		return err
	})
	return large, err
}

// readLarge reads a JSON file twice: first what it is, then its parts one by one. What is
// held besides what becomes rows is one part, of at most 64 MiB.
func (c *collection) readLarge(from fs.FS, name string) error {
	var head jsonfile.Head
	err := opened(from, name, func(r io.Reader) (err error) {
		head, err = jsonfile.Look(r, jsonfile.Limits{})
		return err
	})
	if err != nil {
		return err
	}
	return opened(from, name, func(r io.Reader) error {
		switch {
		case head.List:
			return jsonfile.Elements(r, jsonfile.Limits{}, func(_ int, entry json.RawMessage) error { return c.parseEntry(name, entry) })
		case slices.Contains(head.Keys, "document"):
			return c.vendorFile(name, kindCSAF).read(func(sink format.Sink) error {
				return csaf.Read(r, format.Limits{Bytes: maxSourceBytes}, sink)
			})
		case slices.ContainsFunc(head.Keys, func(k string) bool { return wholeKeys[k] }):
			return c.readWhole(name, r)
		}
		c.ages.undated(name)
		return jsonfile.Members(r, jsonfile.Limits{}, func(pkg string, issues json.RawMessage) error {
			if !(document{data: []byte(`{"p":` + string(issues) + "}")}).isTracker() {
				return fmt.Errorf("key %s: unknown format: want OSV, CSAF 2.0, Debian's tracker, or another format of docs/advisories.md", gate.Quoted(pkg, 60))
			}
			var list map[string]trackerIssue
			if err := json.Unmarshal(issues, &list); err != nil {
				return fmt.Errorf("package %s: parsing JSON: %w", gate.Quoted(pkg, 60), err)
			}
			return c.trackerPackage(pkg, list)
		})
	})
}

// wholeKeys are of the formats that are read whole: their files are small.
var wholeKeys = map[string]bool{
	"affected": true, "id": true, "modified": true, "distroversion": true, "distribution": true, "advisories": true, "vulnerabilities": true,
	"Candidate": true, "Patches": true, "notices": true, "cves": true,
}

// maxWholeBytes bounds a file of these formats.
const maxWholeBytes = 64 << 20

func (c *collection) readWhole(name string, r io.Reader) error {
	data, err := io.ReadAll(io.LimitReader(r, maxWholeBytes+1))
	if err != nil {
		return err
	}
	if len(data) > maxWholeBytes {
		return fmt.Errorf("it has more than %s, the most for a file of its format; split it into several files: %w", gate.ByteSize(maxWholeBytes), gate.ErrTooLarge)
	}
	return c.parse(name, document{data: data})
}
