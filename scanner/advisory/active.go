package advisory

import (
	"context"
	"errors"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/gate/agree"
)

// Kind is how processes agree on advisory data: it is too large to be kept in the
// store, so that each process has it by itself, and it has a time, by which one
// knows the newer (docs/adr/0008-advisory-generations.md). What the store has
// lost gets a new number: findings carry theirs, and a number must not name two
// contents.
func Kind() agree.Kind {
	return agree.Kind{
		Setting: agree.SettingAdvisories, Wins: agree.ByTime, File: "advisories/offered.json",
		Words: agree.Words{
			What: "advisory data", Here: "the data at advisories.path", Number: "generation", InUse: "advisory data in use",
			Messages: agree.Messages{
				Activated: "advisory data activated",
				Differs:   "other replicas use other advisory data",
				PutBack:   "the store had lost the active advisory data, it was put back",
				Forgotten: "the advisory data in use is not remembered for the next start",
				NotLoaded: "the active advisory data does not load, the former stays in use here",
				Unknown:   "it is not known which advisory data is active, the former stays in use here",
			},
		},
	}
}

// generationOf is an activation as matching knows it.
func generationOf(a agree.Activation) gate.Generation {
	g := gate.Generation{Number: a.Number, Content: a.Content, ActivatedAt: a.ActivatedAt}
	g.UpdatedAt, g.Ages = manifestOf(a).ages(a.UpdatedAt)
	return g
}

// Active is the generation in force and the one before it, as far as the store remembers;
// each is zero when there is none. Errors: those of the store.
func (m *Manager) Active(ctx context.Context) (now, former gate.Generation, err error) {
	active, ok, err := m.member.Active(ctx)
	if err != nil || !ok {
		return now, former, err
	}
	former.Number, former.Content = active.Before()
	return generationOf(active), former, nil
}

// numbered is the generation of our own data while it is not the active one.
func (m *Manager) numbered(db *Database, number int64) gate.Generation {
	g := gate.Generation{Number: number, Content: db.Content, ActivatedAt: m.now().UTC()}
	g.UpdatedAt, g.Ages = db.Manifest.ages(db.UpdatedAt)
	return g
}

// agree brings the data found here and the active generation together and returns the
// data to match with and its generation. That is the active one if it is of the data
// found, or if its files are kept here; else the data found under a lower number, whose
// findings are replaced by those of the active one.
func (m *Manager) agree(ctx context.Context, db *Database) (*Database, gate.Generation, error) {
	view, err := m.member.Look(ctx, db.content())
	if err != nil {
		return nil, gate.Generation{}, err
	}
	active := generationOf(view.Active)
	if !view.InForce { // we only ask: as if ours were the first
		active = m.numbered(db, m.member.Memory().Seen+1)
	}
	m.setApart(gate.Generation{}, gate.Generation{})
	if active.Content == db.Content {
		return db, active, nil
	}
	if kept := m.kept(ctx, active.Content); kept != nil {
		unused := m.numbered(db, view.Ours)
		if kept.Manifest.database() == db.Manifest.database() {
			unused = gate.Generation{} // with another index of Java archives
		}
		m.setApart(gate.Generation{}, unused)
		return kept, active, nil
	}
	m.setApart(active, gate.Generation{})
	m.mu.Lock()
	defer m.mu.Unlock()
	switch {
	case m.loaded != nil && m.loaded.Content == db.Content:
		return db, m.current, nil
	case view.Ours > 0:
		return db, m.numbered(db, view.Ours), nil
	}
	return db, m.numbered(db, active.Number-1), nil
}

// setApart notes the active generation while it is of other data than what is in use
// here, and the data found here while it is not what is in use; each may be zero.
func (m *Manager) setApart(elsewhere, unused gate.Generation) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.elsewhere, m.unused = elsewhere, unused
}

// kept is a generation that is kept here and sound, nil when there is none. One that is
// damaged is looked at once.
func (m *Manager) kept(ctx context.Context, content gate.Digest) *Database {
	m.mu.Lock()
	loaded, damaged := m.loaded, m.damaged
	m.mu.Unlock()
	if loaded != nil && loaded.Content == content {
		return loaded
	}
	if content == damaged || !m.copies.present(content) {
		return nil
	}
	db, err := m.copies.verify(ctx, content)
	if err == nil {
		return db
	}
	if errors.Is(err, gate.ErrInvalid) {
		m.mu.Lock()
		m.damaged = content
		m.mu.Unlock()
		m.log.Warn("a kept generation of advisory data is damaged", "content", content.Short(), "error", err)
	}
	return nil
}
