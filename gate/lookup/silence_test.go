package lookup

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/digestgate/digestgate/gate"
)

func TestSilences(t *testing.T) {
	var s silences
	now := time.Unix(1_790_000_000, 0)
	expect := func(what, registry string, want bool) {
		t.Helper()
		if got := s.remembered(registry, now); got != want {
			t.Errorf("%s: remembered %t, want %t", what, got, want)
		}
	}
	expect("nothing is known", "hub", false)
	began := now
	now = now.Add(7 * time.Second)
	s.silent("hub", began, now)
	for range 3 {
		expect("it did not answer", "hub", true)
	}
	expect("another registry", "other", false)
	now = now.Add(silentFor - time.Second)
	expect("nine seconds later", "hub", true)
	now = now.Add(time.Second)
	expect("ten seconds later one asks", "hub", false)
	expect("and the others do not wait meanwhile", "hub", true)
	s.answered("hub", now)
	expect("it has answered", "hub", false)
	s.silent("hub", now.Add(-time.Second), now.Add(time.Second))
	expect("a question that began before the answer", "hub", false)
	s.silent("hub", now.Add(time.Second), now.Add(8*time.Second))
	expect("a question that began after the answer", "hub", true)
}

func TestSilences_calls(t *testing.T) {
	var s silences
	var ends []func()
	for range maxTagCalls {
		end, err := s.call(t.Context(), "hub")
		if err != nil {
			t.Fatal(err)
		}
		ends = append(ends, end)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.call(ctx, "hub"); !errors.Is(err, gate.ErrTimeout) {
		t.Errorf("one call too many: got %v, want ErrTimeout", err)
	}
	if _, err := s.call(t.Context(), "other"); err != nil {
		t.Errorf("another registry: %v", err)
	}
	ends[0]()
	if _, err := s.call(t.Context(), "hub"); err != nil {
		t.Errorf("after one has ended: %v", err)
	}
}
