package app

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/gate/standing"
	"github.com/digestgate/digestgate/gate/view"
	"github.com/digestgate/digestgate/scanner/advisory"
	"github.com/digestgate/digestgate/scanner/joined"
	"github.com/digestgate/digestgate/scanner/joined/beside"
	"github.com/digestgate/digestgate/scanner/joined/vex"
)

// openTables loads what is joined to findings. A table that cannot be had refuses no start:
// policies that need it refuse images.
func (a *App) openTables(ctx context.Context) error {
	if !a.needs(partTables) {
		return nil
	}
	c := a.Config.Advisories
	var err error
	a.tables, err = joined.New(joined.Options{
		EPSS: c.EPSS, KEV: c.KEV, EOL: c.EOL, VEX: c.VEX, Every: c.Refresh, Provides: a.has(roleScheduler) || a.Asking,
		Store: a.Store, Shared: a.Config.Store.Shared(), Observe: a.Asking, Place: a.Config.storePlace(), DataDir: a.Config.DataDir,
		Process: ProcessName(), Program: a.Version, Log: a.Log, Now: time.Now, Use: a.useTables,
	})
	if err != nil {
		return err
	}
	a.tables.Describe(a.Metrics)
	if err := a.tables.Open(ctx); err != nil && ctx.Err() == nil {
		a.Log.Warn("not every table that is joined to findings is loaded", "error", err)
	}
	return nil
}

// besides holds the sources whose documents beside images count, which a reload replaces.
type besides struct {
	list atomic.Pointer[[]beside.Source]
}

func (b *besides) get() []beside.Source {
	if list := b.list.Load(); list != nil {
		return *list
	}
	return nil
}

// openBeside has analyses look for VEX documents beside images.
func (a *App) openBeside() error {
	if a.Source == nil {
		return nil
	}
	list, err := joined.BesideSources(a.Config.Advisories.VEX)
	if err != nil {
		return err
	}
	a.besides.list.Store(&list)
	a.beside = &beside.Finder{Registry: a.Source, Sources: a.besides.get, Now: time.Now, Log: a.Log}
	a.beside.Describe(a.Metrics)
	a.Pipeline.Beside = a.beside
	return nil
}

// prepareVEX reads what other entries of advisories.vex need; apply puts them in force.
func (a *App) prepareVEX(list []vex.Config) (apply func(), err error) {
	sources, err := joined.BesideSources(list)
	if err != nil {
		return nil, err
	}
	replace := func() {}
	if a.tables != nil {
		if replace, err = a.tables.VEX(list); err != nil {
			return nil, err
		}
	}
	return func() {
		a.besides.list.Store(&sources)
		a.explained.Store(&list)
		replace()
	}, nil
}

// vexInForce are the entries of advisories.vex of the configuration in force.
func (a *App) vexInForce() []vex.Config {
	if list := a.explained.Load(); list != nil {
		return *list
	}
	return a.Config.Advisories.VEX
}

func (a *App) useTables(t *joined.Tables) {
	if a.policies != nil {
		a.policies.Join(t)
	}
}

// shownTables are those that views use.
func (a *App) shownTables() view.Tables {
	if a.tables == nil {
		return nil
	}
	return a.tables.Tables()
}

// joinedChanges implements standing.Joined with the index of what images hold.
type joinedChanges struct {
	*App
	mu   sync.Mutex
	last *joined.Tables // of the last sweep
}

// Revision implements standing.Joined.
func (j *joinedChanges) Revision() string {
	t, text := j.tables.Tables(), ""
	for _, k := range gate.TableKinds() {
		text += fmt.Sprintf("%s %d %s ", k, t.Table(k).Number, t.Table(k).Content)
	}
	return text
}

// Untouched implements standing.Joined.
func (j *joinedChanges) Untouched(ctx context.Context) (func([32]byte, uint64) bool, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	now := j.tables.Tables()
	if j.last == nil || j.last == now {
		j.last = now
		return nil, nil
	}
	touched := joined.Compare(j.last, now, j.policies.Joins())
	if touched.Empty() {
		j.last = now
		return nil, nil
	}
	digests := map[[32]byte]bool{}
	for _, d := range touched.Digests {
		if hash, ok := d.Hash(); ok {
			digests[hash] = true
		}
	}
	known := map[[32]byte]uint64{} // images that hold nothing of what is touched, with their findings
	if len(touched.IDs) > 0 && !touched.Unknown {
		err := j.holdings.Untouched(ctx, gate.Touched{Vulnerabilities: touched.IDs}, func(h gate.Holding) error {
			if hash, ok := h.Digest.Hash(); ok && !h.Touched {
				known[hash] = standing.FindingsHash(h.Findings)
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	j.last = now
	return func(digest [32]byte, findings uint64) bool {
		switch {
		case touched.Unknown || digests[digest]:
			return false
		case len(touched.IDs) == 0:
			return true
		}
		of, ok := known[digest]
		return ok && of == findings
	}, nil
}

// tablesDesk is a desk that also shows the tables, and explains VEX documents.
type tablesDesk struct {
	*advisory.Desk
	app *App
}

// Status implements api.Advisories.
func (d tablesDesk) Status(ctx context.Context) (gate.AdvisoryData, error) {
	v, err := d.Desk.Status(ctx)
	v.Tables = []gate.TableStatus{}
	if err == nil && d.app.tables != nil {
		v.Tables = d.app.tables.Status()
		if d.app.beside != nil && len(d.app.besides.get()) > 0 {
			s := d.app.beside.Standing()
			v.Tables[len(v.Tables)-1].Beside = &s
		}
	}
	return v, err
}

// maxHidden is how many findings an explanation lists.
const maxHidden = 1000

// Explain implements api.Advisories.
func (d tablesDesk) Explain(ctx context.Context, source string, document []byte) (gate.VEXEffect, error) {
	e, err := joined.Explain(document, source, d.app.vexInForce(), time.Now())
	if err != nil {
		return gate.VEXEffect{}, err
	}
	effect := e.Effect
	now := time.Now()
	err = d.app.eachScanned(ctx, e, func(rec gate.Record, f *gate.Findings) {
		any := false
		for i := range f.Vulnerabilities {
			h, ok := view.Hidden(e.Tables, &rec, nil, &f.Vulnerabilities[i], now)
			if !ok {
				continue
			}
			any = true
			if len(effect.Hidden) == maxHidden {
				effect.More++
				continue
			}
			effect.Hidden = append(effect.Hidden, h)
		}
		if any {
			effect.Images++
		}
	}, &effect)
	return effect, err
}

// eachScanned calls fn for the stored images that statements may be about.
func (a *App) eachScanned(ctx context.Context, e joined.Explained, fn func(gate.Record, *gate.Findings), effect *gate.VEXEffect) error {
	visit := func(list []gate.Digest) error {
		res, err := a.Store.Read(ctx, gate.ReadRequest{Digests: list})
		if err != nil {
			return err
		}
		for _, d := range list {
			rec := res.Digests[d].Record
			if rec.FindingsID == "" {
				continue
			}
			f, err := a.Store.Findings(ctx, d)
			if err != nil {
				effect.Partial = "the findings of some images cannot be read"
				continue
			}
			fn(rec, f)
		}
		return nil
	}
	if !e.AnyImage {
		for page := range slices.Chunk(e.Digests, 100) {
			if err := visit(page); err != nil {
				return err
			}
		}
		return nil
	}
	var after gate.Digest
	for {
		page, err := a.Catalog.Scanned(ctx, after, 100)
		if err != nil || len(page) == 0 {
			return err
		}
		after = page[len(page)-1]
		if err := visit(page); err != nil {
			return err
		}
	}
}
