package catalog

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"slices"
	"sync"

	"github.com/digestgate/digestgate/gate"
)

// told are findings that this process has just stored, so that they are not read again to
// find out what is in them. They are known by their id, which is a hash of them: what is
// told of it stays true, whatever the store has by now. The zero value knows none. Safe
// for concurrent use.
type told struct {
	mu   sync.Mutex
	last []toldFindings // the oldest are replaced first
	next int            // to be replaced
	at   map[toldKey]int
}

// toldKey is the hash in an id of findings.
type toldKey [32]byte

// toldFindings are what is kept of findings.
type toldFindings struct {
	id, inventory   toldKey
	findings        gate.Findings // without lists
	vulnerabilities []string      // sorted
}

// mostTold is how many are kept: a step reads 64, and while it does some hundred may come.
// With 200 vulnerabilities each they take 7 MB, in a process that sweeps.
const mostTold = 2_000

// Told takes findings that were stored under an id, for the next step.
func (h *Holdings) Told(id string, f *gate.Findings) {
	one := toldFindings{findings: gate.Findings{
		Generation: f.Generation, Advisories: f.Advisories, Matcher: f.Matcher, Unassessable: f.Unassessable, EOL: f.EOL,
	}}
	if !one.id.from(rawID(id)) || !one.inventory.from(rawID(f.InventoryID)) {
		return
	}
	one.vulnerabilities = make([]string, 0, len(f.Vulnerabilities))
	for i := range f.Vulnerabilities {
		one.vulnerabilities = append(one.vulnerabilities, f.Vulnerabilities[i].ID)
	}
	slices.Sort(one.vulnerabilities)
	one.vulnerabilities = slices.Compact(one.vulnerabilities)
	t := &h.told
	t.mu.Lock()
	defer t.mu.Unlock()
	if _, twice := t.at[one.id]; twice {
		return
	}
	if t.at == nil {
		t.at = map[toldKey]int{}
	}
	if len(t.last) < mostTold {
		t.at[one.id] = len(t.last)
		t.last = append(t.last, one)
		return
	}
	delete(t.at, t.last[t.next].id)
	t.at[one.id], t.last[t.next] = t.next, one
	t.next = (t.next + 1) % mostTold
}

func (k *toldKey) from(raw []byte) bool { return copy(k[:], raw) == len(k) }

// take is what was told of findings, which is forgotten then.
func (t *told) take(raw []byte) (one toldFindings, ok bool) {
	var id toldKey
	if !id.from(raw) {
		return one, false
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	i, ok := t.at[id]
	if !ok {
		return one, false
	}
	one = t.last[i]
	t.last[i] = toldFindings{}
	delete(t.at, id)
	return one, true
}

// held is what the catalog shows of an image, and what was read of it before.
type held struct {
	shownInventory, shownFindings []byte // ids, nil where it shows none
	inventory                     []byte
	class                         string
}

// held is that of the images of a page.
func (h *Holdings) held(ctx context.Context, page []gate.Digest) (map[gate.Digest]held, error) {
	list, err := json.Marshal(page)
	if err != nil {
		return nil, failure("reading what images hold", err)
	}
	known := make(map[gate.Digest]held, len(page))
	_, err = all(ctx, h.c, "reading what images hold", func(rows *sql.Rows) (d gate.Digest, err error) {
		var one held
		if err = rows.Scan(&d, &one.shownInventory, &one.shownFindings, &one.inventory, &one.class); err == nil {
			one.class = one.class[min(len("class\x00"), len(one.class)):]
			known[d] = one
		}
		return d, err
	}, `SELECT i.digest, i.inventory, i.findings, h.inventory, coalesce(t.term, '') FROM json_each(?) p JOIN images i ON i.digest = p.value
		LEFT JOIN held h ON h.digest = i.digest LEFT JOIN terms t ON t.id = h.class`, string(list))
	return known, err
}

// heard is what was told of the findings that the catalog shows of an image, if its
// packages and libraries are known and stay.
func (h *Holdings) heard(d gate.Digest, last held) (one holding, ok bool) {
	t, ok := h.told.take(last.shownFindings)
	if !ok || h.o.Again == nil || !bytes.Equal(t.inventory[:], last.shownInventory) || !bytes.Equal(t.inventory[:], last.inventory) {
		return one, false
	}
	l, ok := h.o.Again(last.class, &t.findings)
	if !ok {
		return one, false
	}
	l.Vulnerabilities = t.vulnerabilities
	return holding{
		digest: d, inventory: last.shownInventory, findings: last.shownFindings, lookups: l, same: true,
		generation: t.findings.Generation, advisories: t.findings.Advisories,
	}, true
}
