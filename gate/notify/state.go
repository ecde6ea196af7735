package notify

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/gate/agree"
)

const (
	// MaxQueue is how many messages wait for one target. While that many do, changes stay
	// in the message that is being gathered, where they are counted.
	MaxQueue = 20
	// maxState is less than a setting takes (1 MiB): longer states lose listed lines.
	maxState = 900 << 10
	// stateFormat is the layout of a state.
	stateFormat = 1
)

// state is what the store knows of one target: how far it has been notified, what is being
// gathered, and what waits to be delivered. It is one setting, so that a cursor is never
// without what was read up to it.
type state struct {
	Format int `json:"format"`
	// Started: Cursor is a position. A new target begins at the present.
	Started  bool      `json:"started"`
	Cursor   int64     `json:"cursor"`
	CursorAt time.Time `json:"cursorAt"` // when it was written
	// Told are the conditions that messages were made of, by their subjects.
	Told     map[string]told `json:"told,omitempty"`
	Open     *Gathering      `json:"open,omitempty"`
	Queue    []queued        `json:"queue,omitempty"`
	Sequence int64           `json:"sequence"`
	// SentAt is when something was last sent, for the vendor's rate limit.
	SentAt time.Time `json:"sentAt,omitzero"`
	// Dropped counts messages that were given up since one was delivered; the others
	// count since the target exists.
	Dropped   int64 `json:"dropped,omitempty"`
	Delivered int64 `json:"delivered,omitempty"`
	GivenUp   int64 `json:"givenUp,omitempty"`
}

type told struct {
	Level string `json:"level"`
	Text  string `json:"text"`
}

// queued is a message that waits.
type queued struct {
	Message   Message   `json:"message"`
	QueuedAt  time.Time `json:"queuedAt"`
	Attempts  int       `json:"attempts"`
	NotBefore time.Time `json:"notBefore,omitzero"`
	Reason    string    `json:"reason,omitempty"` // of the last failure
}

// decodeState reads a stored value; one that another version wrote is gate.ErrStoreUnavailable.
func decodeState(value []byte) (state, error) {
	st := state{Format: stateFormat}
	if len(value) == 0 {
		return st, nil
	}
	if err := json.Unmarshal(value, &st); err != nil || st.Format != stateFormat {
		return state{}, fmt.Errorf("the stored state of a notification target is in format %d, or damaged; run the version of digestgate that wrote it: %w", st.Format, gate.ErrStoreUnavailable)
	}
	return st, nil
}

func loadState(ctx context.Context, s agree.Settings, name string) (state, error) {
	setting := agree.SettingNotifyState(name)
	value, _, err := s.Setting(ctx, setting)
	if isNotFound(err) {
		return decodeState(nil)
	}
	if err != nil {
		return state{}, fmt.Errorf("reading setting %q: %w", setting, err)
	}
	return decodeState(value)
}

// updateState changes a state; change returns false to leave it.
func updateState(ctx context.Context, s agree.Settings, name string, change func(*state) bool) (state, error) {
	var now state
	err := agree.UpdateSetting(ctx, s, agree.SettingNotifyState(name), func(value []byte) ([]byte, error) {
		st, err := decodeState(value)
		if err != nil {
			return nil, err
		}
		changed := change(&st)
		now = st
		if !changed {
			return nil, nil
		}
		return now.encode()
	})
	return now, err
}

// encode makes the state fit: listed lines of waiting messages are given up before
// messages are.
func (st *state) encode() ([]byte, error) {
	for lines := MaxItems / 2; ; lines /= 2 {
		value, err := json.Marshal(st)
		if err != nil || len(value) <= maxState {
			return value, err
		}
		if lines == 0 {
			if len(st.Queue) == 0 {
				return value, nil // the store refuses it, and says so
			}
			st.Queue = st.Queue[1:]
			st.Dropped++
			st.GivenUp++
			continue
		}
		for i := range st.Queue {
			m := &st.Queue[i].Message
			if cut := len(m.Items) - lines; cut > 0 {
				m.Items = slices.Clone(m.Items[:lines])
				m.More += cut
			}
		}
	}
}

// gather puts parts in what is being gathered.
func (st *state) gather(now time.Time, parts []part) {
	if len(parts) == 0 {
		return
	}
	if st.Open == nil {
		st.Open = newGathering(now)
	}
	st.Open.add(parts)
}

// closeDue closes what was gathered long enough. behind: there is more to read, which is
// waited for, within reason.
func (st *state) closeDue(c Config, now time.Time, behind bool, link string) bool {
	if st.Open == nil || len(st.Queue) >= MaxQueue {
		return false
	}
	age := now.Sub(st.Open.Opened)
	if age < 0 { // the clock was set back
		age = c.Gather
	}
	if age < c.Gather || behind && age < c.Gather+maxBehind {
		return false
	}
	open := st.Open
	st.Open = nil
	if open.empty() {
		return true
	}
	st.Sequence++
	m := Message{ID: messageID(c.Name, open.Opened, st.Sequence), Target: c.Name, At: now, Link: link, Dropped: st.Dropped}
	open.close(&m)
	m.Title = m.title()
	st.Queue = append(st.Queue, queued{Message: m, QueuedAt: now})
	return true
}

// maxBehind is how long a message waits for what there is more to read.
const maxBehind = 10 * time.Minute

// messageID is the same whichever process closes the message.
func messageID(target string, opened time.Time, sequence int64) string {
	sum := sha256.Sum256([]byte(target + "\x00" + strconv.FormatInt(sequence, 10) + "\x00" + opened.UTC().Format(time.RFC3339Nano)))
	return hex.EncodeToString(sum[:16])
}

// expire gives up what waited too long.
func (st *state) expire(c Config, now time.Time) (gone []queued) {
	st.Queue = slices.DeleteFunc(st.Queue, func(q queued) bool {
		old := now.Sub(q.QueuedAt) > c.MaxAge
		if old {
			gone = append(gone, q)
			st.Dropped++
			st.GivenUp++
		}
		return old
	})
	return gone
}

// due is the message to send now, and when to look again otherwise.
func (st *state) due(now time.Time, every time.Duration) (q *queued, next time.Time) {
	if len(st.Queue) == 0 {
		return nil, time.Time{}
	}
	free := st.SentAt.Add(every)
	for i := range st.Queue {
		at := st.Queue[i].NotBefore
		if at.Before(free) {
			at = free
		}
		if !at.After(now) || at.Sub(now) > maxWait { // or the clock was set back
			return &st.Queue[i], now
		}
		if next.IsZero() || at.Before(next) {
			next = at
		}
		break // messages keep their order
	}
	return nil, next
}

// maxWait is longer than any message is made to wait between two tries.
const maxWait = 2 * time.Hour

// backoff is how long is waited after so many tries: from 5 s to half an hour.
func backoff(attempts int) time.Duration {
	return min(5*time.Second<<min(attempts-1, 10), 30*time.Minute)
}

// maxFinal is how often a message is tried that its target does not take: another
// template or a mended target takes it perhaps.
const maxFinal = 3

// settle writes down what became of a try. gaveUp: the message left the queue undelivered.
func (st *state) settle(id string, now time.Time, f *Failure) (q queued, gaveUp bool) {
	st.SentAt = now
	i := slices.IndexFunc(st.Queue, func(q queued) bool { return q.Message.ID == id })
	if i < 0 {
		return queued{}, false
	}
	st.Queue[i].Attempts++
	q = st.Queue[i]
	switch {
	case f == nil:
		st.Queue = slices.Delete(st.Queue, i, i+1)
		st.Delivered++
		st.Dropped = 0
	case f.Final && q.Attempts >= maxFinal:
		st.Queue = slices.Delete(st.Queue, i, i+1)
		st.Dropped++
		st.GivenUp++
		return q, true
	default:
		st.Queue[i].NotBefore = now.Add(max(backoff(q.Attempts), f.After))
		st.Queue[i].Reason = f.Reason
	}
	return q, false
}

func isNotFound(err error) bool { return errors.Is(err, gate.ErrNotFound) }
