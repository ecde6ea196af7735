package advisory

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"time"

	"github.com/digestgate/digestgate/gate"
)

// offer is what this process, or the one before it with the same data
// directory, has last found at Path and offered to all that share the store.
// Whether the data at Path is to become the active one depends on it: see
// docs/adr/0008-advisory-generations.md.
type offer struct {
	Content   gate.Digest `json:"content"`
	UpdatedAt time.Time   `json:"updatedAt"`
	// Number is the highest number under which Content was active, as far as
	// this process has seen; 0 when it never was.
	Number int64 `json:"number"`
	// Seen is the highest number of any generation that was seen.
	Seen int64 `json:"seen"`
}

// may decides whether db, found at Path, replaces the active generation. Only a
// change on this side does, so that replicas whose data differ do not replace
// each other's for ever.
func (o offer) may(db *Database) May {
	return func(active gate.Generation, ok bool) bool {
		switch {
		case !ok:
			return true
		case o.Content == "":
			// A new process is no change; it may bring newer data.
			return db.UpdatedAt.After(active.UpdatedAt)
		case db.Content == o.Content:
			// Nothing changed here. A number below the one that it had means
			// that the store has lost the activation.
			return active.Number < o.Number
		case db.UpdatedAt.After(o.UpdatedAt):
			// Forwards: perhaps later than others, who are further.
			return db.UpdatedAt.After(active.UpdatedAt)
		}
		return true // backwards, which somebody wants
	}
}

// next is the offer after db was found at Path while active was active.
func (o offer) next(db *Database, active gate.Generation) offer {
	n := offer{Content: db.Content, UpdatedAt: db.UpdatedAt, Seen: max(o.Seen, active.Number)}
	if o.Content == db.Content {
		n.Number = o.Number
	}
	if active.Content == db.Content {
		n.Number = max(n.Number, active.Number)
	}
	return n
}

// offerFile lies beside the copies; it is no digest, so that it is not taken
// for one.
func (c copies) offerFile() string { return filepath.Join(c.root, "offered.json") }

// loadOffer reads the last offer. One that is not there or not readable counts
// as none.
func (c copies) loadOffer() offer {
	var o offer
	b, err := os.ReadFile(c.offerFile())
	if err != nil || json.Unmarshal(b, &o) != nil || !o.Content.Valid() {
		return offer{}
	}
	return o
}

func (c copies) saveOffer(o offer) error {
	b, err := json.Marshal(o)
	if err != nil {
		return err
	}
	tmp := c.offerFile() + ".new"
	if err := os.WriteFile(tmp, b, 0o600); err != nil {
		return resourceError("remembering the advisory data in use", err)
	}
	if err := os.Rename(tmp, c.offerFile()); err != nil {
		return errors.Join(resourceError("remembering the advisory data in use", err), os.Remove(tmp))
	}
	return nil
}

// agree brings the data found at Path and the active generation together and
// returns the generation to match with: the active one if it is of that data,
// else one with a lower number, whose findings give way to those of the active.
func (m *Manager) agree(ctx context.Context, db *Database) (gate.Generation, error) {
	m.mu.Lock()
	last, loaded, current := m.offer, m.loaded, m.current
	m.mu.Unlock()
	active, err := m.activate(ctx, db, last)
	if err != nil {
		return gate.Generation{}, err
	}
	next := last.next(db, active)
	if next != last && !m.observe {
		if err := m.copies.saveOffer(next); err != nil {
			m.log.Warn("the advisory data in use is not remembered for the next start", "error", err)
		}
	}
	m.mu.Lock()
	m.offer = next
	m.mu.Unlock()
	m.note(db, active)
	switch {
	case active.Content == db.Content:
		return active, nil
	case loaded != nil && loaded.Content == db.Content:
		return current, nil
	case next.Number > 0:
		return gate.Generation{Number: next.Number, Content: db.Content, UpdatedAt: db.UpdatedAt, ActivatedAt: m.now().UTC()}, nil
	}
	return gate.Generation{Number: active.Number - 1, Content: db.Content, UpdatedAt: db.UpdatedAt, ActivatedAt: m.now().UTC()}, nil
}

// activate offers db and returns what is active then.
func (m *Manager) activate(ctx context.Context, db *Database, last offer) (gate.Generation, error) {
	if !m.observe {
		return m.activator.Activate(ctx, db.Content, db.UpdatedAt, last.Seen, last.may(db))
	}
	active, ok, err := m.activator.Current(ctx)
	if err == nil && !ok { // as if it were the first
		active = gate.Generation{Number: last.Seen + 1, Content: db.Content, UpdatedAt: db.UpdatedAt, ActivatedAt: m.now().UTC()}
	}
	return active, err
}

// note keeps whether other data than ours is active, and says so once.
func (m *Manager) note(db *Database, active gate.Generation) {
	m.mu.Lock()
	defer m.mu.Unlock()
	before := m.elsewhere
	m.elsewhere = gate.Generation{}
	if active.Content == db.Content {
		return
	}
	m.elsewhere = active
	if before.Number != active.Number {
		m.log.Warn("other replicas use other advisory data", "generation", active.Number, "content", active.Content.Short(), "updatedAt", active.UpdatedAt,
			"ours", db.Content.Short(), "oursUpdatedAt", db.UpdatedAt)
	}
}
