package joined

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/gate/agree"
	"github.com/digestgate/digestgate/scanner/joined/eol"
	"github.com/digestgate/digestgate/scanner/joined/epss"
	"github.com/digestgate/digestgate/scanner/joined/kev"
	"github.com/digestgate/digestgate/scanner/joined/vex"
)

const (
	// lookEvery is how often files are looked at, and what is in force: a statement that
	// was withdrawn must not hide anything for long.
	lookEvery = time.Second
	// retryEvery is after how long a URL that did not answer is asked again; it doubles up
	// to the configured interval.
	retryEvery = time.Minute
)

// Store is where processes agree.
type Store interface {
	agree.Store
	agree.TimedSettings
}

// Options are what a [Set] is made of.
type Options struct {
	// EPSS, KEV and EOL are files or URLs; "" is none.
	EPSS, KEV, EOL string
	VEX            []vex.Config
	// Every is how often URLs are asked.
	Every time.Duration
	// Provides says that this process reads the sources. Others follow what is in force.
	Provides bool

	Store            Store
	Shared, Observe  bool
	Process, Program string
	Place, DataDir   string
	// Use is told what is joined from now on; it must return soon.
	Use func(*Tables)
	Log *slog.Logger
	Now func() time.Time
}

func (o Options) dataDir() string {
	if o.Observe {
		return ""
	}
	return o.DataDir
}

// Set keeps all tables of one process.
type Set struct {
	o    Options
	epss *member[epss.Table]
	kev  *member[kev.Table]
	eol  *member[eol.Table]
	vex  *member[vex.Table]

	singles []source
	vexing  atomic.Pointer[vexSource] // nil where nothing is provided

	using   sync.Mutex
	changed chan struct{} // guarded by using; closed when other tables are in use
	tables  atomic.Pointer[Tables]
}

// New makes a set that has read nothing yet. gate.ErrInvalid: a key or a file of
// authorities cannot be read.
func New(o Options) (*Set, error) {
	s := &Set{o: o, changed: make(chan struct{})}
	s.epss, s.kev, s.eol, s.vex = newMember(o, epssKind(), s.use), newMember(o, kevKind(), s.use), newMember(o, eolKind(), s.use), newMember(o, vexKind(), s.use)
	s.tables.Store(NewTables(nil, nil, nil, nil))
	if !o.Provides {
		return s, nil
	}
	for _, one := range []func() (source, error){
		func() (source, error) { return newSingle(o, s.epss, o.EPSS, readEPSS) },
		func() (source, error) { return newSingle(o, s.kev, o.KEV, readKEV) },
		func() (source, error) { return newSingle(o, s.eol, o.EOL, readEOL) },
	} {
		src, err := one()
		if err != nil {
			return nil, err
		}
		s.singles = append(s.singles, src)
	}
	v, err := newVEXSource(o, s.vex)
	s.vexing.Store(v)
	return s, err
}

// sources bring the tables, in the order of gate.TableKinds; none where nothing is provided.
func (s *Set) sources() []source {
	if v := s.vexing.Load(); v != nil {
		return append(s.singles[:len(s.singles):len(s.singles)], v)
	}
	return nil
}

// VEX prepares other sources of VEX than those that the set was made with; apply has it
// read them from then on. gate.ErrInvalid: a key, or a file of authorities.
func (s *Set) VEX(list []vex.Config) (apply func(), err error) {
	o := s.o
	o.VEX = list
	if !o.Provides {
		return func() {}, nil
	}
	v, err := newVEXSource(o, s.vex)
	if err != nil {
		return nil, err
	}
	return func() { s.vexing.Store(v) }, nil
}

// source brings one table.
type source interface {
	// look reads what has changed and offers it; asks says that URLs may be asked too. What
	// is wrong is in the status of the table.
	look(ctx context.Context, asks bool)
}

// use makes the tables of what is in force now.
func (s *Set) use() {
	s.using.Lock()
	defer s.using.Unlock()
	old := s.tables.Load()
	t := &Tables{inForce: map[gate.TableKind]gate.Table{}}
	t.epss, t.inForce[gate.TableEPSS] = s.epss.current()
	t.kev, t.inForce[gate.TableKEV] = s.kev.current()
	t.eol, t.inForce[gate.TableEOL] = s.eol.current()
	stated, table := s.vex.current()
	t.inForce[gate.TableVEX] = table
	switch {
	case stated == nil:
	case old.vex != nil && old.vex.Table() == stated:
		t.vex = old.vex
	default:
		t.vex = vex.NewIndex(stated)
	}
	s.tables.Store(t)
	if s.o.Use != nil {
		s.o.Use(t)
	}
	close(s.changed)
	s.changed = make(chan struct{})
}

// Tables are those in use.
func (s *Set) Tables() *Tables { return s.tables.Load() }

// Changed is closed when other tables are in use.
func (s *Set) Changed() <-chan struct{} {
	s.using.Lock()
	defer s.using.Unlock()
	return s.changed
}

// Open takes what is in force into use, and then what files here have. Errors: as for
// Follow.
func (s *Set) Open(ctx context.Context) error {
	// What is read is compared with what is in force.
	err := errors.Join(s.inForce(ctx), s.Follow(ctx))
	if !s.o.Observe {
		return err
	}
	for i, src := range s.sources() { // a command that asks once does not wait for the first turn
		if s.Tables().Table(gate.TableKinds()[i]).Number == 0 {
			src.look(ctx, true)
		}
	}
	return errors.Join(err, s.inForce(ctx))
}

// Follow reads files that have changed, and takes what is in force into use. Errors: those
// of [agree.Live.Follow]; what is in use stays then.
func (s *Set) Follow(ctx context.Context) error {
	for _, src := range s.sources() {
		src.look(ctx, false)
	}
	return s.inForce(ctx)
}

func (s *Set) inForce(ctx context.Context) (err error) {
	for _, f := range []func(context.Context) error{s.epss.follow, s.kev.follow, s.eol.follow, s.vex.follow} {
		err = errors.Join(err, f(ctx))
	}
	return err
}

// Run follows until ctx ends, and asks URLs.
func (s *Set) Run(ctx context.Context) {
	var asking sync.WaitGroup
	defer asking.Wait()
	asking.Go(func() { s.ask(ctx) })
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		_ = s.Follow(ctx) // what fails is in the status, and told
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// ask asks the URLs of all sources, beside the files: a server that answers slowly delays
// nothing else.
func (s *Set) ask(ctx context.Context) {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		for _, src := range s.sources() {
			src.look(ctx, true)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// Status is how all tables stand, in the order of gate.TableKinds.
func (s *Set) Status() []gate.TableStatus {
	list := []gate.TableStatus{s.epss.status(), s.kev.status(), s.eol.status(), s.vex.status()}
	list[3].Sources = s.vexStandings()
	return list
}

// Problems are sentences for what is wrong.
func (s *Set) Problems() (list []string) {
	for _, st := range s.Status() {
		if st.Problem != "" {
			list = append(list, fmt.Sprintf("%s: %s", st.Kind, st.Problem))
		}
		for _, v := range st.Sources {
			if v.Problem != "" {
				list = append(list, fmt.Sprintf("vex: source %q is not renewed: %s", v.Name, v.Problem))
			}
			if v.Expired {
				list = append(list, fmt.Sprintf("vex: source %q is of %s, and too old to count since %s", v.Name, v.UpdatedAt.Format(time.RFC3339), v.Until.Format(time.RFC3339)))
			}
		}
	}
	return list
}
