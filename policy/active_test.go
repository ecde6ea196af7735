package policy

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/gate/agree"
	"github.com/digestgate/digestgate/gate/agree/agreetest"
	"github.com/digestgate/digestgate/store/sqlite"
)

// TestAgreement: policies keep the contract of everything that is in force.
func TestAgreement(t *testing.T) {
	content := func(n int) agree.Content {
		c, err := contentFor(denying(fmt.Sprintf(`"set %d"`, n)))
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	// As versions before gate/agree stored and remembered them.
	stored := fmt.Sprintf(`{"format":1,"number":7,"content":%q,"activatedAt":"2026-11-01T10:00:00Z","by":"gate-1/7","program":"v0.9","former":[{"number":6,"content":%q}],"set":"KLUv/Q=="}`,
		content(1).Digest, content(3).Digest)
	agreetest.Run(t, agreetest.Harness{
		Kind: Kind(false), Content: content, Stored: stored,
		Remembered: fmt.Sprintf(`{"store":"here","files":%q,"since":7,"inForce":%s}`, content(1).Digest, stored),
	})
}

// TestFollowsOnItsOwnStore: with SQLite a process reloads its files and follows
// the store by the same mechanism, without a restart.
func TestFollowsOnItsOwnStore(t *testing.T) {
	store, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "store.db"), sqlite.Options{Logger: quiet()})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	dir := t.TempDir()
	write(t, dir, denying(`"one"`)...)
	var said lockedLog
	e, err := New(t.Context(), Options{
		Config: Config{Paths: []string{dir}}, Risks: gate.Risks(), Budget: time.Minute, Store: store, Process: "me", Program: "v1",
		ReloadEvery: time.Millisecond, FollowEvery: time.Millisecond, Log: slog.New(slog.NewTextHandler(&said, nil)),
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	done := make(chan error)
	go func() { done <- e.Run(ctx) }()
	until := func(what string, is func() bool) {
		t.Helper()
		for deadline := time.Now().Add(time.Minute); !is(); time.Sleep(time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatalf("%s: %+v\n%s", what, e.Status(), said.String())
			}
		}
	}
	write(t, dir, denying(`"two"`)...)
	until("changed files", func() bool { return ask(e).Reasons[0].Msg == "two" && e.Status().Activation == 2 })
	write(t, dir, denying(`"one"`)...)
	until("files changed back", func() bool { return ask(e).Reasons[0].Msg == "one" && e.Status().Activation == 3 })

	// Another program puts an earlier value back.
	value, version, err := store.Setting(t.Context(), agree.SettingPolicies)
	if err != nil {
		t.Fatal(err)
	}
	earlier := strings.Replace(string(value), `"number":3`, `"number":1`, 1)
	if _, err := store.PutSetting(t.Context(), agree.SettingPolicies, []byte(earlier), version); err != nil {
		t.Fatal(err)
	}
	until("the store has lost it", func() bool {
		active, ok, err := NewActivations(store, "", "").Active(t.Context())
		return err == nil && ok && active.Number == 3
	})
	// What a newer version wrote is known within a look, and stays.
	_, version, err = store.Setting(t.Context(), agree.SettingPolicies)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := store.PutSetting(t.Context(), agree.SettingPolicies, []byte(`{"format":2}`), version); err != nil {
		t.Fatal(err)
	}
	until("unreadable", func() bool { return strings.Contains(e.Status().Behind, "format 2") })
	if got, _, err := store.Setting(t.Context(), agree.SettingPolicies); err != nil || string(got) != `{"format":2}` || ask(e).Reasons[0].Msg != "one" {
		t.Errorf("stored is %s, %v; it says %q", got, err, ask(e).Reasons[0].Msg)
	}
	stop := errors.New("stop")
	cancel(stop)
	if err := <-done; err != stop {
		t.Errorf("Run: got %v", err)
	}
}
