package app

import (
	"crypto/sha256"
	"io"
	"os"

	"github.com/digestgate/digestgate/cmd/digestgate/document"
)

// configWatch sees that the configuration file has another content, however it
// was put there: by writing, by renaming another file, or by the links that
// Kubernetes swaps for a ConfigMap. It reads the file each time, which has a
// few KiB; events of the file system would miss some of these ways.
type configWatch struct {
	file     string
	accepted [sha256.Size]byte // of what was read last for use
	seen     [sha256.Size]byte
}

// newConfigWatch notes what is in the file by now; "" is never changed.
func newConfigWatch(file string) *configWatch {
	w := &configWatch{file: file}
	w.accepted, _ = w.sum()
	w.seen = w.accepted
	return w
}

// changed reports that the content is another one than that which was last
// accepted, and the same as at the call before: a file that is still being
// written is left to be finished. What changed reports is accepted.
func (w *configWatch) changed() bool {
	sum, ok := w.sum()
	if !ok {
		return false // perhaps between two names
	}
	settled := sum == w.seen
	w.seen = sum
	if !settled || sum == w.accepted {
		return false
	}
	w.accepted = sum
	return true
}

// accept notes that the file is read for use now.
func (w *configWatch) accept() {
	if sum, ok := w.sum(); ok {
		w.accepted, w.seen = sum, sum
	}
}

func (w *configWatch) sum() (sum [sha256.Size]byte, ok bool) {
	if w.file == "" {
		return sum, false
	}
	f, err := os.Open(w.file)
	if err != nil {
		return sum, false
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, io.LimitReader(f, document.MaxBytes+1)); err != nil {
		return sum, false
	}
	return [sha256.Size]byte(h.Sum(nil)), true
}
