package policy

import (
	"embed"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/digestgate/digestgate/gate"
)

//go:embed rules/*.rego
var starterFS embed.FS

// Starter is the set of rules that is part of the program, with its tests.
func Starter() []File {
	entries, err := fs.ReadDir(starterFS, "rules")
	if err != nil {
		panic(fmt.Sprintf("policy: reading the embedded rules: %v", err))
	}
	var files []File
	for _, e := range entries {
		text, err := fs.ReadFile(starterFS, "rules/"+e.Name())
		if err != nil {
			panic(fmt.Sprintf("policy: reading the embedded rules: %v", err))
		}
		files = append(files, File{Name: "starter/" + e.Name(), Text: string(text)})
	}
	return files
}

// WriteStarter writes the starter set with its tests into dir, which it makes
// if need be, and returns the names written. It never overwrites: an existing
// file is gate.ErrInvalid and nothing is written.
func WriteStarter(dir string) ([]string, error) {
	files := Starter()
	names := make([]string, len(files))
	for i, f := range files {
		names[i] = filepath.Join(dir, filepath.Base(f.Name))
		if _, err := os.Lstat(names[i]); err == nil {
			return nil, fmt.Errorf("writing %q: the file exists already; name a directory without it: %w", names[i], gate.ErrInvalid)
		}
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("making directory %q: %w", dir, err)
	}
	for i, f := range files {
		if err := os.WriteFile(names[i], []byte(f.Text), 0o644); err != nil {
			return nil, fmt.Errorf("writing %q: %w", names[i], err)
		}
	}
	return names, nil
}
