package agree

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/digestgate/digestgate/gate"
)

// Memory is what a process, or the one before it with the same data directory,
// has last found, and what was in force then. Whether the content that it finds
// now is put in force depends on it.
type Memory struct {
	// Store is where all this was; what is known of another store is of no use.
	Store string `json:"store,omitempty"`
	// Content is what was found here last, UpdatedAt its own time.
	Content   gate.Digest `json:"content,omitempty"`
	UpdatedAt time.Time   `json:"updatedAt,omitzero"`
	// Number is the highest number under which Content was in force, as far as
	// this process has seen; 0 when it never was.
	Number int64 `json:"number"`
	// Since is where Content stands among the activations: the number that it
	// was put in force under here, or that was in force with it when it came
	// here, or that it had had last when it came late. What was activated after
	// it is news.
	Since int64 `json:"since"`
	// Seen is the highest number of any activation that was seen.
	Seen int64 `json:"seen"`
	// InForce is what was in force when this process last looked.
	InForce Activation `json:"inForce,omitzero"`
	// Files is Content, under the name that policies gave it first.
	Files gate.Digest `json:"files,omitempty"`
}

// settled is how long after an activation a content that is the same here is
// taken for that of this activation: a change of a ConfigMap has reached every
// node after two minutes.
const settled = 10 * time.Minute

// next is the memory after content (nil for none that may be in force) was found
// here while active was in force.
func (m Memory) next(found *Content, active Activation, now time.Time) Memory {
	n := m
	n.InForce, n.Seen = active, max(m.Seen, active.Number)
	if found == nil {
		return n
	}
	inForce := found.Digest == active.Content
	if found.Digest != m.Content {
		n.Content, n.UpdatedAt, n.Number, n.Since = found.Digest, found.UpdatedAt, 0, active.Last(found.Digest)
	} else if inForce && now.Sub(active.ActivatedAt) >= settled {
		n.Since = active.Number
	}
	if inForce {
		n.Number = max(n.Number, active.Number)
	}
	return n
}

func (m Memory) same(o Memory) bool {
	return m.Content == o.Content && m.UpdatedAt.Equal(o.UpdatedAt) && m.Number == o.Number && m.Since == o.Since && m.Seen == o.Seen &&
		m.InForce.Number == o.InForce.Number && m.InForce.Content == o.InForce.Content
}

// memories keeps the memory in a file; with the path "" it is forgotten with the
// process.
type memories struct {
	kind Kind
	path string
}

func newMemories(k Kind, dataDir string) memories {
	if dataDir == "" || k.File == "" {
		return memories{k, ""}
	}
	return memories{k, filepath.Join(dataDir, filepath.FromSlash(k.File))}
}

// load reads what is remembered of a store. A memory that is missing, cannot be read,
// or is of another store, counts as nothing.
func (s memories) load(store string) Memory {
	nothing := Memory{Store: store}
	if s.path == "" {
		return nothing
	}
	text, err := os.ReadFile(s.path)
	if err != nil {
		return nothing
	}
	var m Memory
	if json.Unmarshal(text, &m) != nil || m.Store != "" && m.Store != store {
		return nothing
	}
	if m.InForce.Number != 0 && s.kind.check(m.InForce) != nil {
		return nothing
	}
	if m.Content == "" {
		m.Content = m.Files
	}
	m.Store, m.Files, m.Seen = store, "", max(m.Seen, m.InForce.Number)
	return m
}

// save replaces the file in one step; gate.ErrResource.
func (s memories) save(m Memory) error {
	if s.path == "" {
		return nil
	}
	m.Files = m.Content
	text, err := json.Marshal(m)
	if err == nil {
		err = os.MkdirAll(filepath.Dir(s.path), 0o700)
	}
	if err == nil {
		err = replaceFile(s.path, text)
	}
	if err != nil {
		return fmt.Errorf("remembering the %s: %w", s.kind.Words.InUse, errors.Join(gate.ErrResource, err))
	}
	return nil
}

// replaceFile writes a file beside the old one, and gives it its name when it is
// whole.
func replaceFile(path string, text []byte) error {
	unfinished := path + ".new"
	if err := os.WriteFile(unfinished, text, 0o600); err != nil {
		return err
	}
	if err := os.Rename(unfinished, path); err != nil {
		return errors.Join(err, os.Remove(unfinished))
	}
	return nil
}
