package advisory

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/gate/agree"
)

// outcome is what an attempt found.
type outcome struct {
	served  time.Time   // see refreshState
	settled gate.Digest // likewise
	sources map[string]sourceState
	offered *gate.OfferedAdvisories
	unasked bool       // the repositories of the database were not asked
	java    *javaState // nil: those of the index of Java archives were not
}

// offer is what one attempt has to know to judge what repositories offer.
type offer struct {
	r      *Refresher
	orders orders
	now    time.Time
	former *Database // in force, with its files; nil for none
	active agree.Activation
	any    bool // something is in force

	candidate *Database
	refused   []BucketFinding
	old       bool // what is offered is not newer than what was gone back from
	outcome
}

// refresh asks the repositories once and puts what they offer in force. An error says
// why nothing newer is; what is in force stays.
func (r *Refresher) refresh(ctx context.Context, st refreshState, o orders, now time.Time) (outcome, error) {
	if r.composes() {
		return r.refreshComposed(ctx, st, o, now)
	}
	f := &offer{r: r, orders: o, now: now}
	var err error
	if f.active, f.any, err = r.Manager.member.Active(ctx); err != nil {
		return f.outcome, err
	}
	if f.any {
		f.former = r.Manager.kept(ctx, f.active.Content)
	}
	settled := st.Settled
	if settled == "" && f.any && o.RolledBack == nil {
		settled = manifestDigest(manifestOf(f.active).origin())
	}
	again := !o.Asked.Equal(st.Served)
	if f.former == nil || o.acceptedAt().After(st.Served) {
		settled = ""
	}
	d, err := r.Mirrors.Fetch(ctx, MirrorRequest{Settled: settled, Again: again, Accept: f.accept})
	switch {
	case err != nil && f.old && errors.Is(err, gate.ErrInvalid):
		return f.outcome, nil // as the person who went back wants it
	case err != nil:
		return f.outcome, err
	case d == nil:
		return f.outcome, st.stillRefused()
	}
	defer d.Discard()
	return f.outcome, f.putInForce(ctx, *d)
}

// stillRefused repeats why what is offered was refused.
func (st refreshState) stillRefused() error {
	if st.Offered == nil || st.Offered.Refused == "" {
		return nil
	}
	return fmt.Errorf("%s: %w", st.Offered.Refused, gate.ErrInvalid)
}

// accept judges a download. gate.ErrInvalid: nothing of it is taken.
func (f *offer) accept(ctx context.Context, d Download) error {
	f.candidate, f.refused, f.old = nil, nil, false
	db, err := Inspect(ctx, d.Dir, f.r.Manager.now())
	if err == nil {
		db.Manifest.Sources[0].From = d.from()
		err = f.judge(db, d)
	}
	f.offered = &gate.OfferedAdvisories{From: d.from()}
	if db != nil {
		f.offered.Content, f.offered.UpdatedAt = db.Content, db.UpdatedAt
	}
	if err != nil {
		if errors.Is(err, gate.ErrInvalid) {
			f.settled = d.Manifest
			f.offered.Refused = gate.Printable(strings.TrimSuffix(err.Error(), ": "+gate.ErrInvalid.Error()), 500)
		}
		return err
	}
	f.candidate = db
	return nil
}

func (f *offer) judge(db *Database, d Download) error {
	whole := f.orders.accepts(f.now, string(db.Content), string(d.Manifest))
	if back := f.orders.RolledBack; back != nil && !db.UpdatedAt.After(back.UpdatedAt) && !whole {
		f.old = true
		return fmt.Errorf("the data of %s is not newer than generation %d, from which %s went back: it waits for newer data, or for \"digestgate advisories accept %s\": %w",
			db.UpdatedAt.Format(time.RFC3339), back.Number, back.By, db.Content, gate.ErrInvalid)
	}
	j := Judge(db, f.former, Rules{Own: d.Own, Accepted: func(bucket string) bool { return whole || f.orders.accepts(f.now, bucket) }})
	if j.Whole != nil && !whole {
		return j.Whole
	}
	f.refused = j.Buckets
	return nil
}

// putInForce composes what was accepted, keeps it, and has all processes use it.
func (f *offer) putInForce(ctx context.Context, d Download) error {
	m := f.r.Manager
	db := f.candidate
	if len(f.refused) > 0 && f.former != nil {
		var err error
		if db, err = compose(ctx, db, f.former, f.refused); err != nil {
			return err
		}
		_, f.offered.Buckets = db.Manifest.views()
		for _, h := range db.Manifest.Held {
			m.log.Warn("a part of the newer advisory data is refused, its former rows stay", "bucket", h.Bucket, "reason", h.Reason, "updatedAt", h.UpdatedAt)
		}
	}
	if java := manifestOf(f.active).Java; f.any && java != nil && m.copies.javaPresent(java) {
		db.join(java) // it stays until there is a newer one
	}
	release := m.copies.hold(db.Manifest.Digest().Hex())
	defer release()
	kept, err := m.copies.keep(ctx, db)
	if err != nil {
		return err
	}
	if err := f.r.activate(ctx, kept, f.active, f.any, d.from()); err != nil {
		return err
	}
	f.settled = d.Manifest
	return nil
}

// activate puts a kept generation in force in the place of former, if any is, and takes it
// into use here. gate.ErrConflict: another one came into force meanwhile.
func (r *Refresher) activate(ctx context.Context, kept *Database, former agree.Activation, any bool, origin string) error {
	m := r.Manager
	if err := r.tellKept(ctx); err != nil { // so that others find it here at once
		m.log.Debug("looking at the state of advisory data", "error", err)
	}
	next := *kept
	next.changedFrom(m.inUse(former.Content))
	kept = &next
	m.copies.at("activate")
	now, activated, err := m.member.Activate(ctx, *kept.content(), m.member.Memory().Seen, func(is agree.Activation, ok bool) bool {
		return ok == any && is.Number == former.Number
	})
	if err != nil {
		return err
	}
	if now.Content != kept.Content {
		return errMeanwhile(now.Number)
	}
	if activated {
		m.log.Info("advisory data activated", "generation", now.Number, "content", now.Content.Short(), "former", former.Number, "origin", origin)
	}
	m.Follow(ctx)
	return nil
}

// manifestDigest is the digest in REPOSITORY@DIGEST, "" when there is none.
func manifestDigest(from string) gate.Digest {
	_, digest, _ := strings.Cut(from, "@")
	return gate.Digest(digest)
}
