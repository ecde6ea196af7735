package policy

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/gate/standing"
)

func ask(e standing.Evaluator) gate.Decision {
	return e.Evaluate(context.Background(), question(testInventory(), testFindings()))
}

func TestReload(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, denying(`"one"`)...)
	trials := 0
	now := testNow
	e := newEngine(t, Options{
		Config: Config{Paths: []string{dir}},
		Now:    func() time.Time { return now },
		Trial:  func(_ context.Context, files []File) (Problems, error) { trials++; return nil, nil },
	})
	first := e.Revision()
	if d := ask(e); d.Reasons[0].Msg != "one" || d.PolicyRevision != first {
		t.Fatalf("first set: got %+v", d)
	}
	reload := func(wantError string) {
		t.Helper()
		now = now.Add(time.Minute)
		err := e.Reload(context.Background())
		if (err != nil) != (wantError != "") || err != nil && !strings.Contains(err.Error(), wantError) {
			t.Fatalf("Reload: got %v, want %q", err, wantError)
		}
		if s := e.Status(); (s.Error != "") != (wantError != "") {
			t.Fatalf("status: got %+v, want error %q", s, wantError)
		}
	}
	reload("")
	if trials != 1 || e.Revision() != first {
		t.Errorf("unchanged files: %d trials, want 1; revision changed: %t", trials, e.Revision() != first)
	}

	write(t, dir, denying(`input.nonsense`)...)
	reload("input.nonsense")
	reload("input.nonsense")
	if d := ask(e); d.Reasons[0].Msg != "one" || d.PolicyRevision != first {
		t.Errorf("after a bad set: got %+v, want the old one", d)
	}
	if s := e.Status(); trials != 2 || !s.RefusedAt.Equal(testNow.Add(2*time.Minute)) || s.Revision != first {
		t.Errorf("a bad set is tried %d times, want once more; status %+v", trials-1, s)
	}

	now = now.Add(retryRefused)
	reload("input.nonsense")
	if trials != 3 {
		t.Errorf("a bad set is tried %d times in all, want again after %s", trials-1, retryRefused)
	}

	write(t, dir, denying(`"one"`)...)
	reload("")
	write(t, dir, denying(`"two"`)...)
	reload("")
	if d := ask(e); d.Reasons[0].Msg != "two" || e.Revision() == first || d.PolicyRevision != e.Revision() {
		t.Errorf("second set: got %+v", d)
	}

	if err := os.Remove(filepath.Join(dir, "p.rego")); err != nil {
		t.Fatal(err)
	}
	reload("no .rego file")
	if d := ask(e); d.Reasons[0].Msg != "two" {
		t.Errorf("files gone: got %+v, want the old set", d)
	}
	write(t, dir, denying(`"two"`)...)
	reload("")
}

func TestRefusedByTrial(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, denying(`"one"`)...)
	var refusal error
	o := Options{Config: Config{Paths: []string{dir}}, Trial: func(context.Context, []File) (Problems, error) { return nil, refusal }, Log: quiet()}
	e, err := New(context.Background(), o)
	if err != nil {
		t.Fatal(err)
	}
	refusal = errors.New("eats memory")
	write(t, dir, denying(`"two"`)...)
	if err := e.Reload(context.Background()); !errors.Is(err, refusal) {
		t.Errorf("Reload: got %v, want %v", err, refusal)
	}
	if d := ask(e); d.Reasons[0].Msg != "one" {
		t.Errorf("got %+v, want the old set", d)
	}
	if _, err := New(context.Background(), o); !errors.Is(err, refusal) {
		t.Errorf("New: got %v, want %v", err, refusal)
	}
}

// TestStatusDuringTrial: readiness does not wait for a trial.
func TestStatusDuringTrial(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, denying(`"one"`)...)
	var e *Active
	asked := false
	e = newEngine(t, Options{Config: Config{Paths: []string{dir}}, Trial: func(context.Context, []File) (Problems, error) {
		if e != nil {
			asked = e.Status().Revision == e.Revision() && e.Healthy() == nil
		}
		return nil, nil
	}})
	write(t, dir, denying(`"two"`)...)
	if err := e.Reload(context.Background()); err != nil || !asked {
		t.Errorf("Reload: %v; the status was right during the trial: %t", err, asked)
	}
}

func TestNewRefuses(t *testing.T) {
	for name, paths := range map[string][]string{
		"no_such_path": {filepath.Join(t.TempDir(), "none")},
		"no_file":      {t.TempDir()},
	} {
		if _, err := New(context.Background(), Options{Config: Config{Paths: paths}, Log: quiet()}); !errors.Is(err, gate.ErrInvalid) {
			t.Errorf("%s: got %v, want gate.ErrInvalid", name, err)
		}
	}
	if _, err := New(context.Background(), Options{Config: Config{Data: "x"}, Log: quiet()}); !errors.Is(err, gate.ErrInvalid) {
		t.Errorf("invalid configuration: got %v", err)
	}
}

func TestRevision(t *testing.T) {
	base := newEngine(t, Options{}).Revision()
	if newEngine(t, Options{}).Revision() != base {
		t.Error("the same policies and options have two revisions")
	}
	for name, o := range map[string]Options{
		"risks":           {Risks: []gate.Risk{gate.RiskSecrets}},
		"allowIncomplete": {Config: Config{AllowIncomplete: []string{"secrets"}}},
		"stale":           {MaxAge: time.Hour},
		"deny_stale":      {MaxAge: 0, DenyStale: true},
	} {
		if newEngine(t, o).Revision() == base {
			t.Errorf("%s does not change the revision", name)
		}
	}
	if newEngine(t, Options{Risks: append([]gate.Risk{gate.RiskSecrets}, gate.Risks()...)}).Revision() != base {
		t.Error("the order of risks changes the revision")
	}
}

// TestRunReloads waits for the loop itself; the interval is short so that no
// signal is needed.
func TestRunReloads(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, denying(`"one"`)...)
	e := newEngine(t, Options{Config: Config{Paths: []string{dir}}, ReloadEvery: time.Millisecond})
	ctx, cancel := context.WithCancelCause(context.Background())
	done := make(chan error)
	go func() { done <- e.Run(ctx) }()
	write(t, dir, denying(`"two"`)...)
	for ask(e).Reasons[0].Msg != "two" {
		time.Sleep(time.Millisecond)
	}
	stop := errors.New("stop")
	cancel(stop)
	if err := <-done; err != stop {
		t.Errorf("Run: got %v, want the cause", err)
	}
	starter := newEngine(t, Options{})
	if err := starter.Run(ctx); err != stop {
		t.Errorf("Run without paths: got %v, want the cause", err)
	}
}

// TestConcurrentReload: under load every decision is whole, by one revision.
func TestConcurrentReload(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, denying(`sprintf("%s one", [input.request.namespace])`)...)
	e := newEngine(t, Options{Config: Config{Paths: []string{dir}}, Budget: 10 * time.Second})
	messages := sync.Map{} // revision to message
	var workers sync.WaitGroup
	stop := make(chan struct{})
	for range 4 {
		workers.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				q := question(testInventory(), testFindings(critical("CVE-1"), critical("CVE-2")))
				q.Request = &gate.Request{Namespace: "n"}
				d := e.Evaluate(context.Background(), q)
				if d.Code != gate.CodePolicy || len(d.Reasons) != 1 {
					t.Errorf("got %+v", d)
					return
				}
				if old, ok := messages.LoadOrStore(d.PolicyRevision, d.Reasons[0].Msg); ok && old != d.Reasons[0].Msg {
					t.Errorf("revision %s says %q and %q", d.PolicyRevision, old, d.Reasons[0].Msg)
				}
			}
		})
	}
	for i := range 20 {
		word := []string{"one", "two", "nonsense("}[i%3]
		write(t, dir, denying(`sprintf("%s `+word+`", [input.request.namespace])`)...)
		if word == "nonsense(" {
			write(t, dir, denying(word)...)
		}
		_ = e.Reload(context.Background())
	}
	close(stop)
	workers.Wait()
}
