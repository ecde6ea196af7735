package catalog

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/digestgate/digestgate/gate"
)

// Contents are the large values of the store; gate.Reader has them.
type Contents interface {
	// Read returns the records that say which values are present.
	// gate.ErrStoreUnavailable: try again.
	Read(ctx context.Context, req gate.ReadRequest) (gate.ReadResult, error)
	// Inventory returns the present inventory of a digest. gate.ErrNotFound: there is
	// none; gate.ErrStoreUnavailable: try again.
	Inventory(ctx context.Context, d gate.Digest) (*gate.Inventory, error)
	// Findings returns the present findings of a digest. gate.ErrNotFound: there are
	// none; gate.ErrStoreUnavailable: try again.
	Findings(ctx context.Context, d gate.Digest) (*gate.Findings, error)
}

// HoldingsOptions are what Holdings are made of; all but Again are needed.
type HoldingsOptions struct {
	Contents Contents
	// Lookups names what findings depend on. Values of one Format are compared with
	// one another; when the format changes, everything is read again.
	Lookups func(*gate.Inventory, *gate.Findings) gate.Lookups
	Format  string
	// Again says what Lookups would give for other findings of an inventory that was of a
	// class, without its packages and libraries, which stay; ok is false where only the
	// inventory tells. nil is never ok.
	Again func(class string, f *gate.Findings) (l gate.Lookups, ok bool)
}

// Holdings is the part of the catalog that knows which image holds which packages and
// has which vulnerabilities, in both directions. Records do not say that: inventories
// are read once for each that is new, and findings likewise, some time after the
// catalog shows the record. What an image held is known by the ids of the two values,
// which are hashes of them, so that what is kept here is never wrong about them; it
// may be missing. It is safe for concurrent use.
type Holdings struct {
	c *Catalog
	o HoldingsOptions

	stepping sync.Mutex // one step at a time; guards the rest
	ready    int64      // the file whose format was compared, as Catalog.opened counts them
	tidied   time.Time
	terms    terms

	told told

	segmentSets int
	pageKeys    int
}

// Holdings opens this part of the catalog.
func (c *Catalog) Holdings(o HoldingsOptions) *Holdings {
	return &Holdings{c: c, o: o, segmentSets: segmentSets, pageKeys: heldKeys}
}

const (
	// heldPage is how many images are read and written in one transaction: 64 of 340
	// packages take 0.3 s, nearly all of it for reading.
	heldPage = 64
	// heldKeys is after how many keys of packages and vulnerabilities a page ends
	// early. Ordinary images have some 700; one may have a million, and a page of
	// those can be pushed in a row.
	heldKeys = 200_000
	// heldEvery is how often new images are looked for: one row.
	heldEvery = time.Second
)

// Run reads what is new until ctx ends.
func (h *Holdings) Run(ctx context.Context) {
	failed := ""
	for ctx.Err() == nil {
		opened := h.c.opened.Load()
		more, err := h.Step(ctx)
		switch {
		case err == nil:
			failed = ""
		case damaged(err):
			_ = h.c.renew(ctx, opened, err) // it tells the log, and Step fails again
		case ctx.Err() == nil && err.Error() != failed: // once, while it stays the same
			failed = err.Error()
			h.c.log.Warn("reading which packages and vulnerabilities images have", "error", err)
		}
		if more && err == nil {
			continue
		}
		select {
		case <-ctx.Done():
		case <-time.After(heldEvery):
		}
	}
}

// CatchUp applies all changes that the feed holds now, and reads everything that is not
// read then. Errors: as for Step.
func (h *Holdings) CatchUp(ctx context.Context) error {
	if err := h.c.CatchUp(ctx); err != nil {
		return err
	}
	for {
		if more, err := h.Step(ctx); err != nil || !more {
			return err
		}
	}
}

// Step reads one page of new images and reports whether there may be more. What cannot
// be read, or changes meanwhile, is left out: it counts as unknown until its record
// changes. Errors: those of the store, gate.ErrResource and gate.ErrTimeout.
func (h *Holdings) Step(ctx context.Context) (more bool, err error) {
	h.stepping.Lock()
	defer h.stepping.Unlock()
	if opened := h.c.opened.Load(); h.ready != opened {
		if err := h.format(ctx); err != nil {
			return false, err
		}
		h.ready = opened
	}
	var ids []int64
	page, err := all(ctx, h.c, "reading which images are new", func(rows *sql.Rows) (d gate.Digest, err error) {
		var id int64
		err = rows.Scan(&id, &d)
		ids = append(ids, id)
		return d, err
	}, "SELECT id, digest FROM stale ORDER BY id LIMIT ?", heldPage)
	if err != nil {
		return false, err
	}
	if len(page) == 0 {
		return false, h.tidy(ctx)
	}
	read, n, err := h.read(ctx, page)
	if err != nil {
		return false, err
	}
	if err := h.write(ctx, ids[n-1], read); err != nil {
		return false, err
	}
	return true, h.segment(ctx)
}

// format forgets everything that was kept in another format.
func (h *Holdings) format(ctx context.Context) error {
	var kept string
	err := h.c.db().QueryRowContext(ctx, "SELECT term FROM terms WHERE id = 0").Scan(&kept)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return failure("reading the format of what images hold", err)
	}
	want := "format\x00" + h.o.Format
	if kept == want {
		return nil
	}
	return h.c.write(ctx, func(w *writer) error {
		w.forgetHeld()
		w.exec("INSERT OR REPLACE INTO terms (id, term) VALUES (0, ?)", want)
		w.exec("INSERT INTO stale (digest) SELECT digest FROM images WHERE inventory IS NOT NULL AND findings IS NOT NULL")
		return w.err
	})
}

// forgetHeld empties the tables of what images hold, but for the format.
func (w *writer) forgetHeld() {
	w.forgotten.Add(1)
	for _, table := range []string{"stale", "held", "postings", "segments", "sets", "terms WHERE id != 0"} {
		w.exec("DELETE FROM " + table)
	}
}

// holding is what one image was read to hold.
type holding struct {
	digest              gate.Digest
	inventory, findings []byte
	generation          int64
	advisories          gate.Digest
	lookups             gate.Lookups
	// same: it is the inventory of which the packages and libraries are known, and they
	// are not in lookups.
	same bool
}

// read fetches the values of a page, or of its first n images when these hold so much
// that the others have to wait. The records are read before and after, so that the values
// are those that the ids name.
func (h *Holdings) read(ctx context.Context, page []gate.Digest) (read []holding, n int, err error) {
	known, err := h.held(ctx, page)
	if err != nil {
		return nil, 0, err
	}
	heard := map[gate.Digest]holding{}
	var unheard []gate.Digest
	for _, d := range page {
		if one, ok := h.heard(d, known[d]); ok {
			heard[d] = one
		} else {
			unheard = append(unheard, d)
		}
	}
	before, err := h.records(ctx, unheard)
	if err != nil {
		return nil, 0, err
	}
	keys := 0
	for n < len(page) && keys < h.pageKeys {
		d := page[n]
		n++
		if one, ok := heard[d]; ok {
			keys += len(one.lookups.Vulnerabilities)
			read = append(read, one)
			continue
		}
		one, ok, err := h.one(ctx, before[d].Record, d, known[d])
		if errors.Is(err, gate.ErrNotFound) || errors.Is(err, gate.ErrConflict) || err == nil && !ok {
			continue // lost, or of a newer version
		}
		if err != nil {
			return nil, 0, err
		}
		keys += len(one.lookups.Packages) + len(one.lookups.Libraries) + len(one.lookups.Vulnerabilities)
		read = append(read, one)
	}
	after, err := h.records(ctx, unheard)
	if err != nil {
		return nil, 0, err
	}
	return slices.DeleteFunc(read, func(one holding) bool {
		x, y := before[one.digest].Record, after[one.digest].Record // of what was heard, both are empty
		return x.InventoryID != y.InventoryID || x.FindingsID != y.FindingsID
	}), n, nil
}

func (h *Holdings) records(ctx context.Context, digests []gate.Digest) (map[gate.Digest]gate.Entry, error) {
	if len(digests) == 0 {
		return nil, nil
	}
	res, err := h.o.Contents.Read(ctx, gate.ReadRequest{Digests: digests})
	return res.Digests, err
}

// one reads the values of one image, of the inventory only what is not known of it: last
// is what was read before. ok is false where the record names no values, or others.
func (h *Holdings) one(ctx context.Context, rec gate.Record, d gate.Digest, last held) (one holding, ok bool, err error) {
	one = holding{digest: d, inventory: rawID(rec.InventoryID), findings: rawID(currentFindings(rec))}
	if one.inventory == nil || one.findings == nil {
		return one, false, nil
	}
	f, err := h.o.Contents.Findings(ctx, d)
	if err != nil {
		return one, false, err
	}
	if !findingsNamed(rec, f) {
		return one, false, nil
	}
	one.generation, one.advisories = f.Generation, f.Advisories
	if h.o.Again != nil && bytes.Equal(last.inventory, one.inventory) {
		if one.lookups, one.same = h.o.Again(last.class, f); one.same {
			return one, true, nil
		}
	}
	inv, err := h.o.Contents.Inventory(ctx, d)
	if err != nil {
		return one, false, err
	}
	one.lookups = h.o.Lookups(inv, f)
	return one, inv.AnalyzerSet == rec.AnalyzerSet && inv.AnalyzedAt.Equal(rec.AnalyzedAt), nil
}

// findingsNamed reports whether a record may name these findings.
func findingsNamed(rec gate.Record, f *gate.Findings) bool {
	return f.InventoryID == rec.InventoryID && f.Generation == rec.Generation && f.Advisories == rec.Advisories &&
		f.Matcher == rec.Matcher && f.MatchedAt.Equal(rec.MatchedAt)
}

// currentFindings is the id of findings of the present inventory, "" when there are
// none.
func currentFindings(rec gate.Record) string {
	if rec.FindingsOf != rec.InventoryID {
		return ""
	}
	return rec.FindingsID
}

// rawID are the bytes of the hash in an id, nil for what is none.
func rawID(id string) []byte {
	hash, ok := gate.Digest(id).Hash()
	if !ok {
		return nil
	}
	return hash[:]
}

// Stale is how many images are not read yet.
func (h *Holdings) Stale(ctx context.Context) (n int, err error) {
	if err := h.c.db().QueryRowContext(ctx, "SELECT count(*) FROM stale").Scan(&n); err != nil {
		return 0, failure("counting images that are not read", err)
	}
	return n, nil
}

// Sequence is how far the catalog has followed the feed.
func (h *Holdings) Sequence(ctx context.Context) (int64, error) {
	seq, built, err := h.c.position(ctx)
	if err == nil && !built {
		err = fmt.Errorf("the catalog is not built yet: %w", gate.ErrConflict)
	}
	return seq, err
}
