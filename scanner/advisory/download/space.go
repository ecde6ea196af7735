package download

import (
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"

	"github.com/digestgate/digestgate/gate"
)

const (
	// reserve stays free whatever is downloaded: the store is on the same disk as a rule,
	// and a full one stops it.
	reserve = 256 << 20
	// lookEvery is how many bytes are written between two looks at the free space: some
	// tenths of a second of writing.
	lookEvery = 8 << 20
)

// space watches the disk below a directory.
type space struct {
	dir string
	// free is how many bytes may still be written there; an error means that it is not
	// known, and then nothing is refused before the disk refuses it.
	free func(dir string) (int64, error)
}

func freeBytes(dir string) (int64, error) {
	var st syscall.Statfs_t
	if err := syscall.Statfs(dir, &st); err != nil {
		return 0, err
	}
	return int64(st.Bavail) * int64(st.Bsize), nil //nolint:unconvert // the types differ between systems
}

// enough refuses what will not fit; gate.ErrResource.
func (s space) enough(need int64, what string) error {
	free, err := s.free(s.dir)
	if err != nil || free >= need+reserve {
		return nil
	}
	return fmt.Errorf("the disk of %q has %s free; downloading %s needs about %s, and %s that stay free; make room: %w",
		s.dir, gate.ByteSize(free), what, gate.ByteSize(need), gate.ByteSize(reserve), gate.ErrResource)
}

// meter writes to a file, watches the disk and tells how far it is.
type meter struct {
	out    io.Writer
	path   string
	space  space
	done   int64
	looked int64
	tell   func(done int64)
}

// Write implements io.Writer; gate.ErrResource when the disk fills up.
func (m *meter) Write(p []byte) (int, error) {
	if m.done-m.looked >= lookEvery || m.looked == 0 {
		m.looked = max(m.done, 1)
		if free, err := m.space.free(m.space.dir); err == nil && free < reserve {
			return 0, fmt.Errorf("the disk of %q has %s free, %s are to stay free; make room: %w",
				m.space.dir, gate.ByteSize(max(free, 0)), gate.ByteSize(reserve), gate.ErrResource)
		}
	}
	n, err := m.out.Write(p)
	m.done += int64(n)
	if m.tell != nil {
		m.tell(m.done)
	}
	if err != nil {
		return n, diskError("writing", m.path, err)
	}
	return n, nil
}

// diskError words a failure of this machine's disk; gate.ErrResource, unless err says what
// it is.
func diskError(doing, path string, err error) error {
	if errors.Is(err, gate.ErrTimeout) || errors.Is(err, gate.ErrResource) {
		return err
	}
	var p *os.PathError
	if errors.As(err, &p) {
		err = p.Err
	}
	return fmt.Errorf("%s %q: %w: %w", doing, path, err, gate.ErrResource)
}
