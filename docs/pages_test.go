package docs

import (
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// root is the folder of the project, seen from this one.
const root = ".."

// file is one file of the project; its name begins at the root.
type file struct{ name, text string }

// files are those below the root that take accepts; folders of recorded bytes and of
// what is built or downloaded, and generated sources, are left out.
func files(t *testing.T, take func(name string) bool) (list []file) {
	t.Helper()
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := entry.Name()
		if entry.IsDir() {
			if path != root && (strings.HasPrefix(name, ".") || slices.Contains([]string{"testdata", "data", "bin", "node_modules"}, name)) {
				return fs.SkipDir
			}
			return nil
		}
		within, err := filepath.Rel(root, path)
		if err != nil || !take(filepath.ToSlash(within)) {
			return err
		}
		raw, err := os.ReadFile(path)
		if strings.HasPrefix(string(raw), "// Code generated") {
			return err // of other people's words
		}
		list = append(list, file{filepath.ToSlash(within), string(raw)})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// pages are those that people read, with the change log or without it.
func pages(t *testing.T, log bool) []file {
	t.Helper()
	list := files(t, func(name string) bool {
		return filepath.Ext(name) == ".md" && (log || name != "CHANGELOG.md")
	})
	if len(list) < 60 {
		t.Fatalf("only %d pages were found", len(list))
	}
	return list
}
