package lookup

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/digestgate/digestgate/gate"
)

const (
	// silentFor is how long a registry that did not answer is remembered: long
	// enough that the Pods of one rollout do not wait one after the other, short
	// enough that one bad moment is soon forgotten.
	silentFor = 10 * time.Second
	// silentAfter is the least time without an answer that counts. A healthy
	// registry answers in less, and a caller that gives up earlier has learnt
	// nothing about it.
	silentAfter = 2 * time.Second
	// maxTagCalls is how many tags are read from one registry at once. Each read
	// may hold a connection for as long as a registry says nothing.
	maxTagCalls = 128
)

// silences remembers which registries did not answer when admission read a tag,
// by their configured names, of which there are few. The zero value is usable.
// Safe for concurrent use.
type silences struct {
	mu         sync.Mutex
	registries map[string]*silence
}

type silence struct {
	until    time.Time     // zero: it answers, as far as is known
	answered time.Time     // when its last answer came
	calls    chan struct{} // of the reads in progress
}

// remembered reports whether a registry did not answer a moment ago, so that
// nobody waits for it who has something else to go by. Once that is silentFor
// ago one caller is told to ask, and the others still do not wait.
func (s *silences) remembered(registry string, now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.of(registry)
	if r.until.IsZero() {
		return false
	}
	if now.Before(r.until) {
		return true
	}
	r.until = now.Add(silentFor)
	return false
}

// silent notes that a registry did not answer what it was asked at began, unless
// it has answered something else since: then only that question is not answered.
func (s *silences) silent(registry string, began, now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r := s.of(registry); !r.answered.After(began) {
		r.until = now.Add(silentFor)
	}
}

// answered notes an answer, whatever it was.
func (s *silences) answered(registry string, now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.of(registry)
	r.until, r.answered = time.Time{}, now
}

// call takes one of the places for reads from a registry. ErrTimeout: none was
// free before ctx ended.
func (s *silences) call(ctx context.Context, registry string) (done func(), err error) {
	s.mu.Lock()
	calls := s.of(registry).calls
	s.mu.Unlock()
	select {
	case calls <- struct{}{}:
		return func() { <-calls }, nil
	case <-ctx.Done():
		return nil, fmt.Errorf("waiting for one of %d reads of registry %q to end: %w", cap(calls), registry, errors.Join(gate.ErrTimeout, context.Cause(ctx)))
	}
}

// of is called with mu held.
func (s *silences) of(registry string) *silence {
	r, ok := s.registries[registry]
	if !ok {
		if s.registries == nil {
			s.registries = map[string]*silence{}
		}
		r = &silence{calls: make(chan struct{}, maxTagCalls)}
		s.registries[registry] = r
	}
	return r
}
