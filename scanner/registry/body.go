package registry

import (
	"time"
)

// bodyKind tells large bodies from small ones: an object store that stands still
// on layers may well deliver configurations, and manifests come from elsewhere.
type bodyKind string

const (
	layerBody  bodyKind = "layers"
	configBody bodyKind = "configurations"
	probeBody  bodyKind = "probes" // a person asks how it is now
)

// of is under which the health of a host is kept for bodies of a kind. It is no
// host's name: those have no spaces.
func (k bodyKind) of(host string) string { return string(k) + " of " + host }

// stallBreak bodies in a row that stand still pause the host for them: each has cost a
// slot for timeouts.idle, so the rest begins with twice that and doubles up to
// maxStallBreak.
const (
	stallBreak      = 3
	firstStallBreak = time.Minute
	maxStallBreak   = 10 * time.Minute
)

// body learns from the end of a body: whole, or standing still. Other answers of
// the host do not count, since it still answers while its bodies stand still.
func (p *pauses) body(kind bodyKind, host string, whole bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	key := kind.of(host)
	if whole {
		delete(p.hosts, key)
		return
	}
	h := p.hosts[key]
	if h == nil && len(key) > maxPausedHost {
		return
	}
	if h == nil {
		p.makeRoom()
		h = &hostHealth{}
		p.hosts[key] = h
	}
	h.failures++
	if over := h.failures - stallBreak; over >= 0 {
		h.rest(p.now(), min(firstStallBreak<<min(over, 10), maxStallBreak), "its last bodies stopped arriving", false, time.Time{})
		p.log.Warn("registry host is paused", "host", host, "requests", string(kind), "until", h.until, "reason", h.reason)
	}
}
