package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"

	"github.com/digestgate/digestgate/policy"
	"github.com/digestgate/digestgate/scanner/advisory"
	"github.com/digestgate/digestgate/store"
	"github.com/digestgate/digestgate/store/redis"
	"github.com/digestgate/digestgate/store/sqlite"
	"github.com/digestgate/digestgate/store/storetest/stock"
)

// growth measures what each record takes after many days of an installation in which no
// image comes and none goes. Days pass by the clock that is given to every part; see
// [installation] for what happens on each. Two stores of different sizes tell records that
// grow with the images from those that do not.
func (b *bench) growth(ctx context.Context, _ *site) error {
	var grown [2]grownTo
	for k, n := range []int{b.images / 2, b.images} {
		var err error
		if grown[k], err = b.grow(ctx, n); err != nil {
			return fmt.Errorf("with %d images: %w", n, err)
		}
	}
	half, whole := grown[0], grown[1]
	b.table.add("a day changes the findings of", b.kind, fmt.Sprintf("%.0f %% of the images; after %d days an image has %.1f entries of its history on average, and a verdict of it has turned from or to deny %.1f times",
		100*whole.matched/float64(b.days*whole.images), b.days, whole.entries/float64(whole.images), whole.flips/float64(whole.images)))
	for _, r := range append(records(), record{name: rest}) {
		name := r.name
		from, small, large := whole.first[name], half.last[name], whole.last[name]
		cell := fmt.Sprintf("%s and %s as stored", bytesText(float64(from)), bytesText(float64(large)))
		// Twice the images take twice the bytes, or as many. Whole pages of SQLite hide it in
		// small tables, of which it is known.
		growth, kept := float64(large)/max(float64(small), 1), "does not grow with the images"
		if growth > 1.5 || r.name == jobs || strings.Contains(r.count, image) {
			scale := 100_000 / float64(whole.images)
			cell = fmt.Sprintf("%s, %s after %d days", bytesText(float64(from)*scale), bytesText(float64(large)*scale), b.days)
			kept = fmt.Sprintf("%.0f B an image", float64(large)/float64(whole.images))
		}
		b.table.add(name, b.kind, fmt.Sprintf("%s (%s; ×%.2f for twice the images)", cell, kept, growth))
	}
	return nil
}

// claimsForgotten is longer than Redis keeps the answer of a claim for its repeat.
const claimsForgotten = 65 * time.Second

// grownTo is what a store had at first and at last.
type grownTo struct {
	images                  int
	first, last             sizes
	matched, entries, flips float64
}

// bytesText are bytes for people.
func bytesText(n float64) string {
	switch {
	case math.Abs(n) >= 1e9:
		return fmt.Sprintf("%.2f GB", n/1e9)
	case math.Abs(n) >= 1e6:
		return fmt.Sprintf("%.1f MB", n/1e6)
	case math.Abs(n) >= 1e3:
		return fmt.Sprintf("%.1f kB", n/1e3)
	}
	return fmt.Sprintf("%.0f B", n)
}

// simulated is a clock that is put forward by days and runs as usual in between.
type simulated struct{ ahead atomic.Int64 }

// Now is the simulated time.
func (c *simulated) Now() time.Time { return time.Now().Add(time.Duration(c.ahead.Load())).UTC() }

// set puts the clock to a time; it never goes back.
func (c *simulated) set(t time.Time) {
	if d := t.Sub(c.Now()); d > 0 {
		c.ahead.Add(int64(d))
	}
}

// firstDay is when the simulated days begin: the last of them must have passed, because no
// database is of the future.
var firstDay = time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)

// grow lets a store of n images live for the days.
func (b *bench) grow(ctx context.Context, n int) (g grownTo, err error) {
	in, days, err := b.begin(ctx, n)
	if err != nil {
		return g, err
	}
	defer func() { err = errors.Join(err, in.close()) }()
	g.images = n
	for day := range b.days + 1 {
		if err := days.turn(ctx, in, day); err != nil {
			return g, err
		}
		if err := in.live(ctx, day); err != nil {
			return g, fmt.Errorf("on day %d: %w", day, err)
		}
		if day == 0 {
			in.matched = 0 // the first sweep settles what was stored
			if g.first, err = in.site.measured(ctx); err != nil {
				return g, err
			}
		}
		if day%10 == 0 {
			b.say("%d images, day %d: %d images matched again since the first, %d messages", n, day, in.matched, in.messages.Load())
		}
	}
	g.matched = float64(in.matched)
	if g.entries, g.flips, err = in.histories(ctx); err != nil {
		return g, err
	}
	if in.site.redis != nil { // what was claimed in days of seconds goes in real time, see {P}:claimed:NONCE
		time.Sleep(claimsForgotten)
	}
	g.last, err = in.site.measured(ctx)
	return g, err
}

// begin makes an installation of n images on the first day.
func (b *bench) begin(ctx context.Context, n int) (_ *installation, _ *databases, err error) {
	clock := new(simulated)
	clock.ahead.Store(int64(time.Until(firstDay)))
	// All sizes are of one stock, so that the same advisories are for each.
	s := &site{dir: filepath.Join(b.dir, fmt.Sprint("days-of-", n)), out: b.out, stock: stock.New(stock.Options{Images: b.images, Seed: b.seed, Now: firstDay})}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.close())
		}
	}()
	if err := os.MkdirAll(filepath.Join(s.dir, "data"), 0o700); err != nil {
		return nil, nil, err
	}
	if _, err := policy.WriteStarter(filepath.Join(s.dir, "policies")); err != nil {
		return nil, nil, err
	}
	if err := s.openStore(ctx, b.kind); err != nil {
		return nil, nil, err
	}
	days := &databases{dir: filepath.Join(filepath.Dir(b.dir), "days"), stock: s.stock}
	if b.filled != "" {
		days.dir = filepath.Join(b.filled, fmt.Sprintf("days-%d-%d", b.images, b.seed))
	}
	if err := days.put(ctx, s, 0); err != nil {
		return nil, nil, err
	}
	st, err := s.openWith(ctx, clock.Now, feedOf(b.kind, n))
	if err != nil {
		return nil, nil, err
	}
	in, err := install(ctx, s, st, clock, n)
	return in, days, err
}

// feedOf is how many changes the feed of n images keeps, so that it has the share of what
// the default keeps for 100,000.
func feedOf(kind string, n int) int64 {
	keeps := int64(sqlite.DefaultFeed)
	if kind == "redis" {
		keeps = redis.DefaultFeed
	}
	return max(keeps*int64(n)/100_000, 1)
}

// openWith opens the store with a clock and a length of its feed.
func (s *site) openWith(ctx context.Context, clock func() time.Time, feed int64) (store.Store, error) {
	log := slog.New(slog.DiscardHandler)
	if s.redis != nil {
		return redis.Open(ctx, s.store, redis.Options{Logger: log, Clock: clock, FeedRetention: feed})
	}
	return sqlite.Open(ctx, filepath.Join(s.dir, "data", "digestgate.db"), sqlite.Options{Logger: log, Clock: clock, FeedRetention: feed})
}

// databases are those of the days, each built when it is first wanted; both stores and
// both sizes use the same, since the advisories do not depend on how many images there are.
type databases struct {
	dir   string
	stock *stock.Stock
}

// turn makes it the noon of a day, whose advisories come into force at the next look.
func (d *databases) turn(ctx context.Context, in *installation, day int) error {
	in.clock.set(firstDay.Add(time.Duration(day) * 24 * time.Hour))
	return d.put(ctx, in.site, day)
}

// put makes the database of a day the data that the site watches.
func (d *databases) put(ctx context.Context, s *site, day int) error {
	g := stock.First
	if day > 0 {
		g = stock.Day(day)
	}
	out := filepath.Join(d.dir, string(g))
	if _, err := os.Stat(out); err != nil {
		part := fmt.Sprintf("%s.part-%d", out, os.Getpid()) // of several runs that keep them in one place
		sources := part + "-sources"
		if err := d.stock.WriteSources(sources, g); err != nil {
			return err
		}
		if _, err := advisory.Build(ctx, advisory.BuildOptions{From: os.DirFS(sources), Out: part, UpdatedAt: firstDay.Add(time.Duration(day)*24*time.Hour - time.Hour)}); err != nil {
			return err
		}
		if err := os.RemoveAll(sources); err != nil {
			return err
		}
		if err := os.Rename(part, out); err != nil && !errors.Is(err, os.ErrExist) {
			return err
		}
	}
	link := filepath.Join(s.dir, "advisories")
	if err := os.Symlink(out, link+".new"); err != nil {
		return err
	}
	return os.Rename(link+".new", link)
}
