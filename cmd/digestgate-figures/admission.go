package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/digestgate/digestgate/store/storetest/stock"
)

// rounds is how often both servers take turns.
const rounds = 3

// memory measures a process that serves admission only, and what it remembers of what
// it was asked for.
func (b *bench) memory(ctx context.Context, s *site) error {
	srv, err := s.serve(ctx, "admission")
	if err != nil {
		return err
	}
	defer srv.stop()
	if _, err := srv.idle(ctx); err != nil {
		return err
	}
	row := func(name, profile string) error {
		resident := srv.resident()
		if err := b.sayMemory(ctx, srv, resident); err != nil {
			return err
		}
		heap, err := srv.heap(ctx, b.profileFile(profile))
		b.table.add(name, b.kind, fmt.Sprintf("%.0f MB resident: %.0f MB of its own, %.0f MB in use on the heap, and %.0f MB of files",
			resident.own+resident.files, resident.own, heap/1e6, resident.files))
		return err
	}
	if err := row("memory of an admission replica, idle", "idle-heap"); err != nil {
		return err
	}
	ours := newTarget(srv, srv.addresses[listenAdmission], srv.process)
	asked := ours.once(ctx, reviews(s.stock, b.asked))
	b.say("asked for %d images: %v", b.asked, asked.answers)
	return row(fmt.Sprintf("memory of an admission replica, %d images asked for", b.asked), "asked-heap")
}

// sayMemory says what the memory of a server's own consists of, before a collection.
func (b *bench) sayMemory(ctx context.Context, srv *server, r residence) error {
	of := map[string]float64{}
	for _, name := range []string{"heap_inuse", "heap_idle", "heap_released", "stack_inuse", "sys"} {
		n, err := srv.metric(ctx, "go_memstats_"+name+"_bytes", "")
		if err != nil {
			return err
		}
		of[name] = n / 1e6
	}
	held := of["sys"] - of["heap_released"] // of Go, including what it has reserved and not touched
	b.say("own memory %.0f MB: %.0f on the heap, %.0f free and not given back, %.0f of stacks, %.0f or more of SQLite and others",
		r.own, of["heap_inuse"], of["heap_idle"]-of["heap_released"], of["stack_inuse"], max(0, r.own-held))
	return nil
}

// heap is what is in use on the heap after a collection. What it consists of is written
// to a file, unless that is "".
func (s *server) heap(ctx context.Context, file string) (float64, error) {
	resp, err := s.client.Get("http://" + s.addresses[listenDebug] + "/debug/pprof/heap?gc=1")
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	profile, err := io.ReadAll(resp.Body)
	if err == nil && file != "" {
		err = os.WriteFile(file, profile, 0o644)
	}
	if err != nil {
		return 0, err
	}
	return s.metric(ctx, "go_memstats_heap_inuse_bytes", "")
}

// pair are both servers that reviews are sent to in turns.
type pair struct {
	ours, theirs *target
	stop         func()
}

// newPair starts the always-allow server beside one of ours.
func (b *bench) newPair(srv *server) (*pair, error) {
	dir := filepath.Join(b.dir, "always-allow")
	if err := os.RemoveAll(dir); err != nil {
		return nil, err
	}
	// The same authority, so that clients and handshakes are the same.
	if err := os.CopyFS(filepath.Join(dir, "tls"), os.DirFS(filepath.Join(srv.dir, "tls"))); err != nil {
		return nil, err
	}
	p, address, err := startAlwaysAllow(dir)
	if err != nil {
		return nil, err
	}
	theirs := newTarget(srv, address, p)
	theirs.always = true
	return &pair{newTarget(srv, srv.addresses[listenAdmission], srv.process), theirs, p.stop}, nil
}

// reviews sends reviews at a fixed rate to a warm server, in turns with the other one.
func (b *bench) reviews(ctx context.Context, s *site) error {
	srv, err := b.shared(ctx, s)
	if err != nil {
		return err
	}
	both, err := b.newPair(srv)
	if err != nil {
		return err
	}
	defer both.stop()
	bodies := reviews(s.stock, b.asked)
	cold := both.ours.once(ctx, bodies)
	b.say("asked for for the first time: %v", cold.answers)
	b.table.add(fmt.Sprintf("reviews of 3 images over TLS, %d asked for for the first time", b.asked), b.kind, saturated(cold))
	both.theirs.once(ctx, bodies)
	warm := both.ours.once(ctx, bodies)
	b.table.add("reviews of 3 images over TLS, 8 callers without a pause", b.kind, saturated(warm))
	var ours, theirs outcome
	wait := b.profile(srv, "reviews", b.length)
	for k := range rounds {
		theirs.add(both.theirs.atRate(ctx, bodies, b.rate, b.length/rounds, k*b.rate))
		ours.add(both.ours.atRate(ctx, bodies, b.rate, b.length/rounds, k*b.rate))
	}
	wait()
	b.say("at %d/s: %v", b.rate, ours.answers)
	b.table.add(fmt.Sprintf("reviews of 3 images over TLS at %d/s, %d of %d images asked for", b.rate, b.asked, b.images), b.kind, compared(ours, theirs))
	return nil
}

// saturated is the cell of reviews that were sent as fast as they were answered.
func saturated(o outcome) string {
	n := total(o)
	return fmt.Sprintf("%.0f/s, %s of processor time a review, %d of %d refused", float64(n)/o.length.Seconds(), short(o.spent/time.Duration(max(n, 1))), o.refused(), n)
}

// reviewsSwept does the same from the moment at which new data comes into use.
func (b *bench) reviewsSwept(ctx context.Context, s *site) error {
	srv, err := b.shared(ctx, s)
	if err != nil {
		return err
	}
	both, err := b.newPair(srv)
	if err != nil {
		return err
	}
	defer both.stop()
	bodies := reviews(s.stock, b.asked)
	both.ours.once(ctx, bodies)
	mark := srv.log.mark()
	if err := s.activate(stock.OnePercent); err != nil {
		return err
	}
	var ours, theirs outcome
	const turn = 3 * time.Second
	loaded, swept := false, false
	wait := func() {}
	for k := 0; ours.length < b.length && !swept && ctx.Err() == nil; k++ {
		o := both.ours.atRate(ctx, bodies, b.rate, turn, k*b.rate)
		if !loaded {
			if _, loaded = srv.log.find(mark, says(inUse)); !loaded {
				continue
			}
			wait = b.profile(srv, "reviews-swept", b.length)
		}
		ours.add(o)
		_, swept = srv.log.find(mark, says(matchedAgain))
		if !swept {
			theirs.add(both.theirs.atRate(ctx, bodies, b.rate, turn, k*b.rate))
		}
	}
	wait()
	if theirs.length == 0 { // the sweep was over within one turn
		theirs.add(both.theirs.atRate(ctx, bodies, b.rate, turn, 0))
	}
	b.say("while swept: %v", ours.answers)
	packages, images := s.stock.Changed(stock.OnePercent)
	cell := compared(ours, theirs)
	if l, ok := srv.log.find(mark, says(matchedAgain)); ok {
		cell += fmt.Sprintf("; the sweep was over after %v", l.fields["duration"])
	}
	b.table.add(fmt.Sprintf("the same while a generation is swept with 1 %% changed packages (%d, which %d images have)", packages, len(images)), b.kind, cell)
	return nil
}
