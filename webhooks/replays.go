package webhooks

import (
	"crypto/sha256"
	"encoding/json"
	"sync"
	"time"

	"github.com/digestgate/digestgate/gate"
)

const (
	// replayWindow is how long the identity of an event is remembered:
	// EventBridge tries for 24 hours, and is the most patient sender that keeps
	// an event's identity and stops by itself.
	replayWindow = 24 * time.Hour
	// maxReplays bounds the memory of one endpoint to about 1 MB; at one push a
	// minute it reaches back a week, in a flood less far.
	maxReplays = 10000
)

const replayReason = "an event with this identity and content was taken before; the sender has repeated itself"

// eventKey is the identity of an event together with all that we read of it:
// a sender that gives two events one identity loses none of them.
type eventKey [sha256.Size]byte

func keyOf(p gate.Push) eventKey {
	text, err := json.Marshal([]string{p.EventID, string(p.Kind), p.Host, p.Repository, string(p.Digest), p.Tag})
	if err != nil {
		panic("encoding strings: " + err.Error()) // cannot be
	}
	return sha256.Sum256(text)
}

// replays remembers which events of an endpoint were made durable. It lives in
// this process alone: what it forgets (a restart, another replica) is taken
// once more, which is harmless, while what it knew wrongly would be lost. Safe
// for concurrent use.
type replays struct {
	mu    sync.Mutex
	at    map[eventKey]time.Time
	order []eventKey // ring, oldest at next once it is full
	next  int
}

func newReplays() *replays { return &replays{at: map[eventKey]time.Time{}} }

// split separates the events that were taken before; seen has one entry for
// each push.
func (r *replays) split(pushes []gate.Push, now time.Time) (fresh []gate.Push, seen []bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	seen = make([]bool, len(pushes))
	for i, p := range pushes {
		at, known := r.at[keyOf(p)]
		seen[i] = p.EventID != "" && p.Kind != gate.PushIgnored && known && now.Sub(at) < replayWindow
		if !seen[i] {
			fresh = append(fresh, p)
		}
	}
	return fresh, seen
}

// taken remembers events whose work is durable. Those that nothing was done
// about are not: a repetition gets the same reason again.
func (r *replays) taken(pushes []gate.Push, results []gate.PushResult, now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for i, p := range pushes {
		if p.EventID == "" || i >= len(results) || results[i].State == gate.PushNotActedOn {
			continue
		}
		key := keyOf(p)
		if _, known := r.at[key]; known {
			r.at[key] = now
			continue
		}
		if len(r.order) < maxReplays {
			r.order = append(r.order, key)
		} else {
			delete(r.at, r.order[r.next])
			r.order[r.next] = key
			r.next = (r.next + 1) % maxReplays
		}
		r.at[key] = now
	}
}

// merge puts the repeated events back between the results of the others.
func merge(registry string, pushes []gate.Push, seen []bool, results []gate.PushResult) []gate.PushResult {
	out := make([]gate.PushResult, 0, len(pushes))
	for i, p := range pushes {
		if !seen[i] {
			if len(results) > 0 {
				out, results = append(out, results[0]), results[1:]
			}
			continue
		}
		out = append(out, gate.PushResult{
			Registry: registry, Repository: p.Repository, Digest: p.Digest, Tag: p.Tag,
			State: gate.PushDuplicate, Reason: replayReason,
		})
	}
	return out
}
