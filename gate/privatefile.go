package gate

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
)

// PrivateFile makes a file that only its owner reads, or an old one such a file, and
// the companions of that name that are there. One of an owner who is neither this
// process nor the owner of its directory is refused: such a file, or the target of
// such a link, was put there by somebody who could write to the directory, and reads
// what is written to it whatever its mode is. Errors wrap ErrInvalid then; others are
// those of the system.
func PrivateFile(path string, suffixes ...string) error {
	if err := ownOrMake(path); err != nil {
		return err
	}
	for _, suffix := range suffixes {
		if _, err := os.Lstat(path + suffix); errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err := ownOrMake(path + suffix); err != nil {
			return err
		}
	}
	return nil
}

func ownOrMake(path string) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := owned(f); err != nil {
		return err
	}
	return f.Chmod(0o600)
}

// owned refuses an open file of a foreign owner.
func owned(f *os.File) error {
	file, err := f.Stat()
	if err != nil {
		return err
	}
	dir, err := os.Stat(filepath.Dir(f.Name()))
	if err != nil {
		return err
	}
	is, ok := file.Sys().(*syscall.Stat_t)
	in, also := dir.Sys().(*syscall.Stat_t)
	if !ok || !also || int(is.Uid) == os.Geteuid() || is.Uid == in.Uid {
		return nil
	}
	return fmt.Errorf("%q belongs to user %d, who can read what is written to it; run chown %d on it, or remove it: %w",
		f.Name(), is.Uid, os.Geteuid(), ErrInvalid)
}
