package runtimes

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// hangTime is after which time named pipes are looked at, a hundred times what
// an unpacker takes. That it is over does not mean anything by itself.
const hangTime = 200 * time.Millisecond

// errHang marks an unpacker that waits for a named pipe of the image to be
// written to: containers/storage does, on a whiteout whose parent is the pipe.
var errHang = errors.New("the unpacker hangs")

// unlessHanging runs f, which unpacks into dir, on this thread. When f waits for a
// named pipe, the pipe is opened, so that f continues, and the error says so.
func unlessHanging(dir string, f func() error) error {
	root := fmt.Sprintf("/proc/self/task/%d/root", unix.Gettid())
	host, err := os.Readlink(root)
	if err != nil {
		return fmt.Errorf("looking for the root of the thread: %w", err)
	}
	done, hung := make(chan struct{}), make(chan bool)
	go func() {
		for late := false; ; {
			select {
			case <-done:
				hung <- late
				return
			case <-time.After(hangTime):
				// The thread is in another mount namespace, which this link
				// leads to, and may have dir for its root already.
				tree := root + "/"
				if now, err := os.Readlink(root); err != nil || now == host {
					tree = root + dir
				}
				late = openPipes(tree) || late
			}
		}
	}()
	err = f()
	close(done)
	if <-hung {
		return errors.Join(errHang, err)
	}
	return err
}

// openPipes opens the named pipes that a reader waits for and says whether one
// was; others cannot be opened for writing (fifo(7), ENXIO).
func openPipes(tree string) (waiting bool) {
	_ = filepath.WalkDir(tree, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.Type()&fs.ModeNamedPipe != 0 {
			if f, err := os.OpenFile(path, os.O_WRONLY|unix.O_NONBLOCK, 0); err == nil {
				f.Close()
				waiting = true
			}
		}
		return nil
	})
	return waiting
}
