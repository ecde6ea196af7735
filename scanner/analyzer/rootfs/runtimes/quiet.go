package runtimes

import (
	"bytes"
	"io"
	"os"
	"sync"

	moby "github.com/moby/go-archive"
	"github.com/sirupsen/logrus"
	podman "go.podman.io/storage/pkg/archive"
	"go.podman.io/storage/pkg/unshare"
)

// prepare must have run before anything is unpacked with another root: the
// libraries look once in /proc whether they run as root, which their callers
// make them do before the chroot (containers/storage:
// pkg/chrootarchive/chroot_linux.go). It also ends what they log about
// attributes that they leave out.
var prepare = sync.OnceFunc(func() {
	logrus.SetOutput(io.Discard)
	_ = unshare.IsRootless()
	empty := make([]byte, 1024)
	_ = podman.UntarUncompressed(bytes.NewReader(empty), os.TempDir(), &podman.TarOptions{})
	_ = moby.UntarUncompressed(bytes.NewReader(empty), os.TempDir(), &moby.TarOptions{WhiteoutFormat: moby.OverlayWhiteoutFormat})
})
