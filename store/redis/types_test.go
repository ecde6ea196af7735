package redis_test

import (
	"bytes"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/store"
	"github.com/digestgate/digestgate/store/redis"
	"github.com/digestgate/digestgate/store/redis/redistest"
)

// logText is a log that is read while it is written.
type logText struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *logText) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *logText) has(parts ...string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	for line := range strings.SplitSeq(l.text.String(), "\n") {
		all := true
		for _, part := range parts {
			all = all && strings.Contains(line, part)
		}
		if all {
			return true
		}
	}
	return false
}

// eventually waits for what the store finds in the background.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(time.Minute); !ok(); <-tick.C {
		if time.Now().After(deadline) {
			t.Fatalf("waited a minute: %s", what)
		}
	}
}

// TestKeysOfAnotherType: such a key is named in the log and by Check, until it
// is gone.
func TestKeysOfAnotherType(t *testing.T) {
	server := redistest.Plain(t, redistest.Options{})
	c := config(t, server.URL())
	log := new(logText)
	s := open(t, c, redis.Options{Logger: slog.New(slog.NewTextHandler(log, nil))})
	d := digest("strange", 1)
	tag := gate.TagKey{Location: app, Tag: "latest"}
	_, _, err := s.Enqueue(t.Context(), analysis(d, gate.TriggerPush))
	no(t, err)
	_, err = s.AddLocation(t.Context(), d, app)
	no(t, err)
	no(t, s.Check(t.Context()))
	begin, key := "{"+c.Prefix+"}:", c.Prefix+":{"+string(d)+"}:"
	read := func() error {
		_, err := s.Read(t.Context(), gate.ReadRequest{Digests: []gate.Digest{d}, Tags: []gate.TagKey{tag}})
		return err
	}
	claim := func() error { _, err := s.Claim(t.Context(), claimFor("w")); return err }
	setting := func() error { _, _, err := s.Setting(t.Context(), "x"); return err }
	none := func() error { return nil }
	for _, tc := range []struct {
		key, want string
		meet      func() error // how the store comes across it
		fails     bool
	}{
		{begin + "lanes", "set", none, false},
		{begin + "feed", "stream", none, false},
		{begin + "delayed", "zset", none, false},
		{begin + "charges", "hash", none, false},
		{begin + "quota:p", "hash", func() error { _, err := s.Quota(t.Context(), "p"); return err }, true},
		{key + "record", "string", read, false},
		{key + "locations", "hash", read, false},
		{c.Prefix + ":setting:x", "string", setting, true},
	} {
		t.Run(strings.NewReplacer(":", "_", "{", "", "}", "").Replace(tc.key[strings.LastIndex(tc.key, ":")+1:]), func(t *testing.T) {
			no(t, ignoreMissing(server.Do("rename", tc.key, "aside").Err()))
			if tc.want == "string" {
				no(t, server.Do("sadd", tc.key, "x").Err())
			} else {
				no(t, server.Do("set", tc.key, "x").Err())
			}
			err := tc.meet()
			if (err != nil) != tc.fails {
				t.Errorf("meeting it: got %v", err)
			}
			eventually(t, "Check does not name it", func() bool {
				err := s.Check(t.Context())
				var damaged *store.Damaged
				return errors.As(err, &damaged) && errors.Is(err, gate.ErrStoreUnavailable) && strings.Contains(err.Error(), tc.key) && strings.Contains(err.Error(), tc.want)
			})
			if !log.has("level=ERROR", "a key in redis holds a value of another type", tc.key, "want="+tc.want) {
				t.Error("the log does not name it")
			}
			no(t, server.Do("del", tc.key).Err())
			no(t, ignoreMissing(server.Do("rename", "aside", tc.key).Err()))
			no(t, s.Check(t.Context()))
			if !log.has("has its type again", tc.key) {
				t.Error("the log does not say that it is over")
			}
		})
	}
	no(t, claim())
}

func ignoreMissing(err error) error {
	if err != nil && strings.Contains(err.Error(), "no such key") {
		return nil
	}
	return err
}
