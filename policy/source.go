package policy

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sort"
	"strings"

	"github.com/digestgate/digestgate/gate"
)

// The bounds of a policy set. The largest public sets of image policies are
// some hundred kilobytes; compiling 8 MiB takes seconds.
const (
	maxFileBytes = 1 << 20
	maxSetBytes  = 8 << 20
	maxFiles     = 1000
)

// testSuffix marks files of `policy test`, which the server does not load.
const testSuffix = "_test.rego"

// File is one Rego source.
type File struct {
	Name string `json:"name"` // as shown in messages: the path as configured
	Text string `json:"text"`
}

// Test reports whether the file belongs to `policy test` only.
func (f File) Test() bool { return strings.HasSuffix(f.Name, testSuffix) }

// Read collects the .rego files under paths, tests included, sorted by name.
// Directories are searched; entries that begin with a dot are left out (the
// "..data" of a mounted ConfigMap; its links to files are followed). Empty
// paths mean the starter set. Errors: gate.ErrInvalid (no such path, no file,
// not UTF-8), gate.ErrTooLarge.
func Read(paths []string) ([]File, error) {
	if len(paths) == 0 {
		return Starter(), nil
	}
	r := reader{seen: map[string]bool{}}
	for _, p := range paths {
		if err := r.path(p); err != nil {
			return nil, err
		}
	}
	if len(r.files) == 0 {
		return nil, fmt.Errorf("reading policies from %q: no .rego file there: %w", strings.Join(paths, ", "), gate.ErrInvalid)
	}
	sort.Slice(r.files, func(i, j int) bool { return r.files[i].Name < r.files[j].Name })
	return r.files, nil
}

type reader struct {
	files []File
	seen  map[string]bool
	bytes int64
}

func (r *reader) path(root string) error {
	info, err := os.Stat(root)
	if err != nil {
		return fmt.Errorf("reading policies from %q: %w: %w", root, gate.ErrInvalid, err)
	}
	if !info.IsDir() {
		return r.file(root)
	}
	root += string(filepath.Separator) // so that a link to a directory is followed
	return filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return fmt.Errorf("reading policies from %q: %w: %w", path, gate.ErrInvalid, err)
		}
		hidden := strings.HasPrefix(d.Name(), ".") && path != root
		switch {
		case hidden && d.IsDir():
			return fs.SkipDir
		case hidden || d.IsDir() || !strings.HasSuffix(path, ".rego"):
			return nil
		}
		return r.file(path)
	})
}

func (r *reader) file(path string) error {
	path = filepath.Clean(path)
	if r.seen[path] {
		return nil
	}
	r.seen[path] = true
	text, err := readBounded(path)
	if err != nil {
		return err
	}
	r.bytes += int64(len(text))
	if r.bytes > maxSetBytes || len(r.files) >= maxFiles {
		return fmt.Errorf("reading policy %q: the set has more than %d files or %s: %w",
			path, maxFiles, gate.ByteSize(maxSetBytes), gate.ErrTooLarge)
	}
	r.files = append(r.files, File{Name: filepath.ToSlash(path), Text: text})
	return nil
}

func readBounded(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", fmt.Errorf("reading policy %q: %w: %w", path, gate.ErrInvalid, err)
	}
	defer f.Close()
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() {
		return "", fmt.Errorf("reading policy %q: not a regular file: %w", path, gate.ErrInvalid)
	}
	data, err := io.ReadAll(io.LimitReader(f, maxFileBytes+1))
	if err != nil {
		return "", fmt.Errorf("reading policy %q: %w: %w", path, gate.ErrInvalid, err)
	}
	if len(data) > maxFileBytes {
		return "", fmt.Errorf("reading policy %q: larger than %s: %w", path, gate.ByteSize(maxFileBytes), gate.ErrTooLarge)
	}
	plain, err := gate.PlainText(data)
	if err != nil {
		return "", fmt.Errorf("reading policy %q: %w", path, err)
	}
	return string(plain), nil
}

// live leaves out the tests.
func live(files []File) []File {
	var out []File
	for _, f := range files {
		if !f.Test() {
			out = append(out, f)
		}
	}
	return out
}

// contentHash identifies names and texts of files and further values.
func contentHash(files []File, more ...string) string {
	h := sha256.New()
	for _, f := range files {
		fmt.Fprintf(h, "%q %d\n%s", f.Name, len(f.Text), f.Text)
	}
	for _, m := range more {
		fmt.Fprintf(h, "\n%q", m)
	}
	return "sha256:" + hex.EncodeToString(h.Sum(nil))
}
