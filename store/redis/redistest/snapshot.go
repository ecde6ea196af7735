package redistest

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// Snapshot is what a server had on its disk at one moment.
type Snapshot struct{ dir string }

// Snapshot copies the data while the process is stopped, so that nothing is
// written in between. It is kept beside the data.
func (s *Server) Snapshot() (snapshot *Snapshot, err error) {
	if !s.isPaused() && s.Running() {
		if err := s.Pause(); err != nil {
			return nil, err
		}
		defer func() { err = errors.Join(err, s.Resume()) }()
	}
	dir, err := os.MkdirTemp(s.dir, "snapshot-")
	if err != nil {
		return nil, err
	}
	if err := os.CopyFS(dir, os.DirFS(s.data())); err != nil {
		return nil, fmt.Errorf("copying the data of %q: %w", s.addr, err)
	}
	return &Snapshot{dir: dir}, nil
}

// Restore puts a snapshot in the place of the data of a server that is down.
// Started again, the server has lost all that it acknowledged since, as a
// machine that fails loses what was not on its disk: the last second with the
// AOF "everysec".
func (s *Server) Restore(snapshot *Snapshot) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.process.running() {
		return fmt.Errorf("restoring the data of %q: it runs", s.addr)
	}
	if err := os.RemoveAll(s.data()); err != nil {
		return err
	}
	if err := os.CopyFS(s.data(), os.DirFS(snapshot.dir)); err != nil {
		return fmt.Errorf("restoring the data of %q: %w", s.addr, err)
	}
	return nil
}

func (s *Server) data() string { return filepath.Join(s.dir, "data") }
