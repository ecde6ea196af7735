package runtimes

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// A Bench is a thread with a mount namespace and a tmpfs of its own. Its methods
// may only be called from the function that With runs.
type Bench struct {
	dir   string // where the tmpfs is mounted
	host  *os.File
	count int
}

// With runs f on a new bench. It fails where the process may not mount.
func With(f func(*Bench) error) error {
	prepare()
	result := make(chan error, 1)
	go func() {
		// The thread is never unlocked: it ends with this goroutine, and with it
		// the namespace and all that is mounted there.
		runtime.LockOSThread()
		result <- withBench(f)
	}()
	return <-result
}

func withBench(f func(*Bench) error) error {
	dir, err := os.MkdirTemp("", "runtimes")
	if err != nil {
		return fmt.Errorf("making a directory to mount on: %w", err)
	}
	defer os.Remove(dir)
	if err := unix.Unshare(unix.CLONE_FS | unix.CLONE_NEWNS); err != nil {
		return fmt.Errorf("making a mount namespace (this test needs root): %w", err)
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("making the mounts of the namespace private: %w", err)
	}
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "mode=0755"); err != nil {
		return fmt.Errorf("mounting a tmpfs on %q: %w", dir, err)
	}
	defer unix.Unmount(dir, unix.MNT_DETACH)
	// The root of the new namespace: one that was opened before is of the old.
	host, err := os.OpenFile("/", unix.O_PATH|unix.O_DIRECTORY, 0)
	if err != nil {
		return fmt.Errorf("opening the root: %w", err)
	}
	defer host.Close()
	// As the runtimes' children do before they unpack.
	unix.Umask(0)
	return f(&Bench{dir: dir, host: host})
}

// newDir makes an empty directory on the tmpfs.
func (b *Bench) newDir() (string, error) {
	b.count++
	dir := filepath.Join(b.dir, strconv.Itoa(b.count))
	return dir, os.Mkdir(dir, 0o755)
}

// clear removes all that newDir made.
func (b *Bench) clear() error {
	entries, err := os.ReadDir(b.dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if err := os.RemoveAll(filepath.Join(b.dir, e.Name())); err != nil {
			return err
		}
	}
	return nil
}

// inRoot runs f with dir as the root of the thread.
func (b *Bench) inRoot(dir string, f func() error) (err error) {
	if err := unix.Chroot(dir); err != nil {
		return fmt.Errorf("changing the root to %q: %w", dir, err)
	}
	defer func() {
		if e := errors.Join(unix.Fchdir(int(b.host.Fd())), unix.Chroot(".")); e != nil {
			err = errors.Join(err, fmt.Errorf("changing the root back: %w", e))
		}
	}()
	if err := unix.Chdir("/"); err != nil {
		return fmt.Errorf("changing to the root: %w", err)
	}
	return f()
}

// errMount marks that the kernel refused to mount.
var errMount = errors.New("mounting overlayfs")

// mountOverlay mounts the layers, the lowest first, below a fresh upper
// directory, as a container's root is mounted.
func (b *Bench) mountOverlay(options string, layers []string) (root string, unmount func() error, err error) {
	top, err := b.newDir()
	if err != nil {
		return "", nil, err
	}
	for _, d := range []string{"upper", "work", "merged"} {
		if err := os.Mkdir(filepath.Join(top, d), 0o755); err != nil {
			return "", nil, err
		}
	}
	var lower []string
	for i := len(layers) - 1; i >= 0; i-- {
		lower = append(lower, layers[i])
	}
	options += fmt.Sprintf("lowerdir=%s,upperdir=%s/upper,workdir=%s/work", strings.Join(lower, ":"), top, top)
	root = filepath.Join(top, "merged")
	if err := unix.Mount("overlay", root, "overlay", 0, options); err != nil {
		return "", nil, fmt.Errorf("%w (%s): %w", errMount, options, err)
	}
	return root, func() error { return unix.Unmount(root, unix.MNT_DETACH) }, nil
}
