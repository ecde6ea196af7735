package runtimes

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"

	containerd1 "github.com/containerd/containerd/archive"
	containerd2 "github.com/containerd/containerd/v2/pkg/archive"
	moby "github.com/moby/go-archive"
	podman "go.podman.io/storage/pkg/archive"
)

// A Rig unpacks layers as one runtime does.
type Rig struct {
	Name string
	// Overlay rigs unpack each layer into a directory of its own and the kernel
	// merges them; the others unpack all layers into one directory.
	Overlay bool
	// options are those of the mount, with a comma at the end.
	options string
	// unpack puts layer n into dir; parents are the directories of the layers
	// below, the nearest first.
	unpack func(b *Bench, n int, dir string, parents []string, archive []byte) error
}

// Rigs is every way to unpack that is tried. There are six of them, by the letter
// that their names begin with; a sign after it marks a variant: another version,
// or a library called otherwise than its runtime calls it.
//
// Mounts have the options which the runtimes give themselves: "index=off" of
// containerd (plugins/snapshots/overlay/overlay.go, NewSnapshotter) and Docker
// (daemon/graphdriver/overlay2/overlay.go, Get), none of containers/storage
// (drivers/overlay/overlay.go, get; distributions add "nodev,metacopy=on", which
// matters only to images that are not judged at all). Everything else is the
// kernel's default.
func Rigs() []Rig {
	return []Rig{
		{Name: "a containerd 2 native", unpack: containerd2Apply},
		{Name: "a' containerd 1.7 native", unpack: containerd1Apply},
		{Name: "b containerd 2 overlay", Overlay: true, options: "index=off,", unpack: containerd2Overlay},
		{Name: "b' containerd 1.7 overlay", Overlay: true, options: "index=off,", unpack: containerd1Overlay},
		{Name: "b\" containerd 2 overlay, bottom layer as well", Overlay: true, options: "index=off,", unpack: containerd2OverlayAll},
		{Name: "b* containerd 2 overlay, layers at the same time", Overlay: true, options: "index=off,", unpack: containerd2Parallel},
		{Name: "c CRI-O overlay", Overlay: true, unpack: crioOverlay},
		{Name: "c' containers/storage overlay, no chroot", Overlay: true, unpack: storageOverlay},
		{Name: "d CRI-O vfs", unpack: crioVFS},
		{Name: "d' containers/storage vfs, no chroot", unpack: storageVFS},
		{Name: "e Docker overlay2", Overlay: true, options: "index=off,", unpack: dockerOverlay},
		{Name: "f Docker vfs", unpack: dockerVFS},
	}
}

// containerd's native snapshotter mounts a directory, so that core/diff/apply
// calls Apply without options.

func containerd2Apply(_ *Bench, _ int, dir string, _ []string, archive []byte) error {
	_, err := containerd2.Apply(context.Background(), dir, bytes.NewReader(archive))
	return err
}

func containerd1Apply(_ *Bench, _ int, dir string, _ []string, archive []byte) error {
	_, err := containerd1.Apply(context.Background(), dir, bytes.NewReader(archive))
	return err
}

// The mount of a snapshot without a parent is a directory too, and so the lowest
// layer is unpacked without converting whiteouts (core/diff/apply/apply_linux.go,
// apply; plugins/snapshots/overlay/overlay.go, mounts).

func containerd2Overlay(b *Bench, n int, dir string, parents []string, archive []byte) error {
	if n == 0 {
		return containerd2Apply(b, n, dir, parents, archive)
	}
	return containerd2OverlayAll(b, n, dir, parents, archive)
}

func containerd1Overlay(b *Bench, n int, dir string, parents []string, archive []byte) error {
	if n == 0 {
		return containerd1Apply(b, n, dir, parents, archive)
	}
	_, err := containerd1.Apply(context.Background(), dir, bytes.NewReader(archive),
		containerd1.WithConvertWhiteout(containerd1.OverlayConvertWhiteout), containerd1.WithParents(parents))
	return err
}

func containerd2OverlayAll(_ *Bench, _ int, dir string, parents []string, archive []byte) error {
	_, err := containerd2.Apply(context.Background(), dir, bytes.NewReader(archive),
		containerd2.WithConvertWhiteout(containerd2.OverlayConvertWhiteout), containerd2.WithParents(parents))
	return err
}

// Layers that are unpacked at the same time do not know those below
// (core/unpack/unpacker.go, bindToOverlay).
func containerd2Parallel(b *Bench, n int, dir string, _ []string, archive []byte) error {
	return containerd2Overlay(b, n, dir, nil, archive)
}

// containers/storage unpacks in a chroot, in a child of its own
// (drivers/overlay/overlay.go, applyDiff; drivers/fsdiff.go, ApplyDiff;
// pkg/chrootarchive). Names with too many ".." pass only there.

func crioOverlay(b *Bench, _ int, dir string, _ []string, archive []byte) error {
	return b.inRoot(dir, func() error { return storageOverlay(b, 0, "/", nil, archive) })
}

func storageOverlay(_ *Bench, _ int, dir string, _ []string, archive []byte) error {
	return podman.UntarUncompressed(bytes.NewReader(archive), dir, &podman.TarOptions{WhiteoutFormat: podman.OverlayWhiteoutFormat})
}

// storageTemp is TMPDIR while containers/storage unpacks; its child makes a
// directory with such a name in the root and removes it at the end
// (pkg/chrootarchive/diff_unix.go, applyLayer).
const storageTemp = "/temp-storage-extract1"

func crioVFS(b *Bench, _ int, dir string, _ []string, archive []byte) error {
	return b.inRoot(dir, func() error {
		if err := os.Mkdir(storageTemp, 0o700); err != nil {
			return err
		}
		defer os.RemoveAll(storageTemp)
		return storageVFS(b, 0, "/", nil, archive)
	})
}

func storageVFS(_ *Bench, _ int, dir string, _ []string, archive []byte) error {
	_, err := podman.UnpackLayer(dir, bytes.NewReader(archive), &podman.TarOptions{})
	return err
}

// Docker unpacks on a thread with another root (chrootarchive/archive_linux.go;
// moby: daemon/graphdriver/overlay2/overlay.go, ApplyDiff, and fsdiff.go).

func dockerOverlay(b *Bench, _ int, dir string, _ []string, archive []byte) error {
	return withProc(&moby.TarOptions{WhiteoutFormat: moby.OverlayWhiteoutFormat}, func(o *moby.TarOptions) error {
		return b.inRoot(dir, func() error { return moby.UntarUncompressed(bytes.NewReader(archive), "/", o) })
	})
}

func dockerVFS(b *Bench, _ int, dir string, _ []string, archive []byte) error {
	return withProc(&moby.TarOptions{}, func(o *moby.TarOptions) error {
		return b.inRoot(dir, func() error {
			_, err := moby.UnpackLayer("/", bytes.NewReader(archive), o)
			return err
		})
	})
}

func withProc(o *moby.TarOptions, f func(*moby.TarOptions) error) error {
	options, done, err := moby.WithProcSelfFD(o)
	if err != nil {
		return err
	}
	defer done()
	return f(options)
}

// Show unpacks the layers and reads what a container would see. A refusal of
// the unpacker is told in the result, the error is one of the bench.
func (r Rig) Show(b *Bench, archives [][]byte) (Shown, error) {
	var dirs []string
	for n, archive := range archives {
		if n == 0 || r.Overlay {
			dir, err := b.newDir()
			if err != nil {
				return Shown{}, err
			}
			dirs = append(dirs, dir)
		}
		parents := slices.Clone(dirs[:len(dirs)-1])
		slices.Reverse(parents)
		err := unlessHanging(dirs[len(dirs)-1], func() error { return r.unpack(b, n, dirs[len(dirs)-1], parents, archive) })
		if err != nil {
			return Shown{Refused: fmt.Errorf("layer %d: %w", n, err)}, nil
		}
	}
	if !r.Overlay {
		return b.read(dirs[0])
	}
	root, unmount, err := b.mountOverlay(r.options, dirs)
	if err != nil {
		return Shown{}, err
	}
	defer unmount()
	return b.read(root)
}

// show is what each rig shows of the stack that the archives are of, by its name.
// What is refused because of attributes of overlayfs is told like a refusal of
// the unpacker; any other mount must succeed.
func (b *Bench) show(s Stack, archives [][]byte) (shown map[string]Shown, err error) {
	defer func() { err = errors.Join(err, b.clear()) }()
	shown = map[string]Shown{}
	for _, r := range Rigs() {
		sh, err := r.Show(b, archives)
		if errors.Is(err, errMount) && s.overlayXattrs() {
			sh, err = Shown{Refused: err}, nil
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", r.Name, err)
		}
		shown[r.Name] = sh
	}
	return shown, nil
}
