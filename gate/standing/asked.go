package standing

import (
	"bytes"
	"cmp"
	"context"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/gate/agree"
)

// Asked remembers which digests admission was asked for last: what runs, or is about
// to. A sweep takes these before the others. It holds at most AskedMost; where
// processes share a store, each adds what it was asked for to one setting, which a
// restart survives too. It orders work, and says what admission was not asked for (see
// [Asked.Record]).
//
// Its methods are safe for concurrent use; the nil value remembers nothing.
type Asked struct {
	mu sync.RWMutex
	at map[gate.Digest]int64 // Unix minutes
	// shared are the minutes that the setting has, as of the last look.
	shared map[gate.Digest]int64
}

const (
	// AskedMost is how many digests are remembered. Clusters run 500 to 5,000 images; in
	// the setting, which takes 1 MiB, a digest takes 48 bytes.
	AskedMost = 10_000
	// askedFine is how far the time of the last review may be behind, so that most reviews
	// find it written down already.
	askedFine = 10 // minutes
	// askedShared is how far the time in the setting may be behind: a cluster that runs
	// the same images writes it once an hour.
	askedShared = 60 // minutes
	// shareEvery is how often a process looks whether it has something to add.
	shareEvery = time.Minute
)

// Note remembers that admission was asked for a digest at a time.
func (a *Asked) Note(d gate.Digest, at time.Time) {
	if a == nil {
		return
	}
	minute := at.Unix() / 60
	a.mu.RLock()
	last, known := a.at[d]
	a.mu.RUnlock()
	if known && minute-last < askedFine {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.at == nil {
		a.at = map[gate.Digest]int64{}
	}
	a.at[gate.Digest(strings.Clone(string(d)))] = minute // it may be a part of a large text
	if len(a.at) > AskedMost+AskedMost/4 {
		a.at = newest(a.at, AskedMost)
	}
}

// Lately lists the digests that admission was asked for, here or as the setting had it
// at the last look, the last one first.
func (a *Asked) Lately() []gate.Digest {
	if a == nil {
		return nil
	}
	a.mu.RLock()
	all := merge(a.at, a.shared)
	a.mu.RUnlock()
	return inOrder(all)[:min(len(all), AskedMost)]
}

// Run adds to the setting now and then what it does not have yet, until ctx ends.
// Without a store that answers, the order of sweeps is that of this process alone.
func (a *Asked) Run(ctx context.Context, s agree.Settings, log *slog.Logger) {
	tick := time.NewTicker(shareEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if err := a.Share(ctx, s); err != nil && ctx.Err() == nil {
			log.Debug("sharing what admission was asked for", "error", err)
		}
	}
}

// Share adds to the setting what it does not have, or has with a time that is an hour
// behind. Errors: those of the store; the next call repeats it.
func (a *Asked) Share(ctx context.Context, s agree.Settings) error {
	a.mu.RLock()
	here := merge(a.at, nil)
	a.mu.RUnlock()
	if !adds(here, a.lastShared()) {
		return nil
	}
	return agree.UpdateSetting(ctx, s, agree.SettingAsked, func(value []byte) ([]byte, error) {
		there, since := unpackAsked(value)
		all := newest(merge(here, there), AskedMost)
		a.setShared(all)
		if !adds(here, there) {
			return nil, nil
		}
		return packAsked(all, since)
	})
}

// Look takes over what the setting has and returns Lately. Errors: those of the store.
func (a *Asked) Look(ctx context.Context, s agree.Settings) ([]gate.Digest, error) {
	value, _, err := s.Setting(ctx, agree.SettingAsked)
	if err != nil && !errors.Is(err, gate.ErrNotFound) {
		return nil, err
	}
	there, _ := unpackAsked(value)
	a.setShared(there)
	return a.Lately(), nil
}

// Record is when admission was last asked for digests, the zero time when it was not, and
// since when that is known: what is not among them was not asked for in that time. Until
// the first call nothing is known, and after a setting that was lost or cannot be read; a
// list that is full knows nothing of the time before its oldest entry. A process shares what
// it was asked for within a minute, and a time may be an hour behind. Errors: those of the
// store; then nothing is known.
func (a *Asked) Record(ctx context.Context, s agree.TimedSettings) (last func(gate.Digest) time.Time, since time.Time, err error) {
	now, err := s.Now(ctx)
	if err != nil {
		return nil, time.Time{}, err
	}
	var there map[gate.Digest]int64
	var first int64
	err = agree.UpdateSetting(ctx, s, agree.SettingAsked, func(value []byte) ([]byte, error) {
		if there, first = unpackAsked(value); first > 0 {
			return nil, nil
		}
		first = now.Unix()/60 + 1
		return packAsked(there, first)
	})
	if err != nil {
		return nil, time.Time{}, err
	}
	if len(there) >= AskedMost {
		first = max(first, oldest(there)+askedShared) // its time may be as much behind
	}
	var here map[gate.Digest]int64
	if a != nil {
		a.mu.RLock()
		here = merge(a.at, nil)
		a.mu.RUnlock()
	}
	all := merge(here, there)
	last = func(d gate.Digest) time.Time {
		if minute, known := all[d]; known {
			return time.Unix((minute+askedShared)*60, 0)
		}
		return time.Time{}
	}
	return last, time.Unix(first*60, 0), nil
}

func (a *Asked) lastShared() map[gate.Digest]int64 {
	a.mu.RLock()
	defer a.mu.RUnlock()
	return a.shared
}

// setShared takes a map that is not changed any more.
func (a *Asked) setShared(m map[gate.Digest]int64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.shared = m
}

// adds reports whether the newest of here are not in there, or much older.
func adds(here, there map[gate.Digest]int64) bool {
	for d, minute := range here {
		if last, known := there[d]; !known || minute-last >= askedShared {
			return len(there) < AskedMost || minute > oldest(there)
		}
	}
	return false
}

func oldest(m map[gate.Digest]int64) int64 {
	first, least := true, int64(0)
	for _, minute := range m {
		if first || minute < least {
			first, least = false, minute
		}
	}
	return least
}

// merge is a new map with the later of two times of each digest.
func merge(a, b map[gate.Digest]int64) map[gate.Digest]int64 {
	all := make(map[gate.Digest]int64, max(len(a), len(b)))
	for _, m := range []map[gate.Digest]int64{a, b} {
		for d, minute := range m {
			all[d] = max(all[d], minute)
		}
	}
	return all
}

// newest keeps the n last ones.
func newest(m map[gate.Digest]int64, n int) map[gate.Digest]int64 {
	if len(m) <= n {
		return m
	}
	kept := make(map[gate.Digest]int64, n)
	for _, d := range inOrder(m)[:n] {
		kept[d] = m[d]
	}
	return kept
}

// inOrder lists the digests, the last one first.
func inOrder(m map[gate.Digest]int64) []gate.Digest {
	list := make([]gate.Digest, 0, len(m))
	for d := range m {
		list = append(list, d)
	}
	slices.SortFunc(list, func(x, y gate.Digest) int { return cmp.Or(cmp.Compare(m[y], m[x]), cmp.Compare(x, y)) })
	return list
}

// askedSetting is the value of the setting: for each digest its 32 bytes and 4 bytes of
// Unix minutes. Since is the Unix minute since which nothing is missing, 0 when that is not
// known; a version that does not know it drops it.
type askedSetting struct {
	Packed []byte `json:"packed"`
	Since  int64  `json:"since,omitempty"`
}

const (
	askedPrefix = "sha256:"
	askedEach   = 32 + 4
)

func packAsked(m map[gate.Digest]int64, since int64) ([]byte, error) {
	var b bytes.Buffer
	for _, d := range inOrder(m) {
		hash, ok := d.Hash()
		if !ok {
			continue
		}
		b.Write(hash[:])
		_ = binary.Write(&b, binary.BigEndian, uint32(m[d])) // to memory
	}
	return json.Marshal(askedSetting{b.Bytes(), since})
}

// unpackAsked reads a value. One that cannot be read counts as empty, and as one that knows
// nothing of the time before.
func unpackAsked(value []byte) (m map[gate.Digest]int64, since int64) {
	var s askedSetting
	if len(value) == 0 || json.Unmarshal(value, &s) != nil {
		return nil, 0
	}
	m = make(map[gate.Digest]int64, len(s.Packed)/askedEach)
	for p := s.Packed; len(p) >= askedEach && len(m) < AskedMost; p = p[askedEach:] {
		m[gate.Digest(askedPrefix+hex.EncodeToString(p[:32]))] = int64(binary.BigEndian.Uint32(p[32:askedEach]))
	}
	return m, s.Since
}
