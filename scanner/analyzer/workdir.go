package analyzer

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"

	"github.com/digestgate/digestgate/gate"
)

// workDir is where the temporary directories of one Analyzer's children are.
// It is locked while its process lives, so that another process can tell it
// from one that was left behind.
type workDir struct {
	path string
	lock *os.File
}

// openWorkDir makes a directory below parent and removes those left behind.
func openWorkDir(parent string) (*workDir, error) {
	parent, err := filepath.Abs(parent)
	if err == nil {
		// Others must be able to pass: a child of root becomes another user.
		err = os.MkdirAll(parent, 0o711)
	}
	if err != nil {
		return nil, workDirError(err)
	}
	removeStale(parent)
	w := &workDir{}
	if w.path, err = os.MkdirTemp(parent, "run-"); err != nil {
		return nil, workDirError(err)
	}
	if err = os.Chmod(w.path, 0o711); err == nil {
		w.lock, err = lock(w.path)
	}
	if err != nil {
		_ = os.RemoveAll(w.path)
		return nil, workDirError(err)
	}
	return w, nil
}

func workDirError(err error) error {
	return fmt.Errorf("making the directory for temporary files: %w: %w", err, gate.ErrResource)
}

// lock holds the directory itself, without a file in it; it fails when another
// process does.
func lock(dir string) (*os.File, error) {
	f, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

func removeStale(parent string) {
	dirs, _ := filepath.Glob(filepath.Join(parent, "run-*"))
	for _, d := range dirs {
		if f, err := lock(d); err == nil {
			_ = os.RemoveAll(d)
			f.Close()
		}
	}
}

func (w *workDir) close() error {
	return errors.Join(os.RemoveAll(w.path), w.lock.Close())
}
