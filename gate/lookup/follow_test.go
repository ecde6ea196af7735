package lookup

import (
	"context"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/gate/copies"
)

// longFeed is a feed with many changes of which none is after the newest.
type longFeed struct {
	gate.Reader
	copies  *copies.Copies
	newest  int64
	trimmed bool // the changes after the newest are gone once
	asked   []int64
}

func (f *longFeed) Copies() (*copies.Copies, bool) { return f.copies, false }

func (f *longFeed) Changes(_ context.Context, after int64, _ int) ([]gate.Change, int64, error) {
	f.asked = append(f.asked, after)
	if f.trimmed {
		f.trimmed, f.newest = false, f.newest+1000
		return nil, 0, gate.ErrConflict
	}
	return nil, after, nil
}

func (f *longFeed) Newest(context.Context) (int64, error) { return f.newest, nil }
func (f *longFeed) Changed() <-chan struct{}              { return nil }

// TestFollowBeginsAtTheEnd: a new process has no copies, and reads none of the changes that
// are there; nor does one that the feed has left behind, which drops its copies.
func TestFollowBeginsAtTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &longFeed{copies: copies.New(time.Now), newest: 300_000}
		c := NewRecordCopy(f, time.Minute, time.Now, nil, slog.New(slog.DiscardHandler))
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { c.Follow(ctx, f); close(done) }()
		keep := func() {
			d := sha(1)
			f.copies.KeepEntry(d, copies.Entry{Entry: gate.Entry{Record: gate.Record{Digest: d, Version: 1, Manifest: gate.Manifest{Digest: d, Kind: gate.KindImage}}}}, f.copies.EntryTurn(d))
			if f.copies.Entry(d) == nil {
				t.Fatal("nothing is kept")
			}
		}
		synctest.Wait()
		keep()
		time.Sleep(3 * followPoll)
		synctest.Wait()
		if len(f.asked) == 0 || f.copies.Entry(sha(1)) == nil {
			t.Errorf("asked after %d, copies %v", f.asked, f.copies.Entry(sha(1)))
		}
		for _, after := range f.asked {
			if after != 300_000 {
				t.Errorf("asked for the changes after %d", after)
			}
		}
		f.trimmed, f.asked = true, nil
		time.Sleep(3 * followPoll)
		synctest.Wait()
		if last := len(f.asked) - 1; last < 1 || f.asked[last] != 301_000 || f.copies.Entry(sha(1)) != nil {
			t.Errorf("trimmed: asked after %d, copies %v", f.asked, f.copies.Entry(sha(1)))
		}
		cancel()
		<-done
	})
}
