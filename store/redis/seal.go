package redis

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"
)

// sealed is a value as it is stored: "1.MAC.PAYLOAD". The MAC is HMAC-SHA256
// over the name of the key (and the field, in a hash) and the payload, so that
// a value is good at its own place only. The payload is JSON and has what the
// value was written over: version, epoch and stamp.
//
// What the MAC cannot show is that an old value was put back. The stamp, a time
// that grows with each write of a key, does: a process that has seen a later one
// does not believe an earlier one. See docs/adr/0007.
type sealed struct {
	Version int64           `json:"v"`
	Epoch   int64           `json:"e,omitempty"`
	Stamp   int64           `json:"t"`           // microseconds
	Nonce   string          `json:"n,omitempty"` // of one write of a setting
	Body    json.RawMessage `json:"b"`
}

const sealFormat = "1"

// errSeal says why a value is not believed.
var (
	errForged = errors.New("it is not signed with a key of store.macKeyFile")
	errReplay = errors.New("it is older than what this process has seen: a value that was put back, or a write that the server has lost")
)

// seals signs and checks values. It is safe for concurrent use.
type seals struct {
	file *keyFile

	mu   sync.Mutex
	seen map[string]int64 // stamp by key, see maxSeen
	old  map[string]int64
}

// maxSeen bounds what is remembered of stamps; at about 200 B each it is 20 MB
// at most. What has not been seen for that many others is forgotten.
const maxSeen = 50_000

func newSeals(file *keyFile) *seals {
	return &seals{file: file, seen: map[string]int64{}}
}

// seal signs a value for a place.
func (s *seals) seal(place string, v sealed) (string, error) {
	payload, err := json.Marshal(v)
	if err != nil {
		return "", err
	}
	return sealFormat + "." + mac(s.file.keys()[0], place, payload) + "." + string(payload), nil
}

// open checks a value of a place; errForged and JSON errors say why it counts as
// absent.
func (s *seals) open(place, text string) (v sealed, err error) {
	format, rest, _ := strings.Cut(text, ".")
	given, payload, ok := strings.Cut(rest, ".")
	if format != sealFormat || !ok {
		return sealed{}, errForged
	}
	good := false
	for _, key := range s.file.keys() {
		good = good || hmac.Equal([]byte(given), []byte(mac(key, place, []byte(payload))))
	}
	if !good {
		return sealed{}, errForged
	}
	if err := json.Unmarshal([]byte(payload), &v); err != nil {
		return sealed{}, fmt.Errorf("reading a signed value: %w", err)
	}
	return v, nil
}

// fresh remembers the stamp of a value; errReplay when a later one was seen.
func (s *seals) fresh(place string, stamp int64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	last := max(s.seen[place], s.old[place])
	if stamp < last {
		return errReplay
	}
	if stamp > last || s.seen[place] == 0 {
		if len(s.seen) >= maxSeen {
			s.seen, s.old = map[string]int64{}, s.seen
		}
		s.seen[place] = stamp
	}
	return nil
}

// next is the stamp of a write over a value with stamp last, later than all
// that this process has seen of the place.
func (s *seals) next(place string, last int64, now time.Time) int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return max(now.UnixMicro(), last+1, s.seen[place]+1, s.old[place]+1)
}

func mac(key []byte, place string, payload []byte) string {
	h := hmac.New(sha256.New, key)
	// The length in front keeps a place and a payload from being cut elsewhere.
	fmt.Fprintf(h, "%d:%s", len(place), place)
	h.Write(payload)
	return base64.RawURLEncoding.EncodeToString(h.Sum(nil))
}
