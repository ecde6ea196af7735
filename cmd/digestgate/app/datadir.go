package app

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"syscall"

	"github.com/digestgate/digestgate/gate"
)

// openDataDir makes the data directory, or takes from others what they may do in an old
// one: it holds the admin token, keys and inventories. One of another owner that others
// may use is refused, unless it is a volume of its own: on a node every user may write
// to an emptyDir of Kubernetes, which only one Pod sees.
func openDataDir(dir string, log *slog.Logger) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("making the data directory (dataDir): %w", err)
	}
	info, err := os.Stat(dir)
	if err != nil {
		return fmt.Errorf("looking at the data directory (dataDir): %w", err)
	}
	mode := info.Mode().Perm()
	if mode&0o077 == 0 {
		return nil
	}
	if err = os.Chmod(dir, mode&0o700); err == nil {
		log.Warn("others could read the data directory; now only its owner can", "dataDir", dir, "fileMode", fmt.Sprintf("%#o", mode))
		return nil
	}
	if mode&0o007 == 0 || ownVolume(dir, info) {
		log.Warn("others can read the data directory, and its mode cannot be changed; its files are for their owner only", "dataDir", dir, "fileMode", fmt.Sprintf("%#o", mode), "error", err)
		return nil
	}
	return fmt.Errorf("others can use the data directory %q (dataDir, mode %#o), and its mode cannot be changed: run chmod 0700 as its owner, or name a directory below it: %w", dir, mode, errors.Join(err, gate.ErrInvalid))
}

// ownVolume reports whether a directory is the root of a file system.
func ownVolume(dir string, info os.FileInfo) bool {
	parent, err := os.Stat(filepath.Join(dir, ".."))
	if err != nil {
		return false
	}
	own, ok := info.Sys().(*syscall.Stat_t)
	above, also := parent.Sys().(*syscall.Stat_t)
	return ok && also && own.Dev != above.Dev
}

// tokenPath is the file of the admin token.
func (c Config) tokenPath() string {
	if c.Auth.AdminTokenFile != "" {
		return c.Auth.AdminTokenFile
	}
	return filepath.Join(c.DataDir, "admin-token")
}
