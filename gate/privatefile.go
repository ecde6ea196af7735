package gate

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
)

// PrivateFile makes sure that a file exists and that only its owner can read it, and
// does the same for those of its companions (path and a suffix) that exist. A file
// whose owner is neither the user of this process nor the owner of its directory is
// refused: another user put it, or a link to it, into the directory, and as its owner
// can read what is written to it, whatever its mode. The error wraps ErrInvalid then;
// other errors are those of the system.
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

// owned refuses an open file of another owner.
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
	return fmt.Errorf("%q belongs to user %d, who can read what is written to it; if the file is yours, run chown %d on it, otherwise remove it: %w",
		f.Name(), is.Uid, os.Geteuid(), ErrInvalid)
}
