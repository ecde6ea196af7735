package gate_test

import (
	"context"
	"errors"
	"log/slog"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/gate/lookup"
)

// silentStore knows one digest, and does not answer while it is silent.
type silentStore struct {
	gate.Reader
	known  gate.Digest
	silent atomic.Bool
	asked  atomic.Int64
}

func (s *silentStore) Read(ctx context.Context, req gate.ReadRequest) (gate.ReadResult, error) {
	s.asked.Add(1)
	if s.silent.Load() {
		<-ctx.Done()
		return gate.ReadResult{}, errors.Join(gate.ErrTimeout, ctx.Err())
	}
	res := gate.ReadResult{Digests: map[gate.Digest]gate.Entry{}, Now: time.Now()}
	for _, d := range req.Digests {
		if d == s.known {
			res.Digests[d] = gate.Entry{Record: gate.Record{Digest: d, Version: 1, Manifest: gate.Manifest{Digest: d, Kind: gate.KindImage}}}
		}
	}
	return res, nil
}

// Changes, Changed and Newest are those of a feed in which nothing happens.
func (s *silentStore) Changes(ctx context.Context, after int64, _ int) ([]gate.Change, int64, error) {
	if s.silent.Load() {
		<-ctx.Done()
		return nil, 0, errors.Join(gate.ErrTimeout, ctx.Err())
	}
	return nil, after, nil
}

func (s *silentStore) Changed() <-chan struct{} { return nil }

func (s *silentStore) Newest(ctx context.Context) (int64, error) {
	_, newest, err := s.Changes(ctx, 0, 1)
	return newest, err
}

// TestSilentStoreIsWaitedForOnce: the first read that gets no answer waits its
// 500 ms; after it the copies answer at once for as long as the grace lasts,
// which begins with the last look at the feed, and the store is read again as
// soon as it answers.
func TestSilentStoreIsWaitedForOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &silentStore{known: gate.Digest("sha256:" + pad(1))}
		copies := lookup.NewRecordCopy(s, 5*time.Minute, time.Now, nil, slog.New(slog.DiscardHandler))
		ctx, cancel := context.WithCancel(t.Context())
		following := make(chan struct{})
		go func() { copies.Follow(ctx, s); close(following) }()
		synctest.Wait()
		read := func(what string, d gate.Digest, copied bool, want error, within time.Duration) {
			t.Helper()
			began := time.Now()
			res, err := copies.Read(t.Context(), gate.ReadRequest{Digests: []gate.Digest{d}})
			if took := time.Since(began); took > within || !errors.Is(err, want) || res.Copied != copied || res.Digests[d].Copied != copied {
				t.Errorf("%s: copied %t, %v after %s; want %t, %v within %s", what, res.Copied, err, took, copied, want, within)
			}
		}
		const atOnce, bounded = 0, 500 * time.Millisecond
		read("the store answers", s.known, false, nil, atOnce)
		time.Sleep(time.Hour) // nobody asks
		s.silent.Store(true)
		read("the first that gets no answer", s.known, true, nil, bounded)
		for range 20 {
			read("those after it", s.known, true, nil, atOnce)
		}
		time.Sleep(3 * time.Second)
		read("some seconds later", s.known, true, nil, atOnce)
		if until, ok := copies.Serves(); !ok || time.Until(until) > 5*time.Minute {
			t.Errorf("Serves: until %s, %t", until, ok)
		}
		unknown := gate.Digest("sha256:" + pad(2))
		read("a digest that is not known here", unknown, false, gate.ErrStoreUnavailable, bounded)
		s.silent.Store(false)
		time.Sleep(time.Second)
		read("the store is back", s.known, false, nil, atOnce)
		s.silent.Store(true)
		time.Sleep(5*time.Minute + 2*time.Second)
		read("after the grace", s.known, false, gate.ErrStoreUnavailable, bounded)
		if _, ok := copies.Serves(); ok {
			t.Error("the copies serve after the grace")
		}
		cancel()
		<-following
	})
}
