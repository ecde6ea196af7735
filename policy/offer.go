package policy

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/digestgate/digestgate/gate"
)

// offer is what this process, or the one before it with the same data
// directory, has last found in its files, and what was in force then. Whether
// the files it finds now are put in force depends on it: only a change on this
// side does that, and only one that is not behind others. See
// docs/adr/0010-active-policies.md.
type offer struct {
	// Store is where all this was; what is known of another store is of no use.
	Store string `json:"store"`
	// Files is the content of the files that were dealt with last.
	Files gate.Digest `json:"files,omitempty"`
	// Since is where these files stand among the activations: the number that
	// they were put in force under here, or that was in force with this content
	// when they came here, or that this content had had last when they came
	// late. What was activated after it is news to them.
	Since int64 `json:"since"`
	// InForce is what was in force when this process last looked.
	InForce Activation `json:"inForce,omitzero"`
}

// settled is how long after an activation files that have the same content are
// taken for those of that activation: a change of a ConfigMap has reached every
// node after two minutes.
const settled = 10 * time.Minute

// may decides whether files with this content, found here, replace what is in
// force.
func (o offer) may(files gate.Digest) func(active Activation, ok bool) bool {
	return func(active Activation, ok bool) bool {
		switch {
		case !ok:
			return true
		case files == o.Files, files == active.Content:
			return false // nothing changed here
		}
		// What never was in force is new. What was, after our last files, has
		// reached us late, and others are further; so has what a process finds
		// that remembers nothing. What was before them is a way back.
		last := active.last(files)
		return last == 0 || last < o.Since
	}
}

// next is the offer after files with this content ("" for none that can be
// used) were found here while active was in force.
func (o offer) next(files gate.Digest, active Activation, now time.Time) offer {
	n := o
	n.InForce = active
	switch {
	case files == "":
	case files != o.Files:
		n.Files, n.Since = files, active.last(files)
	case files == active.Content && now.Sub(active.ActivatedAt) >= settled:
		n.Since = active.Number
	}
	return n
}

func (o offer) same(p offer) bool {
	return o.Files == p.Files && o.Since == p.Since && o.InForce.Number == p.InForce.Number && o.InForce.Content == p.InForce.Content
}

// offers keeps the offer in the data directory; without a directory it is
// forgotten with the process.
type offers struct{ dir string }

func (s offers) file() string { return filepath.Join(s.dir, "policies", "active.json") }

// load reads the last offer to a store. One that is not there or not readable
// counts as none.
func (s offers) load(store string) offer {
	var o offer
	if s.dir != "" {
		b, err := os.ReadFile(s.file())
		if err == nil && json.Unmarshal(b, &o) == nil && o.Store == store && (o.InForce.Number == 0 || o.InForce.Format == activationFormat) {
			return o
		}
	}
	return offer{Store: store}
}

func (s offers) save(o offer) error {
	if s.dir == "" {
		return nil
	}
	b, err := json.Marshal(o)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(s.file()), 0o700); err != nil {
		return fmt.Errorf("remembering the policies in force: %w", errors.Join(gate.ErrResource, err))
	}
	tmp := s.file() + ".new"
	if err := os.WriteFile(tmp, b, 0o600); err != nil {
		return fmt.Errorf("remembering the policies in force: %w", errors.Join(gate.ErrResource, err))
	}
	if err := os.Rename(tmp, s.file()); err != nil {
		return fmt.Errorf("remembering the policies in force: %w", errors.Join(gate.ErrResource, err, os.Remove(tmp)))
	}
	return nil
}
