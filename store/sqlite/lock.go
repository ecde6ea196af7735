package sqlite

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/digestgate/digestgate/gate"
)

// acquire takes the lock that makes this process the only one on the store.
// It is an advisory lock of the kernel on an open file: it ends with the
// process, so that a file left behind by a kill means nothing. The file is
// never removed, because removing it while somebody waits would let two in.
func acquire(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", gate.ErrStoreUnavailable, err)
	}
	err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if err == nil {
		// Who holds it is only told to people; not knowing is no reason to stop.
		_ = f.Truncate(0)
		_, _ = f.WriteAt(fmt.Appendf(nil, "%d\n", os.Getpid()), 0)
		return f, nil
	}
	if !errors.Is(err, unix.EWOULDBLOCK) {
		return nil, errors.Join(fmt.Errorf("locking %q: %w: %w", path, gate.ErrStoreUnavailable, err), f.Close())
	}
	holder, _ := io.ReadAll(io.LimitReader(f, 20))
	return nil, errors.Join(fmt.Errorf("process %s is using it; a sqlite store serves one process on one machine: %w",
		gate.Printable(strings.TrimSpace(string(holder)), 20), gate.ErrStoreUnavailable), f.Close())
}
