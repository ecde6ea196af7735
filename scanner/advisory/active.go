package advisory

import (
	"context"

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
	return gate.Generation{Number: a.Number, Content: a.Content, UpdatedAt: a.UpdatedAt, ActivatedAt: a.ActivatedAt}
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

// content is what processes agree on of a database.
func (d *Database) content() *agree.Content {
	return &agree.Content{Digest: d.Content, UpdatedAt: d.UpdatedAt}
}

// numbered is the generation of our own data while it is not the active one.
func (m *Manager) numbered(db *Database, number int64) gate.Generation {
	return gate.Generation{Number: number, Content: db.Content, UpdatedAt: db.UpdatedAt, ActivatedAt: m.now().UTC()}
}

// agree brings the data found at Path and the active generation together and returns
// the generation to match with: the active one if it is of that data, else one with a
// lower number, whose findings are replaced by those of the active one.
func (m *Manager) agree(ctx context.Context, db *Database) (gate.Generation, error) {
	view, err := m.member.Look(ctx, db.content())
	if err != nil {
		return gate.Generation{}, err
	}
	active := generationOf(view.Active)
	if !view.InForce { // we only ask: as if ours were the first
		active = m.numbered(db, m.member.Memory().Seen+1)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.elsewhere = gate.Generation{}
	if view.Differs {
		m.elsewhere = active
	}
	switch {
	case active.Content == db.Content:
		return active, nil
	case m.loaded != nil && m.loaded.Content == db.Content:
		return m.current, nil
	case view.Ours > 0:
		return m.numbered(db, view.Ours), nil
	}
	return m.numbered(db, active.Number-1), nil
}
