package redis

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/store"
)

// maxHistoryBytes is the most that is read of one history: more than any honest one has.
const maxHistoryBytes = 2 * store.MaxHistory * store.MaxHistoryEntry

// An entry is a field of the hash of its digest: the number names it, and the value is the
// time in microseconds and the signed value, a colon between. The signature covers all of it
// and the key, so that an entry is good at its own number of its own digest only.

func (s *Store) placeOfEntry(d gate.Digest, number, at string) string {
	return s.keys.history(d) + "\n" + number + "\n" + at
}

func (s *Store) sealEntry(d gate.Digest, p store.HistoryPiece) (number, value string) {
	number, at := strconv.FormatInt(p.Number, 10), strconv.FormatInt(p.At.UnixMicro(), 10)
	return number, at + ":" + signed(s.seals.file.keys()[0], s.placeOfEntry(d, number, at), string(p.Data))
}

// entryOf reads a stored entry; errForged for one that is not signed.
func (s *Store) entryOf(d gate.Digest, number, stored string) (p store.HistoryPiece, err error) {
	at, value, _ := strings.Cut(stored, ":")
	_, payload, err := signer(s.seals.file.keys(), s.placeOfEntry(d, number, at), value)
	if err != nil {
		return p, err
	}
	micros, err := strconv.ParseInt(at, 10, 64)
	if err == nil {
		p.Number, err = strconv.ParseInt(number, 10, 64)
	}
	p.At, p.Data = time.UnixMicro(micros).UTC(), []byte(payload)
	return p, err
}

// askHistory asks for the whole history of a digest.
func (s *Store) askHistory(ctx context.Context, p redis.Scripter, d gate.Digest) *redis.Cmd {
	return scriptHistory.EvalSha(ctx, p, []string{s.keys.history(d)}, store.MaxHistory, maxHistoryBytes)
}

// wholeHistory is what askHistory is answered.
func (s *Store) wholeHistory(ctx context.Context, d gate.Digest) ([]any, error) {
	return scriptHistory.Run(ctx, s.client, []string{s.keys.history(d)}, store.MaxHistory, maxHistoryBytes).Slice()
}

// historyOf reads what askHistory was answered, the newest first. Entries that are not
// believed are told to the operator and left out.
func (s *Store) historyOf(d gate.Digest, stored []any) []store.HistoryPiece {
	var list []store.HistoryPiece
	for i := 0; i+1 < len(stored); i += 2 {
		p, err := s.entryOf(d, text(stored, i), text(stored, i+1))
		if err != nil {
			s.suspectType(s.keys.history(d), text(stored, i+1))
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
	stored, err := s.wholeHistory(ctx, d)
	if err != nil {
		return nil, s.failedIn(ctx, what, err)
	}
	if s.options.HistoryRetention > 0 {
		now, err := s.Now(ctx)
		if err != nil {
			return nil, err
		}
		if kept := store.HistoryKept(now, s.options.HistoryRetention); kept.After(q.Since) {
			q.Since = kept
		}
	}
	var list []gate.HistoryEntry
	for _, p := range s.historyOf(d, stored) {
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

// importHistory puts entries in the place of those that are there. The feed names none of
// them before the record is written.
func (s *Store) importHistory(ctx context.Context, d gate.Digest, entries []store.HistoryPiece) error {
	if err := s.client.Del(ctx, s.keys.history(d)).Err(); err != nil || len(entries) == 0 {
		return err
	}
	var pairs []any
	for _, p := range entries {
		number, value := s.sealEntry(d, p)
		pairs = append(pairs, number, value)
	}
	return s.client.HSet(ctx, s.keys.history(d), pairs...).Err()
}

// resignHistory signs the entries of a digest with the first key.
func (s *Store) resignHistory(ctx context.Context, d gate.Digest) (n int, err error) {
	stored, err := s.wholeHistory(ctx, d)
	if err != nil {
		return 0, err
	}
	for i := 0; i+1 < len(stored); i += 2 {
		number, element := text(stored, i), text(stored, i+1)
		at, value, _ := strings.Cut(element, ":")
		signed, err := s.resigned(s.placeOfEntry(d, number, at), value, func(fresh string) error {
			return scriptField.Run(ctx, s.client, []string{s.keys.history(d)}, number, element, at+":"+fresh).Err()
		})
		if n += signed; err != nil {
			return n, err
		}
	}
	return n, nil
}
