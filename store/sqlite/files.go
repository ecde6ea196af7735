package sqlite

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"sync"
	"time"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/store"
)

// filesEvery is how often the files are looked at when nothing is written: soon
// enough that the log has it before anybody restarts, cheap enough for ever.
const filesEvery = 5 * time.Second

// files are those of an open database. SQLite continues with a file that was
// removed as if nothing had happened, and everything since is lost at the next
// start: what cannot be found by its name any more must not be acknowledged.
// SQLite keeps all of them while a connection is open.
// It is safe for concurrent use.
type files struct {
	mu     sync.Mutex
	opened map[string]os.FileInfo
	gone   string // as it was told
}

// suffixes of the files: the database, its log, the log's index, our lock.
var suffixes = []string{"", "-wal", "-shm", ".lock"}

// remember takes the files as they are for those that were opened.
func (f *files) remember(path string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.opened = map[string]os.FileInfo{}
	for _, suffix := range suffixes {
		info, err := os.Stat(path + suffix)
		if err != nil {
			return fmt.Errorf("%w: %w", gate.ErrStoreUnavailable, err)
		}
		f.opened[path+suffix] = info
	}
	return nil
}

// look reports what is not there any more, and in changed that it is not what
// was reported before.
func (f *files) look(path string) (err error, changed bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	gone := ""
	for _, suffix := range suffixes {
		before, ok := f.opened[path+suffix]
		if !ok {
			continue
		}
		now, err := os.Stat(path + suffix)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			gone = fmt.Sprintf("the file %q was removed while the store is open", path+suffix)
		case err == nil && !os.SameFile(before, now):
			gone = fmt.Sprintf("the file %q was replaced while the store is open", path+suffix)
		}
		if gone != "" {
			break
		}
	}
	changed, f.gone = gone != f.gone, gone
	if gone == "" {
		return nil, changed
	}
	return &store.Damaged{What: gone + "; nothing more is stored: put it back, or stop the server, restore a backup and start again"}, changed
}

// whole tells the log when files vanish or come back, and returns the error for
// those who want to write.
func (s *Store) whole() error {
	err, changed := s.files.look(s.path)
	switch {
	case changed && err != nil:
		s.options.Logger.Error("the store's files are gone", "error", err)
	case changed:
		s.options.Logger.Info("the store's files are back", "file", s.path)
	}
	return err
}
