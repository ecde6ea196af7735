package advisory

import (
	"context"
	"errors"
	"fmt"

	"github.com/digestgate/digestgate/gate"
)

// Open loads the data at Path. If that cannot be used, the generation that was active
// before a restart is taken from its copy, and Status says why. An error means that
// nothing is loaded: it wraps gate.ErrAdvisoriesUnavailable, the server may run, and
// [Manager.Run] keeps trying.
func (m *Manager) Open(ctx context.Context) error {
	if m.store != nil { // a server learns of each later one by its Refresher
		if o, err := loadOrders(ctx, m.store); err == nil {
			m.setOrders(o)
		}
	}
	_, err := m.Refresh(ctx)
	if err == nil && (!m.downloads || m.Status().Generation.Number > 0) {
		return nil
	}
	if err == nil {
		err = errors.New("the first data is to be downloaded from advisories.repositories")
	}
	fallback := m.openFormer(ctx)
	if fallback != nil {
		m.log.Debug("no former advisory data", "error", fallback)
		return fmt.Errorf("opening advisory data: %w: %w", err, gate.ErrAdvisoriesUnavailable)
	}
	g := m.Status().Generation
	m.log.Warn("advisory data from before the restart is in use", "generation", g.Number, "content", g.Content.Short())
	return nil
}

// openFormer loads the active generation from its private copy, or what was
// last used here.
func (m *Manager) openFormer(ctx context.Context) error {
	m.turn.Lock()
	defer m.turn.Unlock()
	if m.Status().Generation.Number > 0 {
		return nil // what is in force was kept here
	}
	active, ok, err := m.member.Active(ctx)
	if err != nil {
		return err
	}
	if !ok {
		return errors.New("no generation was ever active")
	}
	g, last := generationOf(active), m.member.Memory()
	db, err := m.copies.verify(ctx, g.Content)
	if err != nil && last.Number > 0 && last.Content != g.Content {
		db, err = m.copies.verify(ctx, last.Content)
		m.mu.Lock()
		m.elsewhere = g
		m.mu.Unlock()
		g = gate.Generation{Number: last.Number, Content: last.Content, UpdatedAt: last.UpdatedAt, ActivatedAt: m.now().UTC()}
		if err == nil {
			g.UpdatedAt, g.Ages = db.Manifest.ages(last.UpdatedAt)
		}
	}
	if err != nil {
		return err
	}
	if err := m.loader.Load(ctx, db.Dir, g); err != nil {
		return err
	}
	m.mu.Lock()
	m.setCurrent(db, g)
	m.mu.Unlock()
	return nil
}
