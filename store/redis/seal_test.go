package redis_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/store/redis"
)

// TestRotation changes the MAC key as docs/redis.md says: added as the second
// line, exchanged, and the old one taken away when everything was written anew.
// Processes of both steps believe each other all the way.
func TestRotation(t *testing.T) {
	old, fresh := strings.Repeat("o", 64), strings.Repeat("n", 64)
	c := config(t, servers.Plain(t).URL())
	with := func(lines ...string) watched {
		at := c
		at.MACKeyFile = keyFile(t, lines...)
		return watch(t, at)
	}
	all := func(s watched) {
		t.Helper()
		for thing, there := range honest.there(t, s) {
			if !there {
				t.Errorf("the %s is not believed: %s", thing, s.log)
			}
		}
		if strings.Contains(s.log.String(), "ERROR") {
			t.Errorf("somebody was alarmed: %s", s.log)
		}
	}
	before, added := with(old), with(old, fresh)
	defer func() { _ = before.Remove(context.Background()) }()
	honest.fill(t, before, 1)
	all(added)
	honest.fill(t, added, 2) // the old key still signs
	all(before)
	exchanged := with(fresh, old)
	all(exchanged)
	honest.fill(t, exchanged, 3)
	all(added)
	all(with(fresh))
	if honest.there(t, before)["record"] {
		t.Error("a process without the new key believes what it signed")
	}
	// What nobody writes is signed anew by itself, and then only, and nothing else
	// about it changes: no change is told of, no other write is undone.
	other.fill(t, with(old), 2)
	rotating := with(fresh, old)
	feed, err := rotating.Scan(t.Context(), func(gate.Item) error { return nil })
	if err != nil {
		t.Fatal(err)
	}
	if n, err := rotating.Resign(t.Context()); err != nil || n < 4 { // a record, its location, a tag, a setting
		t.Fatalf("signed %d anew, %v", n, err)
	}
	if n, err := rotating.Resign(t.Context()); err != nil || n != 0 {
		t.Fatalf("signed %d once more, %v", n, err)
	}
	if changes, _, err := rotating.Changes(t.Context(), feed, 10); err != nil || len(changes) > 0 {
		t.Errorf("the feed tells of it: %+v, %v", changes, err)
	}
	for thing, there := range other.there(t, with(fresh)) {
		if !there {
			t.Errorf("the %s was not signed anew", thing)
		}
	}
	// Taken away too early, what was not signed anew counts as forged.
	other.fill(t, with(old), 1)
	if early := with(fresh); other.there(t, early)["record"] || early.rejected(t, "record", "forged") == 0 {
		t.Error("what a key signed that was taken away is believed, or nobody is told")
	}
}

// TestKeyFiles: files that cannot be used are refused in words that say what to
// do.
func TestKeyFiles(t *testing.T) {
	good := strings.Repeat("a", 64)
	c := config(t, servers.Plain(t).URL())
	for name, want := range map[string]string{
		"": "has 0 keys", "\n\n": "has 0 keys", "short\n": "line 1 has 5 characters, want at least 32",
		good + "\nshort\n": "line 2 has 5 characters", good + "\n" + good + "\n" + good + "\n": "has 3 keys, want one",
	} {
		c.MACKeyFile = filepath.Join(t.TempDir(), "mac.key")
		if err := os.WriteFile(c.MACKeyFile, []byte(name), 0o600); err != nil {
			t.Fatal(err)
		}
		s, err := redis.Open(t.Context(), c, redis.Options{})
		if err == nil {
			_ = s.Close()
		}
		if !errors.Is(err, gate.ErrInvalid) || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), good[:20]) {
			t.Errorf("%q: got %v, want something about %q", name, err, want)
		}
	}
	c.MACKeyFile = filepath.Join(t.TempDir(), "missing")
	if _, err := redis.Open(t.Context(), c, redis.Options{}); !errors.Is(err, gate.ErrInvalid) || !strings.Contains(err.Error(), "store.macKeyFile") {
		t.Errorf("missing: got %v", err)
	}
}
