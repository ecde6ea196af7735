package registry

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/digestgate/digestgate/gate"
)

// The limits of a pause.
const (
	minPause = time.Second
	maxPause = time.Hour
	// unstatedPause is the first wait after a 429 that names none; it doubles
	// with each further one, up to maxUnstatedPause.
	unstatedPause    = 5 * time.Second
	maxUnstatedPause = 5 * time.Minute
	// breakAfter failed exchanges in a row (four requests with their retries)
	// the host rests, so that a dead registry costs its callers nothing; the
	// rest doubles up to maxBreak.
	breakAfter = 12
	firstBreak = 2 * time.Second
	maxBreak   = time.Minute
	// maxPausedHosts bounds the table: names come from redirects too. A name longer
	// than maxPausedHost (a DNS name, its port and a word before it) cannot be resolved
	// and is not remembered.
	maxPausedHosts = 1000
	maxPausedHost  = 300
)

// pausedError says that a host is paused and nothing was sent.
type pausedError struct {
	host   string
	after  time.Duration
	reason string
	asked  bool // by the host itself
	// wish is what is left of the wait that the host requested, which may be longer
	// than the pause; not positive when it named none.
	wish time.Duration
}

// retryAfter is the error that tells callers about the pause.
func (e *pausedError) retryAfter(err error) *gate.RetryAfterError {
	return &gate.RetryAfterError{After: max(e.after, minPause), Asked: max(e.wish, 0), Err: err}
}

// kind is what the pause is called to people who are refused.
func (e *pausedError) kind() gate.CauseKind {
	if e.asked {
		return gate.CauseAskedToWait
	}
	return gate.CauseUnreachable
}

func (e *pausedError) Error() string {
	return fmt.Sprintf("requests to %q are paused for %s: %s", e.host, e.after.Round(time.Second), e.reason)
}

// pauses remembers which hosts asked for a pause (429, 503 with Retry-After)
// or are down. It is shared by all registries of a client: limits belong to
// hosts. Safe for concurrent use.
type pauses struct {
	now func() time.Time
	log *slog.Logger

	mu    sync.Mutex
	hosts map[string]*hostHealth
}

type hostHealth struct {
	until    time.Time
	reason   string
	asked    bool      // for the pause, by the host itself
	wish     time.Time // until when the host asked to wait; zero when it named no time
	limited  int       // 429 without Retry-After in a row
	failures int       // failed exchanges in a row
}

func newPauses(now func() time.Time, log *slog.Logger) *pauses {
	return &pauses{now: now, log: log, hosts: map[string]*hostHealth{}}
}

// check returns a *pausedError while the host rests.
func (p *pauses) check(host string) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	h, ok := p.hosts[host]
	if !ok {
		return nil
	}
	if left := h.until.Sub(p.now()); left > 0 {
		return &pausedError{host: host, after: left, reason: h.reason, asked: h.asked, wish: h.wish.Sub(p.now())}
	}
	return nil
}

// longest is the pause among hosts of which most is left; nil when none is paused.
func (p *pauses) longest(hosts ...string) (paused *pausedError) {
	for _, host := range hosts {
		var one *pausedError
		if errors.As(p.check(host), &one) && (paused == nil || one.after > paused.after) {
			paused = one
		}
	}
	return paused
}

// observe learns from one exchange: res is nil when there was no answer.
func (p *pauses) observe(host string, res *http.Response) {
	p.mu.Lock()
	defer p.mu.Unlock()
	before := p.until(host)
	defer func() {
		if after := p.until(host); after.After(before) {
			p.log.Warn("registry host is paused", "host", host, "until", after, "reason", p.hosts[host].reason)
		}
	}()
	h, known := p.hosts[host]
	limited := res != nil && (res.StatusCode == http.StatusTooManyRequests ||
		res.StatusCode == http.StatusServiceUnavailable && res.Header.Get("Retry-After") != "")
	failed := res == nil || res.StatusCode >= 500
	if !known {
		if !limited && !failed || len(host) > maxPausedHost {
			return
		}
		p.makeRoom()
		h = &hostHealth{}
		p.hosts[host] = h
	}
	switch {
	case limited:
		h.limit(p.now(), res)
	case failed:
		h.failures++
		if over := h.failures - breakAfter; over >= 0 {
			h.rest(p.now(), min(firstBreak<<min(over, 10), maxBreak), "its last requests all failed", false, time.Time{})
		}
	case h.until.After(p.now()):
		// A success that was under way when the pause began does not end it.
		h.failures, h.limited = 0, 0
	default:
		delete(p.hosts, host)
	}
}

func (p *pauses) until(host string) time.Time {
	if h, ok := p.hosts[host]; ok {
		return h.until
	}
	return time.Time{}
}

func (h *hostHealth) limit(now time.Time, res *http.Response) {
	h.failures = 0
	after, asked, ok := parseRetryAfter(res.Header.Get("Retry-After"), now)
	if !ok {
		after = min(unstatedPause<<min(h.limited, 10), maxUnstatedPause)
		h.limited++
	}
	wish := time.Time{}
	if asked > 0 {
		wish = now.Add(asked)
	}
	h.rest(now, after, fmt.Sprintf("it answered %d and asked to wait", res.StatusCode), true, wish)
}

// rest never shortens a pause: two answers may arrive out of order.
func (h *hostHealth) rest(now time.Time, d time.Duration, reason string, asked bool, wish time.Time) {
	if until := now.Add(d); until.After(h.until) {
		h.until, h.reason, h.asked, h.wish = until, reason, asked, wish
	}
}

// makeRoom forgets the hosts whose pause is over, or all when that is not
// enough: forgetting a pause costs a request, growing without bound costs the
// process.
func (p *pauses) makeRoom() {
	if len(p.hosts) < maxPausedHosts {
		return
	}
	now := p.now()
	for name, h := range p.hosts {
		if !h.until.After(now) {
			delete(p.hosts, name)
		}
	}
	if len(p.hosts) >= maxPausedHosts {
		clear(p.hosts)
	}
}
