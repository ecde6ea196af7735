package gate_test

import (
	"context"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/gate/lookup"
)

// TestOutageDoesNotBringBackWhatWasKnownLongAgo: an image that is admitted in
// the morning, refused by new advisories at noon and not asked for in between
// stays refused when the store is away in the afternoon.
func TestOutageDoesNotBringBackWhatWasKnownLongAgo(t *testing.T) {
	s := newSite(t, month(0))
	reader := &failingReader{Reader: s.store}
	records := lookup.NewRecordCopy(reader, 5*time.Minute, s.clock.Now, nil, slog.New(slog.DiscardHandler))
	l := s.lookupOn(records, s.store, lookup.Options{TagMaxAge: time.Hour}, nil)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	d, other := s.push("team/app", "v1", 1), s.push("team/app", "v2", 2)
	s.event("team/app", "v1", d)
	s.event("team/app", "v2", other)
	s.work()
	image, tagged := s.at("team/app", "@"+string(d)), s.at("team/app", ":v1")
	for _, ref := range []string{image, tagged} {
		if a := s.ask(l, ref); !a.Permits() {
			t.Fatalf("in the morning: got %+v", a)
		}
	}
	feed := &drained{feed: s.store, done: make(chan struct{})}
	s.matcher.bad[d] = gate.SeverityCritical
	s.matcher.activate(2)
	if _, err := s.sweeper(listed{d, other}).Rematch(s.ctx); err != nil {
		t.Fatal(err)
	}
	if err := s.store.MarkDirty(s.ctx, gate.TagKey{Location: gate.Location{Registry: hub, Repository: "team/app"}, Tag: "v1"}); err != nil {
		t.Fatal(err)
	}
	go records.Follow(ctx, feed)
	<-feed.done
	s.ask(l, s.at("team/app", "@"+string(other))) // the last contact
	reader.down = true
	if a := s.ask(l, image); a.Permits() {
		t.Errorf("store away: got %+v, want the refusal of noon", a)
	}
	if a := s.ask(l, tagged); a.Permits() {
		t.Errorf("store away, tag dirty: got %+v, want a refusal", a)
	}
	if a := s.ask(l, s.at("team/app", "@"+string(other))); !a.Permits() {
		t.Errorf("store away, clean image: got %+v, want an allow", a)
	}
}

// drained tells when the feed was read to its end.
type drained struct {
	feed lookup.Changes
	once sync.Once
	done chan struct{}
}

func (f *drained) Changes(ctx context.Context, after int64, limit int) ([]gate.Change, int64, error) {
	changes, next, err := f.feed.Changes(ctx, after, limit)
	if err == nil && next == after {
		f.once.Do(func() { close(f.done) })
	}
	return changes, next, err
}

func (f *drained) Changed() <-chan struct{} { return f.feed.Changed() }

func (f *drained) Newest(ctx context.Context) (int64, error) { return f.feed.Newest(ctx) }
