package download

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"time"

	"github.com/digestgate/digestgate/gate"
)

// How long a repository rests after a failure: a minute is what a restart of a registry
// takes, an hour is short beside the six in which new data appears.
const (
	firstRest = time.Minute
	maxRest   = time.Hour
)

// mirror is a repository with what is known of it. Its fields below mu are for every
// goroutine; the others do not change.
type mirror struct {
	*mirrorOrigin
	position int // in the configuration, from 1

	mu    sync.Mutex
	state Mirror
}

// rest is how long the repository is not asked yet, not positive when it may be.
func (m *mirror) rest(now time.Time) time.Duration {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.state.RestsUntil.Sub(now)
}

func (m *mirror) status(now time.Time) Mirror {
	m.mu.Lock()
	defer m.mu.Unlock()
	s := m.state
	if s.State == MirrorResting && !s.RestsUntil.After(now) {
		s.State = MirrorFailing
	}
	return s
}

func (m *mirror) offers(d gate.Digest, now time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.state.Offered, m.state.AskedAt = d, now
}

// works notes an answer that could be used, and reports whether that is news.
func (m *mirror) works(now time.Time) (news bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	news = m.state.Failures > 0
	m.state = Mirror{
		Repository: m.state.Repository, State: MirrorOK, Offered: m.state.Offered, AskedAt: now,
		WorkedAt: now, FailedAt: m.state.FailedAt, LastError: m.state.LastError,
	}
	return news
}

// fails notes why an answer could not be used, and reports whether that is news. What was
// refused before costs one small request, and needs no rest.
func (m *mirror) fails(err error, now time.Time) (until time.Time, news bool) {
	problem := oneLine(err)
	m.mu.Lock()
	defer m.mu.Unlock()
	news = m.state.Problem != problem
	m.state.Problem, m.state.AskedAt, m.state.State = problem, now, MirrorFailing
	m.state.FailedAt, m.state.LastError = now, problem
	m.state.Failures++
	var refused *refusedError
	if errors.As(err, &refused) {
		m.state.RestsUntil = time.Time{}
		return time.Time{}, news
	}
	rest := min(firstRest<<min(m.state.Failures-1, 10), maxRest)
	rest = time.Duration(float64(rest) * (0.5 + rand.Float64()))
	var asked *gate.RetryAfterError
	if errors.As(err, &asked) {
		// Others were told the same time: a tenth spreads them.
		rest = max(rest, time.Duration(float64(max(asked.After, asked.Asked))*(1+0.1*rand.Float64())))
	}
	m.state.State, m.state.RestsUntil = MirrorResting, now.Add(rest)
	return m.state.RestsUntil, news
}

// refusedError is what Accept has said of a manifest, now or when it was offered before.
type refusedError struct {
	manifest gate.Digest
	err      error
}

func (e *refusedError) Error() string {
	return fmt.Sprintf("%s was refused: %v", e.manifest.Short(), e.err)
}

func (e *refusedError) Unwrap() error { return e.err }

// unusableError says why no repository had usable data. It wraps what each has said.
type unusableError struct {
	text string
	errs []error
}

func (e *unusableError) Error() string   { return e.text }
func (e *unusableError) Unwrap() []error { return e.errs }

// oneLine is an error for a status.
func oneLine(err error) string {
	return gate.Printable(strings.ReplaceAll(err.Error(), "\n", "; "), 500)
}
