package sqlite

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/store"
)

// encodeHistory is what is stored of a change, nil for none.
func encodeHistory(c *gate.StandingChange) ([]byte, error) {
	if c == nil {
		return nil, nil
	}
	return store.EncodeHistory(c)
}

// addHistory appends an entry, nil for none, that goes with a change of a record.
func (t *tx) addHistory(r *record, entry []byte) error {
	if entry == nil {
		return nil
	}
	r.history = r.version + 1
	return t.appendHistory(r.digest, r.history, entry)
}

// appendHistory writes an entry and removes those beyond the limit.
func (t *tx) appendHistory(d gate.Digest, number int64, entry []byte) error {
	hash, _ := d.Hash()
	if err := t.exec(`INSERT OR REPLACE INTO history (digest, number, at, data) VALUES (?, ?, ?, ?)`, hash[:], number, t.now, entry); err != nil {
		return err
	}
	if kept := store.HistoryKept(timeOf(t.now), t.store.options.HistoryRetention); !kept.IsZero() {
		if err := t.exec(`DELETE FROM history WHERE digest = ? AND at < ?`, hash[:], nanos(kept)); err != nil {
			return err
		}
	}
	if number <= store.MaxHistory {
		return nil // there cannot be more
	}
	return t.exec(`DELETE FROM history WHERE digest = ?1 AND number <=
		(SELECT number FROM history WHERE digest = ?1 ORDER BY number DESC LIMIT 1 OFFSET ?2)`, hash[:], store.MaxHistory)
}

// History returns entries of the history of a digest, the newest first. One that cannot be
// read is logged and left out.
func (s *Store) History(ctx context.Context, d gate.Digest, q gate.HistoryQuery) ([]gate.HistoryEntry, error) {
	what := "reading the history of " + gate.Printable(string(d), 100)
	hash, ok := d.Hash()
	if !ok {
		return nil, fmt.Errorf("%s: %w", what, gate.ErrDigestInvalid)
	}
	before := q.Before
	if before <= 0 {
		before = math.MaxInt64
	}
	if kept := store.HistoryKept(s.now(), s.options.HistoryRetention); kept.After(q.Since) {
		q.Since = kept
	}
	var list []gate.HistoryEntry
	enough := errors.New("enough")
	err := s.queries.each(ctx, func(row scanner) error {
		var p store.HistoryPiece
		var at int64
		if err := row.Scan(&p.Number, &at, &p.Data); err != nil {
			return err
		}
		p.At = timeOf(at).Truncate(time.Microsecond) // which every store can keep
		if _, more := store.HistoryWanted(q, p, len(list)); !more {
			return enough
		}
		entry, err := store.DecodeHistory(d, p)
		if err != nil {
			s.damaged("history", d, err)
			return nil
		}
		list = append(list, entry)
		return nil
	}, queryHistory, hash[:], before, store.MaxHistory)
	if err != nil && !errors.Is(err, enough) {
		return nil, storeError(what, err)
	}
	return list, nil
}

// exportHistory is the whole history of a digest, the oldest first.
func (s *Store) exportHistory(ctx context.Context, d gate.Digest) (list []store.HistoryPiece, err error) {
	hash, ok := d.Hash()
	if !ok {
		return nil, nil
	}
	err = s.queries.each(ctx, func(row scanner) error {
		var p store.HistoryPiece
		var at int64
		err := row.Scan(&p.Number, &at, &p.Data)
		p.At = timeOf(at).Truncate(time.Microsecond)
		list = append(list, p)
		return err
	}, queryHistory, hash[:], int64(math.MaxInt64), store.MaxHistory)
	slices.Reverse(list)
	return list, err
}

// importHistory puts entries in the place of those that are there.
func (t *tx) importHistory(d gate.Digest, list []store.HistoryPiece) error {
	hash, _ := d.Hash()
	if err := t.exec(`DELETE FROM history WHERE digest = ?`, hash[:]); err != nil {
		return err
	}
	for _, p := range list {
		if err := t.exec(`INSERT OR REPLACE INTO history (digest, number, at, data) VALUES (?, ?, ?, ?)`, hash[:], p.Number, nanos(p.At), p.Data); err != nil {
			return err
		}
	}
	return nil
}
