package redis

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"hash/maphash"
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
// does not believe an earlier one. A process that has seen none believes what it
// finds, which is why gate compares findings with the advisory data in use. See
// docs/adr/0007 and docs/threat-model.md.
type sealed struct {
	Version int64           `json:"v"`
	Epoch   int64           `json:"e,omitempty"`
	Stamp   int64           `json:"t"`           // microseconds
	Nonce   string          `json:"n,omitempty"` // of one write of a setting
	Body    json.RawMessage `json:"b"`
}

const sealFormat = "1"

// errForged and errReplay say why a value is not believed.
var (
	errForged = errors.New("it is not signed with a key of store.macKeyFile")
	errReplay = errors.New("it is older than what this process has seen: a value that was put back, or a write that the server has lost")
)

// seals signs and checks values. It is safe for concurrent use.
type seals struct {
	file *keyFile

	seed maphash.Seed
	mu   sync.Mutex
	turn int64           // grows with each stamp that is seen
	seen map[uint64]seen // by the hash of its place, see maxSeen
	old  map[uint64]seen
}

// seen is the latest stamp of a place, and when it was seen; and the one before, which is
// what a read knew that began before the latest was written.
type seen struct{ stamp, turn, former, formerTurn int64 }

// maxSeen bounds what is remembered of stamps; at about 70 B each, twice, it is
// 28 MB at most. What has not been seen for that many others is forgotten. Two
// places of that many share a hash once in a billion processes.
const maxSeen = 200_000

func newSeals(file *keyFile) *seals {
	return &seals{file: file, seed: maphash.MakeSeed(), seen: map[uint64]seen{}}
}

// seal signs a value for a place.
func (s *seals) seal(place string, v sealed) (string, error) {
	payload, err := json.Marshal(v)
	if err != nil {
		return "", err
	}
	return signed(s.file.keys()[0], place, string(payload)), nil
}

// signed is a payload with the signature of a key for a place.
func signed(key []byte, place, payload string) string {
	return sealFormat + "." + mac(key, place, []byte(payload)) + "." + payload
}

// signer is which of the keys has signed a value of a place, and the payload;
// errForged when none has.
func signer(keys [][]byte, place, text string) (key int, payload string, err error) {
	format, rest, _ := strings.Cut(text, ".")
	given, payload, ok := strings.Cut(rest, ".")
	if format != sealFormat || !ok {
		return 0, "", errForged
	}
	for i, k := range keys {
		if hmac.Equal([]byte(given), []byte(mac(k, place, []byte(payload)))) {
			return i, payload, nil
		}
	}
	return 0, "", errForged
}

// resign is a value with the signature of the first key, whichever it had.
func (s *seals) resign(place, text string) (string, error) {
	keys := s.file.keys()
	by, payload, err := signer(keys, place, text)
	if err != nil || by == 0 {
		return text, err
	}
	return signed(keys[0], place, payload), nil
}

// open checks a value of a place; errForged and JSON errors say why it counts as
// absent.
func (s *seals) open(place, text string) (v sealed, err error) {
	_, payload, err := signer(s.file.keys(), place, text)
	if err != nil {
		return sealed{}, err
	}
	if err := json.Unmarshal([]byte(payload), &v); err != nil {
		return sealed{}, fmt.Errorf("reading a signed value: %w", err)
	}
	return v, nil
}

// mark is asked for before a read begins; see [seals.believe].
func (s *seals) mark() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.turn
}

// believe opens a value of a place whose read began after the mark. errReplay
// when a later one had been seen by then: the read of another goroutine that
// began later and ended earlier may see a write that this one does not.
func (s *seals) believe(place, text string, mark int64) (sealed, error) {
	v, err := s.open(place, text)
	if err != nil {
		return sealed{}, err
	}
	return v, s.fresh(place, v.Stamp, mark)
}

// fresh is errReplay when a later stamp of a place than this one had been seen by the time
// of the mark, and remembers it otherwise.
func (s *seals) fresh(place string, stamp, mark int64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	at := maphash.String(s.seed, place)
	last := s.last(at)
	if stamp < last.stamp && last.turn <= mark || stamp < last.former && last.formerTurn <= mark {
		return errReplay
	}
	s.remember(at, stamp)
	return nil
}

// wrote remembers the stamp of a value that was written, or that there is a copy of.
func (s *seals) wrote(place string, stamp int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.remember(maphash.String(s.seed, place), stamp)
}

func (s *seals) last(at uint64) seen {
	if l, ok := s.seen[at]; ok {
		return l
	}
	return s.old[at]
}

// remember keeps a stamp, unless a later one was seen.
func (s *seals) remember(at uint64, stamp int64) {
	last, here := s.last(at), s.seen[at]
	if stamp < last.stamp || (stamp == here.stamp && here.turn > 0) {
		return
	}
	if stamp > last.stamp || last.turn == 0 {
		s.turn++
		last = seen{stamp, s.turn, last.stamp, last.turn}
	}
	if len(s.seen) >= maxSeen {
		s.seen, s.old = map[uint64]seen{}, s.seen
	}
	s.seen[at] = last
}

// next is the stamp of a write over a value with stamp last, later than all
// that this process has seen of the place.
func (s *seals) next(place string, last int64, now time.Time) int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return max(now.UnixMicro(), last+1, s.last(maphash.String(s.seed, place)).stamp+1)
}

func mac(key []byte, place string, payload []byte) string {
	h := hmac.New(sha256.New, key)
	// The length in front keeps a place and a payload from being cut elsewhere.
	fmt.Fprintf(h, "%d:%s", len(place), place)
	h.Write(payload)
	return base64.RawURLEncoding.EncodeToString(h.Sum(nil))
}
