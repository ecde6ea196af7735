package admission

import (
	"fmt"
	"time"

	"github.com/digestgate/digestgate/gate"
)

// Limits of what is looked at of a review before there is room to work on it.
const (
	// maxHead is where its object begins at the latest, in bytes: of the longest
	// names that Kubernetes allows all fields in front of it take 3 KiB.
	maxHead = 4 << 10
	// maxCrowded bounds the body of a review that takes its place before it is read.
	// Longer ones take long to read, and would keep the places meanwhile.
	maxCrowded = 64 << 10
)

// crowded reports whether a review that comes now would have to wait: to be read, or
// for a place in flight.
func (r *Reviewer) crowded() bool {
	return len(r.processors) == cap(r.processors) || len(r.slots) == cap(r.slots)
}

// early takes a place in flight for a review before it is read, where it is certain
// that it will need one: so that an overload costs no more than telling it. refused is
// the head of a review for which there was none. Of what passes without a question
// nothing is known yet, and it does not wait here.
func (r *Reviewer) early(t *span, body []byte, terms *terms) (taken bool, refused *request, err error) {
	if !r.crowded() || len(body) > maxCrowded {
		return false, nil, nil
	}
	head, ok := readHead(body)
	if !ok || !head.certain(terms) {
		return false, nil, nil
	}
	if err := r.slot(t); err != nil {
		return false, &head, err
	}
	return true, nil, nil
}

// certain reports that a request needs an answer for each image, and that it is
// refused without one: the creation of a Pod, not by a node, where the mode enforces.
func (r *request) certain(terms *terms) bool {
	return r.kind == (groupVersionKind{"", "v1", "Pod"}) && r.operation == "CREATE" && r.subResource == "" && !r.node &&
		r.namespace != "" && !terms.exempt[r.namespace] && terms.config.mode(r.namespace) == ModeEnforce
}

// readHead reads the fields of a request in front of its object, where API servers
// write them. It expects no valid JSON: what it finds only ever refuses. ok is false
// when anything is unusual.
func readHead(body []byte) (r request, ok bool) {
	head := body[:min(len(body), maxHead)]
	i := skip(head, 0, "{")
	for version, kind := false, false; i < len(head) && head[i] == '"'; i = skip(head, i, ",") {
		name, from, to := member(head, i)
		switch string(name) {
		case "apiVersion":
			version = string(head[from:to]) == `"`+apiVersion+`"`
		case "kind":
			kind = string(head[from:to]) == `"AdmissionReview"`
		case "request":
			if !version || !kind {
				return r, false
			}
			return r, r.readFields(head, from)
		}
		i = to
	}
	return r, false
}

// readFields reads those of the request that begins at i, up to its object.
func (r *request) readFields(head []byte, i int) bool {
	if i >= len(head) || head[i] != '{' {
		return false
	}
	for i = skip(head, i+1, ","); i < len(head) && head[i] == '"'; i = skip(head, i, ",") {
		name, from, to := member(head, i)
		value := head[from:to]
		switch {
		case string(name) == "object":
			return len(r.uid) > 2 && len(r.uid)-2 <= maxUID
		case to == len(head):
			return false // it may continue beyond
		case string(name) == "uid":
			r.uid, _ = uid(value)
			if !plainJSON(value) {
				return false // it is repeated in the answer
			}
		default:
			if r.field(name, value) != nil {
				return false
			}
		}
		i = to
	}
	return false
}

// member is the one whose name begins at i, and where its value is.
func member(head []byte, i int) (name []byte, from, to int) {
	end := valueEnd(head, i)
	name, err := unquoted(head[i:end])
	if err != nil {
		return nil, len(head), len(head)
	}
	from = skip(head, end, ":")
	return name, from, valueEnd(head, from)
}

// slot takes a place among the reviews in flight; ErrBusy when none gets free
// in time.
func (r *Reviewer) slot(t *span) error {
	select {
	case r.slots <- struct{}{}:
		return nil
	default:
	}
	if !enter(t, r.slots, slotWait) {
		return fmt.Errorf("%d reviews are in flight: %w", cap(r.slots), gate.ErrBusy)
	}
	return nil
}

// reading runs what does nothing but read what a caller has sent, as often at
// once as there are processors. The others wait for half of their time at most
// (ErrBusy): one that was read with no time left would only be told of a timeout.
func (r *Reviewer) reading(t *span, read func() error) error {
	select {
	case r.processors <- struct{}{}:
	default:
		if !enter(t, r.processors, time.Until(t.until)/2) {
			return fmt.Errorf("reading an AdmissionReview: %d others are being read: %w", cap(r.processors), gate.ErrBusy)
		}
	}
	defer func() { <-r.processors }()
	return read()
}

// enter waits for one of some places.
func enter(t *span, places chan struct{}, wait time.Duration) bool {
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case places <- struct{}{}:
		return true
	case <-timer.C:
	case <-t.ctx.Done():
	}
	return false
}
