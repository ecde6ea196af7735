package redis

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/store"
)

// maxHistoryBytes is the most that is read of one history: more than any honest one has.
const maxHistoryBytes = 2 * store.MaxHistory * store.MaxHistoryEntry

// An entry is an element of the list of its digest: number, time in microseconds, and the
// signed value, with colons between. The signature covers all of it and the key, so that an
// entry is good at its own number of its own digest only.

func (s *Store) placeOfEntry(d gate.Digest, name string) string {
	return s.keys.history(d) + "\n" + name
}

func (s *Store) sealEntry(d gate.Digest, p store.HistoryPiece) string {
	name := fmt.Sprintf("%d:%d", p.Number, p.At.UnixMicro())
	return name + ":" + signed(s.seals.file.keys()[0], s.placeOfEntry(d, name), string(p.Data))
}

// entry reads a stored entry; errForged for one that is not signed.
func (s *Store) entry(d gate.Digest, stored string) (p store.HistoryPiece, err error) {
	name, value, err := nameOfEntry(stored)
	if err != nil {
		return p, err
	}
	_, payload, err := signer(s.seals.file.keys(), s.placeOfEntry(d, name), value)
	if err != nil {
		return p, err
	}
	number, at, _ := strings.Cut(name, ":")
	micros, err := strconv.ParseInt(at, 10, 64)
	if err == nil {
		p.Number, err = strconv.ParseInt(number, 10, 64)
	}
	p.At, p.Data = time.UnixMicro(micros).UTC(), []byte(payload)
	return p, err
}

func nameOfEntry(stored string) (name, value string, err error) {
	number, rest, _ := strings.Cut(stored, ":")
	at, value, ok := strings.Cut(rest, ":")
	if !ok {
		return "", "", errForged
	}
	return number + ":" + at, value, nil
}

// askHistory asks for the whole history of a digest.
func (s *Store) askHistory(ctx context.Context, p redis.Scripter, d gate.Digest) *redis.Cmd {
	return scriptHistory.EvalSha(ctx, p, []string{s.keys.history(d)}, store.MaxHistory, maxHistoryBytes)
}

// historyOf reads what askHistory was answered, the oldest first. Entries that are not
// believed are told to the operator and left out.
func (s *Store) historyOf(d gate.Digest, stored []any) []store.HistoryPiece {
	var list []store.HistoryPiece
	for i := range stored {
		p, err := s.entry(d, text(stored, i))
		if err != nil {
			s.suspectType(s.keys.history(d), text(stored, i))
			s.reject("history", string(d), err)
			continue
		}
		list = append(list, p)
	}
	return list
}

// History returns entries of the history of a digest, the newest first. One that is not
// believed, or cannot be read, is logged and left out.
func (s *Store) History(ctx context.Context, d gate.Digest, q gate.HistoryQuery) ([]gate.HistoryEntry, error) {
	what := "reading the history of " + gate.Printable(string(d), 100)
	if !d.Valid() {
		return nil, fmt.Errorf("%s: %w", what, gate.ErrDigestInvalid)
	}
	stored, err := scriptHistory.Run(ctx, s.client, []string{s.keys.history(d)}, store.MaxHistory, maxHistoryBytes).Slice()
	if err != nil {
		return nil, s.failedIn(ctx, what, err)
	}
	pieces := s.historyOf(d, stored)
	slices.SortFunc(pieces, func(a, b store.HistoryPiece) int { return int(min(max(b.Number-a.Number, -1), 1)) })
	pieces = slices.CompactFunc(pieces, func(a, b store.HistoryPiece) bool { return a.Number == b.Number })
	var list []gate.HistoryEntry
	for _, p := range pieces {
		take, more := store.HistoryWanted(q, p, len(list))
		if !more {
			break
		}
		if !take {
			continue
		}
		entry, err := store.DecodeHistory(d, p)
		if err != nil {
			s.reject("history", string(d), err)
			continue
		}
		list = append(list, entry)
	}
	return list, nil
}

// importHistory puts entries in the place of those that are there. Nobody is told of them
// before the record is written.
func (s *Store) importHistory(ctx context.Context, d gate.Digest, entries []store.HistoryPiece) error {
	values := make([]any, len(entries))
	for i, p := range entries {
		values[i] = s.sealEntry(d, p)
	}
	_, err := s.client.TxPipelined(ctx, func(p redis.Pipeliner) error {
		p.Del(ctx, s.keys.history(d))
		if len(values) > 0 {
			p.RPush(ctx, s.keys.history(d), values...)
		}
		return nil
	})
	return err
}

// resignHistory signs the entries of a digest with the first key.
func (s *Store) resignHistory(ctx context.Context, d gate.Digest) (n int, err error) {
	stored, err := scriptHistory.Run(ctx, s.client, []string{s.keys.history(d)}, store.MaxHistory, maxHistoryBytes).Slice()
	if err != nil {
		return 0, err
	}
	for i := range stored {
		element := text(stored, i)
		name, value, err := nameOfEntry(element)
		if err != nil {
			continue // its readers tell of it
		}
		signed, err := s.resigned(s.placeOfEntry(d, name), value, func(fresh string) error {
			return scriptElement.Run(ctx, s.client, []string{s.keys.history(d)}, element, name+":"+fresh).Err()
		})
		if n += signed; err != nil {
			return n, err
		}
	}
	return n, nil
}
