package advisory

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/scanner/advisory/javaindex"
)

// publishAt has write fill a directory beside out with a database that it has checked, and
// puts that at out in one step, in place of the database that is there. Nothing is left of
// one that write refuses. Errors: gate.ErrInvalid (out holds something else),
// gate.ErrResource, and those of write.
func publishAt(out string, write func(tmp string) (*Database, error)) (db *Database, err error) {
	err = publishDirectory(out, []string{databaseFile, metadataFile, manifestFile}, "an advisory database", func(tmp string) (bool, error) {
		db, err = write(tmp)
		return true, err
	})
	if err != nil {
		return nil, err
	}
	db.Dir = out
	return db, nil
}

// publishIndex is publishAt for an index of Java archives; write says whether there is one
// to put there.
func publishIndex(out string, write func(tmp string) (put bool, err error)) error {
	return publishDirectory(out, []string{javaindex.File, metadataFile}, "an index of Java archives", write)
}

func publishDirectory(out string, files []string, what string, write func(tmp string) (put bool, err error)) error {
	if err := replaceable(out, files, what); err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(out), 0o755); err != nil {
		return resourceError("making the directory of "+what, err)
	}
	tmp, err := os.MkdirTemp(filepath.Dir(out), ".advisories-*")
	if err != nil {
		return resourceError("making a temporary directory", err)
	}
	defer os.RemoveAll(tmp) // after the rename there is nothing left to remove
	if err := os.Chmod(tmp, 0o755); err != nil {
		return resourceError("making a temporary directory", err)
	}
	put, err := write(tmp)
	if err != nil || !put {
		return err
	}
	if err := swapDirectory(tmp, out); err != nil {
		return resourceError(fmt.Sprintf("putting %s at %q", what, out), err)
	}
	return nil
}

// replaceable refuses to remove anything but the files.
func replaceable(out string, files []string, what string) error {
	entries, err := os.ReadDir(out)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("looking at the output directory: %w: %w", err, gate.ErrInvalid)
	}
	for _, e := range entries {
		if !slices.Contains(files, e.Name()) {
			return fmt.Errorf("output directory %q holds %q, which is not part of %s: %w", out, e.Name(), what, gate.ErrInvalid)
		}
	}
	return nil
}

// swapDirectory puts tmp in the place of out. There is a moment without out
// when it existed before; a manager that looks then keeps what it has.
func swapDirectory(tmp, out string) error {
	old := tmp + ".old"
	err := os.Rename(out, old)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := os.Rename(tmp, out); err != nil {
		_ = os.Rename(old, out) // put back what was there; the first error counts
		return err
	}
	return os.RemoveAll(old)
}
