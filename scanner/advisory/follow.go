package advisory

import (
	"context"
	"slices"
	"time"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/gate/agree"
)

// followEvery is how often the store is asked what is in force: one small value.
const followEvery = 2 * time.Second

// Run looks at Path, and at what is in force, until ctx ends and returns nil then.
// Failures are logged once and kept in the status.
func (m *Manager) Run(ctx context.Context) error {
	look, follow := time.NewTicker(watchEvery), time.NewTicker(followEvery)
	defer look.Stop()
	defer follow.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-look.C:
			_, _ = m.Refresh(ctx) // Refresh logs and remembers its failure
		case <-follow.C:
			m.Follow(ctx)
		}
	}
}

// Follow takes into use what was put in force elsewhere, without looking at Path.
func (m *Manager) Follow(ctx context.Context) {
	m.turn.Lock()
	defer m.turn.Unlock()
	_, _ = m.follow(ctx) // what does not pass by itself is said by the next look
}

// follow looks at what is active while the data here has not changed: it takes into use
// what was put in force elsewhere if its files are here, adopts a number that another
// replica gave the same content, and activates the data again when the store has lost
// that it was active. The only error is one that does not pass by itself,
// [agree.IsUnreadable].
func (m *Manager) follow(ctx context.Context) (changed bool, err error) {
	db, err := m.toFollow(ctx)
	if err == nil && db != nil {
		var use *Database
		var g gate.Generation
		if use, g, err = m.agree(ctx, db); err == nil {
			changed, err = m.load(ctx, use, g, !m.copies.present(use.Content))
		}
	}
	if agree.IsUnreadable(err) {
		return false, err
	}
	if err != nil { // the data in use is fine; the store reports its own outages
		m.log.Debug("looking at the active advisory data", "error", err)
	}
	return changed, nil
}

// toFollow is the data that this process speaks for: what it found at Path; without
// one, what is in force if it is kept here, else what is in use.
func (m *Manager) toFollow(ctx context.Context) (*Database, error) {
	m.mu.Lock()
	found, loaded := m.found, m.loaded
	m.mu.Unlock()
	if found != nil {
		return found, nil
	}
	active, ok, err := m.member.Active(ctx)
	if err != nil || !ok || loaded != nil && (loaded.Content == active.Content || active.Number < m.member.Memory().Seen) {
		return loaded, err // in use, or the store has lost what was
	}
	if db := m.kept(ctx, active.Content); db != nil {
		return db, nil
	}
	if loaded == nil || m.downloads {
		m.setApart(generationOf(active), gate.Generation{}) // a Refresher gets it
		return nil, nil
	}
	return loaded, nil
}

// prune removes the generations that are not needed any more. Kept are the one in use
// here, the one in force, and the one before it, to compare with and to go back to; where
// that one never was here, what was in use here before. Besides these there are
// candidates, which are not in force yet.
func (m *Manager) prune() {
	inForce := m.member.Memory().InForce
	_, before := inForce.Before()
	m.mu.Lock()
	keep := []gate.Digest{inForce.Content, before}
	for _, db := range []*Database{m.loaded, m.found} {
		if db != nil {
			keep = append(keep, db.Content)
		}
	}
	if !m.copies.present(before) {
		keep = append(keep, m.previous)
	}
	m.mu.Unlock()
	for _, content := range slices.Clone(keep) { // a composition can be made again of its sources
		if text, ok, err := readManifest(m.copies.dir(content)); err == nil && ok {
			if of, err := decodeManifest(text, content); err == nil {
				keep = append(keep, of.contents()...)
			}
		}
	}
	err := m.copies.prune(m.now(), keep...)
	if err == nil {
		err = m.copies.pruneJava(m.java.source, manifestOf(inForce).Java)
	}
	if err != nil {
		m.log.Warn("old copies of advisory data could not be removed", "error", err)
	}
}
