package advisory

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"sync"
	"time"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/gate/agree"
)

// Loader takes a generation into use; scanner/match implements it. dir holds trivy.db
// and metadata.json, is complete, and no process writes to it. When Load fails the
// former generation stays in use.
type Loader interface {
	// Load takes the generation in dir into use; see Loader for what an error means.
	Load(ctx context.Context, dir string, g gate.Generation) error
}

// Options are what a [Manager] is made of.
type Options struct {
	Config  Config
	DataDir string // copies are kept in its sub-directory "advisories"
	// Store is where processes agree on the active generation; nil is the memory
	// of this manager. Place names a shared one.
	Store  agree.Store
	Place  string
	Loader Loader
	Log    *slog.Logger     // nil discards
	Now    func() time.Time // nil means time.Now
	// Process and Program name this process and its version, for people.
	Process, Program string
	// Downloads says that a [Refresher] brings the data while no path is configured.
	Downloads bool
	// Observe leaves the active generation and what is remembered of it alone,
	// for commands that only ask: the data at Path is used by this process.
	Observe bool
}

// Manager keeps the newest usable advisory data loaded. It is safe for
// concurrent use.
type Manager struct {
	config Config
	store  agree.Settings // nil: only this process
	copies *copies
	member *agree.Member
	loader Loader
	// downloads: without a path nothing is looked for here, a Refresher brings it.
	downloads bool
	observe   bool
	log       *slog.Logger
	now       func() time.Time

	turn sync.Mutex // one look at a time; held while a database is copied

	mu        sync.Mutex // guards the rest, never held long
	found     *Database  // what was taken from Path last
	loaded    *Database
	previous  gate.Digest
	current   gate.Generation
	seen      signature // of the directory that was taken or refused last
	settled   bool      // seen was dealt with: taken, or refused with refused
	refused   error
	elsewhere gate.Generation // the active one, while it is not of our data
	unused    gate.Generation // of the data at Path, while something else is in use
	damaged   gate.Digest     // of a kept generation that cannot be used
	lacking   string          // why the files of what is in force are not here; "" when not known
	refreshed refreshState
	accepted  []gate.AcceptedAdvisories
	java      localIndex
	problem   string
	checkedAt time.Time
	changed   chan struct{} // closed at the next change of the generation
}

// NewManager loads nothing yet.
func NewManager(o Options) *Manager {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	m := &Manager{
		config: o.Config, copies: &copies{root: filepath.Join(o.DataDir, "advisories")},
		member: agree.NewMember(agree.Options{
			Kind: Kind(), Store: o.Store, By: o.Process, Program: o.Program, Place: o.Place, DataDir: o.DataDir, Observe: o.Observe, Log: o.Log, Now: o.Now,
		}),
		loader: o.Loader, observe: o.Observe, downloads: o.Downloads && (o.Config.Path == "" || len(o.Config.Sources) > 0), log: o.Log, now: o.Now, changed: make(chan struct{}),
	}
	if o.Store != nil {
		m.store = o.Store
	}
	return m
}

// watchEvery is how often the directory is looked at: two calls of stat.
const watchEvery = 15 * time.Second

// Refresh looks at Path now and takes a new content into use. It reports
// whether the generation changed. On an error the former generation stays in
// force and [Manager.Status] has the reason; data that was refused is not read
// again until it changes.
// Errors: gate.ErrInvalid (the data), gate.ErrConflict (it changes just now),
// gate.ErrResource, gate.ErrStoreUnavailable, gate.ErrTimeout,
// gate.ErrAdvisoriesUnavailable (no path is configured).
func (m *Manager) Refresh(ctx context.Context) (changed bool, err error) {
	m.turn.Lock()
	defer m.turn.Unlock()
	changed, err = m.refresh(ctx)
	m.mu.Lock()
	m.checkedAt = m.now()
	problem := ""
	if err != nil {
		problem = gate.Printable(err.Error(), 500)
	}
	if problem != "" && problem != m.problem {
		m.log.Error("advisory data cannot be used", "dir", m.config.Path, "error", problem, "loaded", m.loaded != nil)
	}
	m.problem = problem
	m.mu.Unlock()
	return changed, err
}

func (m *Manager) refresh(ctx context.Context) (bool, error) {
	if m.downloads {
		changed, err := m.follow(ctx)
		m.bringJava(ctx)
		return changed, err
	}
	changed, err := m.takePath(ctx)
	if err == nil || agree.IsUnreadable(err) {
		return changed, err
	}
	// What is in force does not depend on what is wrong here.
	followed, _ := m.follow(ctx)
	return followed, err
}

// takePath looks at Path and takes a new content into use.
func (m *Manager) takePath(ctx context.Context) (bool, error) {
	if m.config.Path == "" {
		return false, fmt.Errorf("advisories.path is empty, and this process downloads nothing: name a directory with trivy.db and metadata.json: %w", gate.ErrAdvisoriesUnavailable)
	}
	now, err := sign(m.config.Path)
	if err != nil {
		return false, err
	}
	lost, java := m.lost(), m.indexFor(ctx)
	if done, refused := m.dealtWith(now, java); done && !lost {
		if refused != nil {
			return false, refused
		}
		return m.follow(ctx)
	}
	db, err := m.copies.take(ctx, m.config.Path, m.now(), java)
	if err != nil {
		if errors.Is(err, gate.ErrInvalid) {
			m.settle(now, err)
		}
		return false, err
	}
	m.mu.Lock()
	loaded := m.loaded
	m.mu.Unlock()
	db.changedFrom(loaded)
	m.copies.at("activate")
	use, g, err := m.agree(ctx, db)
	if err != nil {
		return false, err
	}
	m.copies.at("load")
	m.mu.Lock()
	m.found = db
	m.mu.Unlock()
	changed, err := m.load(ctx, use, g, lost)
	if err != nil {
		return false, err
	}
	m.settle(now, nil)
	return changed, nil
}

// dealtWith reports whether the directory with this signature was taken with this index of
// Java archives, or refused, already.
func (m *Manager) dealtWith(now signature, java *JavaSource) (done bool, refused error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	other := m.found != nil && m.refused == nil && !sameIndex(m.found.Manifest.Java, java)
	return m.settled && m.seen.equal(now) && !other, m.refused
}

// lost reports whether the copy in use has gone from the disk: somebody tidied
// up, or trivy-db removed it after a memory fault.
func (m *Manager) lost() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.loaded != nil && !m.copies.present(m.loaded.Content)
}

func (m *Manager) settle(s signature, refused error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.seen, m.settled = s, true
	m.refused = refused
}

// setCurrent is called with mu held.
func (m *Manager) setCurrent(db *Database, g gate.Generation) {
	m.loaded, m.current = db, g
	close(m.changed)
	m.changed = make(chan struct{})
}

// load hands a database to the matcher and removes what is no longer needed.
// With force it does so even if the generation is the one in use.
func (m *Manager) load(ctx context.Context, db *Database, g gate.Generation, force bool) (changed bool, err error) {
	m.mu.Lock()
	former := m.current
	same := m.loaded != nil && m.loaded.Content == db.Content && former.Number == g.Number
	m.mu.Unlock()
	if same && !force {
		return false, nil
	}
	if err := m.loader.Load(ctx, db.Dir, g); err != nil {
		return false, fmt.Errorf("loading advisory data: %w", err)
	}
	m.mu.Lock()
	if m.loaded != nil && m.loaded.Content != db.Content {
		m.previous = m.loaded.Content
	}
	m.setCurrent(db, g)
	m.mu.Unlock()
	if former.Number > 0 && g.UpdatedAt.Before(former.UpdatedAt) {
		m.log.Warn("older advisory data replaces newer", "generation", g.Number, "updatedAt", g.UpdatedAt, "formerUpdatedAt", former.UpdatedAt)
	}
	m.log.Info("advisory data is in use", "generation", g.Number, "content", g.Content.Short(), "updatedAt", g.UpdatedAt,
		"advisories", db.Summary.Advisories())
	m.prune()
	return true, nil
}

// Changed returns a channel that is closed when the generation next changes.
func (m *Manager) Changed() <-chan struct{} {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.changed
}

// Dir is the private copy of a content, for [Diff]; ok is false when it is
// gone. The present generation and the one before it are kept.
func (m *Manager) Dir(content gate.Digest) (dir string, ok bool) {
	return m.copies.dir(content), content.Valid() && m.copies.present(content)
}
