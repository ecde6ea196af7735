package sqlite

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/digestgate/digestgate/gate"
)

// TestDiskFull lets the database meet its limit of pages, which SQLite reports
// exactly as a full disk.
func TestDiskFull(t *testing.T) {
	path := filepath.Join(t.TempDir(), "store.db")
	s, err := Open(t.Context(), path, Options{})
	if err != nil {
		t.Fatal(err)
	}
	limit := func(pages string) {
		t.Helper()
		if err := s.writer.attempt([]*operation{{run: func(t *tx) error {
			return t.row("PRAGMA max_page_count = " + pages).Scan(new(int64))
		}}}); err != nil {
			t.Fatal(err)
		}
	}
	request := func(i int) gate.JobRequest {
		return gate.JobRequest{
			Kind: gate.JobResolve, Location: gate.Location{Registry: "r", Repository: "r"},
			Tag: fmt.Sprint(i, strings.Repeat("x", 1000)), Trigger: gate.TriggerPush,
		}
	}
	limit("60")
	var ids []string
	for i := 0; ; i++ {
		job, _, err := s.Enqueue(t.Context(), request(i))
		if err == nil {
			ids = append(ids, job.ID)
			continue
		}
		if !errors.Is(err, gate.ErrStoreUnavailable) || !errors.Is(err, gate.ErrResource) || !strings.Contains(err.Error(), "disk is full") {
			t.Fatalf("got %v", err)
		}
		break
	}
	if len(ids) == 0 {
		t.Fatal("the limit was met before the first job")
	}
	found := func() {
		t.Helper()
		for _, id := range ids {
			if _, err := s.Job(t.Context(), id); err != nil {
				t.Fatalf("an acknowledged job is lost: %v", err)
			}
		}
	}
	found()
	limit("100000") // somebody has made room
	if _, outcome, err := s.Enqueue(t.Context(), request(len(ids))); err != nil || outcome != gate.EnqueuedNew {
		t.Fatalf("with room again: got %q, %v", outcome, err)
	}
	claimed := 0
	for {
		_, err := s.Claim(t.Context(), gate.ClaimRequest{Worker: "w", Lease: 1e9})
		if errors.Is(err, gate.ErrNoJob) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		claimed++
	}
	if claimed != len(ids)+1 {
		t.Fatalf("%d of %d jobs could be claimed", claimed, len(ids)+1)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if s, err = Open(t.Context(), path, Options{}); err != nil {
		t.Fatal(err)
	}
	found()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestGroup puts an operation that fails halfway into a group with good ones:
// only the bad one is undone.
func TestGroup(t *testing.T) {
	s, err := Open(t.Context(), filepath.Join(t.TempDir(), "store.db"), Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	broken := errors.New("broken halfway")
	setting := func(name string, fail error) *operation {
		return &operation{done: make(chan error, 1), run: func(t *tx) error {
			if err := t.exec(`INSERT INTO settings (name, value, version) VALUES (?, x'00', 1)`, name); err != nil {
				return err
			}
			return fail
		}}
	}
	given := setting("given-up", nil)
	given.state.Store(opGivenUp)
	group := []*operation{setting("one", nil), setting("bad", broken), given, setting("two", nil)}
	// The loop is idle, so that its connection may be used from here.
	s.writer.commit(append([]*operation(nil), group...))
	for i, want := range []error{nil, broken, nil, nil} {
		if i == 2 {
			continue
		}
		if err := <-group[i].done; !errors.Is(err, want) {
			t.Errorf("operation %d: got %v, want %v", i, err, want)
		}
	}
	for name, want := range map[string]error{"one": nil, "two": nil, "bad": gate.ErrNotFound, "given-up": gate.ErrNotFound} {
		if _, _, err := s.Setting(t.Context(), name); !errors.Is(err, want) {
			t.Errorf("setting %q: got %v, want %v", name, err, want)
		}
	}
}

// TestGivenUp: an operation whose caller has gone before it began is not run.
func TestGivenUp(t *testing.T) {
	s, err := Open(t.Context(), filepath.Join(t.TempDir(), "store.db"), Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	entered, leave := make(chan struct{}), make(chan struct{})
	blocked := make(chan error, 1)
	go func() {
		_, err := write(context.Background(), s, "blocking", func(*tx) (none, error) { close(entered); <-leave; return none{}, nil })
		blocked <- err
	}()
	<-entered
	ctx, cancel := context.WithCancel(t.Context())
	late := make(chan error, 1)
	go func() {
		_, err := s.PutSetting(ctx, "late", nil, 0)
		late <- err
	}()
	for len(s.writer.ops) == 0 { // until it waits behind the blocking one
		runtime.Gosched()
	}
	cancel()
	if err := <-late; !errors.Is(err, gate.ErrTimeout) {
		t.Errorf("got %v, want ErrTimeout", err)
	}
	close(leave)
	if err := <-blocked; err != nil {
		t.Error(err)
	}
	if _, err := s.PutSetting(t.Context(), "late", nil, 0); err != nil {
		t.Errorf("the operation that was given up has run: %v", err)
	}
}
