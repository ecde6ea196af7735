package main

import (
	"context"
	"errors"
	"fmt"
	"syscall"
	"time"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/store"
)

// keepers are the records of a store, of which the history can be left out: no entry is
// written with findings, and none is read to learn when a finding was first seen. Entries
// of verdicts, which the store makes itself, stay.
type keepers struct {
	store.Store
	without bool
}

// PutFindings implements standing.Records.
func (k *keepers) PutFindings(ctx context.Context, f *gate.Findings, replaces string) (gate.Written, error) {
	if k.without {
		bare := *f
		bare.Change, f = nil, &bare
	}
	return k.Store.PutFindings(ctx, f, replaces)
}

// History implements standing.Records.
func (k *keepers) History(ctx context.Context, d gate.Digest, q gate.HistoryQuery) ([]gate.HistoryEntry, error) {
	if k.without {
		return nil, nil
	}
	return k.Store.History(ctx, d, q)
}

// historyCost measures what the history adds to sweeps that change findings: of two days
// one is swept with it and one without, in this process, in an order that turns around
// every two days, because no two days' advisories are the same.
func (b *bench) historyCost(ctx context.Context, _ *site) (err error) {
	in, days, err := b.begin(ctx, b.images)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, in.close()) }()
	var spent [2]time.Duration
	var matched [2]int
	for day := range b.days + 1 {
		if err := days.turn(ctx, in, day); err != nil {
			return err
		}
		if _, err := in.data.Refresh(ctx); err != nil {
			return err
		}
		if err := in.ready(ctx); err != nil {
			return err
		}
		without := (day/2+day)%2 == 1
		in.records.without = without
		before, had := in.spent(), in.matched
		if err := in.rematch(ctx); err != nil {
			return err
		}
		if day == 0 {
			continue // it settles what was stored
		}
		k := 0
		if without {
			k = 1
		}
		spent[k] += in.spent() - before
		matched[k] += in.matched - had
	}
	var each [2]float64
	for k := range each {
		if matched[k] == 0 {
			return errors.New("no image was matched")
		}
		each[k] = spent[k].Seconds() * 1e3 / float64(matched[k])
	}
	b.table.add(fmt.Sprintf("history in a sweep that changes findings, %d images, %d days", b.images, b.days), b.kind,
		fmt.Sprintf("%.2f ms of processor time an image with it (%d images), %.2f ms without (%d): %+.1f %%",
			each[0], matched[0], each[1], matched[1], 100*(each[0]/each[1]-1)))
	return nil
}

// spent is the processor time of this process and of the store's.
func (in *installation) spent() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u) // it cannot fail for this process
	own := time.Duration(u.Utime.Nano() + u.Stime.Nano())
	if in.site.redis != nil {
		own += in.site.redis.spent()
	}
	return own
}
