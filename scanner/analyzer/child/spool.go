//go:build goexperiment.jsonv2

package child

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"syscall"

	xio "github.com/aquasecurity/trivy/pkg/x/io"
)

// inMemory is the size up to which a file's content stays in memory while it is
// analysed; with four files at a time that is 32 MiB at most.
const inMemory = 8 << 20

// errOverLimit means that a file is larger than what an analyser may be given.
// The stream is untouched.
var errOverLimit = errors.New("file is over the limit for analysis")

// spool keeps the content of files while analysers read it, in memory or in
// temporary files, within a budget. It is safe for concurrent use.
type spool struct {
	maxFile int64 // 0: no limit
	maxTemp int64 // 0: no limit

	mu   sync.Mutex
	temp int64
}

// content is one kept file.
type content struct {
	spool *spool
	size  int64
	data  []byte
	file  string // "" when in memory
}

// reserve takes n bytes of the budget for temporary files.
func (s *spool) reserve(n int64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if (s.maxFile > 0 && n > s.maxFile) || (s.maxTemp > 0 && s.temp+n > s.maxTemp) {
		return errOverLimit
	}
	s.temp += n
	return nil
}

func (s *spool) release(n int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.temp -= n
}

// keep reads size bytes from r.
func (s *spool) keep(r io.Reader, size int64) (*content, error) {
	c := &content{spool: s, size: size}
	if size <= inMemory {
		c.data = make([]byte, size)
		if _, err := io.ReadFull(r, c.data); err != nil {
			return nil, readError(err)
		}
		return c, nil
	}
	if err := s.reserve(size); err != nil {
		return nil, err
	}
	f, err := os.CreateTemp("", "file-")
	if err != nil {
		return nil, fmt.Errorf("making a temporary file: %w", err)
	}
	defer f.Close()
	c.file = f.Name()
	// LimitReader keeps the copy off splice(2) and friends, which know nothing
	// of tar.
	n, err := io.Copy(f, io.LimitReader(r, size))
	if err == nil && n < size {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		c.drop()
		return nil, readError(err)
	}
	return c, nil
}

// open gives an independent reader of the content.
func (c *content) open() (xio.ReadSeekCloserAt, error) {
	if c.file == "" {
		return xio.NopCloser(bytes.NewReader(c.data)), nil
	}
	return os.Open(c.file)
}

// drop gives the memory or the file back.
func (c *content) drop() {
	if c.file != "" {
		os.Remove(c.file)
		c.spool.release(c.size)
	}
	c.data = nil
}

// readError classes an error of reading the layer or of writing it down.
func readError(err error) error {
	if diskFull(err) {
		return fmt.Errorf("writing a temporary file: %w", err)
	}
	var known *failed
	if errors.As(err, &known) {
		return err
	}
	return corrupt("reading a file in the layer: %w", err)
}

func diskFull(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT)
}
