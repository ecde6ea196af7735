package advisory

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/gate/agree"
	"github.com/digestgate/digestgate/scanner/advisory/javaindex"
)

// localIndex is the index at java.path. Its fields are of the goroutine that has the turn;
// problem is guarded by Manager.mu.
type localIndex struct {
	seen    signature
	settled bool
	source  *JavaSource
	refused error
	problem string
}

// localJava is the index at java.path, kept here; nil when no path is configured or what
// is there cannot be used, which the status says. It is called with the turn held.
func (m *Manager) localJava(ctx context.Context) *JavaSource {
	path := m.config.Java.Path
	if path == "" {
		return nil
	}
	err := m.takeLocalJava(ctx, path)
	problem := ""
	if err != nil {
		problem = gate.Printable(err.Error(), 500)
	}
	m.mu.Lock()
	if problem != "" && problem != m.java.problem {
		m.log.Warn("the index of Java archives cannot be used", "dir", path, "error", problem)
	}
	m.java.problem = problem
	m.mu.Unlock()
	return m.java.source
}

func (m *Manager) takeLocalJava(ctx context.Context, path string) error {
	now, err := signFiles(path, javaindex.File)
	if err != nil {
		return err
	}
	if m.java.settled && m.java.seen.equal(now) && (m.java.source == nil || m.copies.javaPresent(m.java.source)) {
		return m.java.refused
	}
	s, err := m.copies.takeJava(ctx, path, m.now())
	if err == nil || errors.Is(err, gate.ErrInvalid) {
		m.java.seen, m.java.settled, m.java.refused = now, true, err
	}
	if err == nil {
		m.java.source = s
	}
	return err
}

// indexFor is the index that data which is found here is put in force with: that at
// java.path, or the one in force if it is newer, or none.
func (m *Manager) indexFor(ctx context.Context) *JavaSource {
	local := m.localJava(ctx)
	var used *JavaSource
	if active, ok, err := m.member.Active(ctx); err == nil && ok {
		used = manifestOf(active).Java
	} else if found := m.foundHere(); found != nil { // the store is away, or has lost it
		used = found.Manifest.Java
	}
	if newerIndex(used, local) && m.copies.javaPresent(used) {
		return used
	}
	return local
}

func (m *Manager) foundHere() *Database {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.found
}

// newerIndex reports whether one index replaces the other; nil is older than any.
func newerIndex(one, other *JavaSource) bool {
	return one != nil && (other == nil || one.UpdatedAt.After(other.UpdatedAt))
}

func sameIndex(a, b *JavaSource) bool {
	return a == nil && b == nil || a != nil && b != nil && a.Digest == b.Digest
}

// bringJava puts the index at java.path in force with the data of others, if it is newer
// than theirs. It is called with the turn held.
func (m *Manager) bringJava(ctx context.Context) {
	local := m.localJava(ctx)
	if local == nil || m.observe {
		return
	}
	active, ok, err := m.member.Active(ctx)
	if err != nil || !ok || !newerIndex(local, manifestOf(active).Java) {
		return
	}
	if err := m.activateJava(ctx, active, local); err != nil && ctx.Err() == nil {
		m.log.Debug("putting the index of Java archives in force", "error", err)
	}
}

// activateJava puts the data in force with another index of Java archives in force. Errors:
// gate.ErrNotFound (its files are not here), gate.ErrConflict (other data came into force
// meanwhile), gate.ErrResource, those of the store.
func (m *Manager) activateJava(ctx context.Context, active agree.Activation, java *JavaSource) error {
	former := m.kept(ctx, active.Content)
	if former == nil {
		return fmt.Errorf("the files of generation %d are not here yet: %w", active.Number, gate.ErrNotFound)
	}
	next := former.Manifest
	next.Java = java
	if next.Digest() == active.Content {
		return nil
	}
	db, discard, err := m.copies.sameDatabase(ctx, former, next)
	if err != nil {
		return err
	}
	defer discard()
	release := m.copies.hold(db.Content.Hex())
	defer release()
	kept, err := m.copies.keep(ctx, db)
	if err != nil {
		return err
	}
	m.copies.at("activate index")
	now, activated, err := m.member.Activate(ctx, *kept.content(), m.member.Memory().Seen, func(is agree.Activation, ok bool) bool {
		return ok && is.Number == active.Number
	})
	if err != nil {
		return err
	}
	if now.Content != kept.Content {
		return errMeanwhile(now.Number)
	}
	if activated {
		m.log.Info("advisory data activated", "generation", now.Number, "content", now.Content.Short(), "former", active.Number, "origin", cmp.Or(java.From, m.config.Java.Path))
	}
	return nil
}
