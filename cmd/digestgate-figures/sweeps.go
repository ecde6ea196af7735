package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/digestgate/digestgate/store/storetest/stock"
)

// What the server logs; docs/log.md lists it.
const (
	inUse        = "advisory data is in use"
	matchedAgain = "stored images matched again"
	rescanDone   = "scan task stopped"
	lookedAt     = "stored images looked at"
	rulesInForce = "policies activated"
)

// roles sweep and serve; nothing is analysed.
const roles = "admission, api, scheduler"

// shared is the server that several figures of a site use, after its first sweep.
func (b *bench) shared(ctx context.Context, s *site) (*server, error) {
	if s.server != nil {
		return s.server, nil
	}
	srv, err := s.serve(ctx, roles)
	if err != nil {
		return nil, err
	}
	if _, err := srv.idle(ctx); err != nil {
		srv.stop()
		return nil, err
	}
	s.server = srv
	return srv, nil
}

// verdicts is how many standing verdicts a site has.
func (s *site) verdicts() int {
	n := 0
	for i := range s.stock.Images() {
		n += len(s.stock.Locations(i))
	}
	return n
}

// settle lets a process evaluate everything, and then measures the rescan that a schedule
// starts: it leaves nothing out although nothing has changed.
func (b *bench) settle(ctx context.Context, s *site) error {
	began := time.Now()
	srv, err := s.serve(ctx, roles, "schedules:\n- {name: minutely, cron: \"* * * * *\", kind: match}\n")
	if err != nil {
		return err
	}
	defer srv.stop()
	// The sweep at the start may have seen a part only.
	whole := func(l line) bool { return l.msg == rescanDone && l.number("done") >= s.stock.Images() }
	first, err := srv.log.wait(ctx, 0, whole)
	if err != nil {
		return err
	}
	spent, n := srv.spent(), s.verdicts()
	b.table.add(fmt.Sprintf("start, and first sweeps until %d verdicts are evaluated", n), b.kind,
		fmt.Sprintf("%s of processor time, at most %s, %.0f verdicts a processor second", short(spent), short(first.at.Sub(began)), float64(n)/spent.Seconds()))
	if _, err := srv.idle(ctx); err != nil {
		return err
	}
	// The next one begins at a full minute.
	time.Sleep(time.Until(time.Now().Truncate(time.Minute).Add(time.Minute - 200*time.Millisecond)))
	mark, before := srv.log.mark(), srv.spent()
	wait := b.profile(srv, "settle", 10*time.Second)
	defer wait()
	var started time.Time
	for started.IsZero() {
		_, done := srv.log.find(mark, whole)
		if done || srv.spent()-before > 20*time.Millisecond {
			started = time.Now()
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(10 * time.Millisecond):
		}
	}
	done, err := srv.log.wait(ctx, mark, whole)
	if err != nil {
		return err
	}
	b.table.add(fmt.Sprintf("rescan of %d images by a schedule when nothing has changed", s.stock.Images()), b.kind,
		fmt.Sprintf("%s, %s of processor time", short(max(done.at.Sub(started), 0)), short(srv.spent()-before)))
	return nil
}

// periodic measures the sweep that every process makes every five minutes, when nothing has
// changed since the one before. It waits for two of them.
func (b *bench) periodic(ctx context.Context, s *site) error {
	s.logLevel = "debug" // such a sweep says nothing else
	defer func() { s.logLevel = "" }()
	srv, err := s.serve(ctx, roles)
	if err != nil {
		return err
	}
	defer srv.stop()
	n := s.stock.Images()
	skipped := func(l line) bool { return l.msg == lookedAt && l.number("skipped") >= n }
	if _, err := srv.log.wait(ctx, 0, skipped); err != nil {
		return err
	}
	b.say("a sweep has found nothing to do, waiting for the next")
	mark := srv.log.mark()
	spent := make(chan []reading, 1)
	watching, stop := context.WithCancel(ctx)
	go func() { spent <- watch(watching, srv) }()
	done, err := srv.log.wait(ctx, mark, skipped)
	time.Sleep(100 * time.Millisecond) // for the last reading
	stop()
	list := <-spent
	if err != nil {
		return err
	}
	took, _ := time.ParseDuration(fmt.Sprint(done.fields["duration"]))
	began, cost := done.at.Add(-took-50*time.Millisecond), time.Duration(0)
	for _, r := range list {
		if r.at.Before(began) {
			cost = r.spent
		}
	}
	b.table.add(fmt.Sprintf("periodic sweep of %d images when nothing has changed", n), b.kind,
		fmt.Sprintf("%s, %s of processor time", short(took), short(list[len(list)-1].spent-cost)))
	return nil
}

// reading is how much processor time a process had used.
type reading struct {
	at    time.Time
	spent time.Duration
}

// watch reads a server's processor time until ctx ends.
func watch(ctx context.Context, srv *server) (list []reading) {
	for {
		list = append(list, reading{time.Now(), srv.spent()})
		select {
		case <-ctx.Done():
			return list
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// newGeneration puts a generation in force and waits until it is swept for.
func (b *bench) newGeneration(ctx context.Context, s *site, srv *server, g stock.Generation) (wall, spent time.Duration, swept line, err error) {
	mark := srv.log.mark()
	if err := s.activate(g); err != nil {
		return 0, 0, line{}, err
	}
	loaded, err := srv.log.wait(ctx, mark, says(inUse))
	if err != nil {
		return 0, 0, line{}, err
	}
	before := srv.spent()
	wait := b.profile(srv, string(g), 40*time.Second)
	defer wait()
	swept, err = srv.log.wait(ctx, mark, says(matchedAgain))
	return swept.at.Sub(loaded.at), srv.spent() - before, swept, err
}

// difference measures new data that one image of five has something of.
func (b *bench) difference(ctx context.Context, s *site) error {
	srv, err := b.shared(ctx, s)
	if err != nil {
		return err
	}
	used, err := srv.used(ctx)
	if err != nil {
		return err
	}
	wall, spent, swept, err := b.newGeneration(ctx, s, srv, stock.TwoHundred)
	if err != nil {
		return err
	}
	after, err := srv.used(ctx)
	if err != nil {
		return err
	}
	packages, images := s.stock.Changed(stock.TwoHundred)
	// Nothing can have been pulled: no server has the name of the registries.
	b.table.add(fmt.Sprintf("new generation, %d changed packages that %d of %d images have", packages, len(images), s.stock.Images()), b.kind,
		fmt.Sprintf("last verdict after %s, %s of processor time, %d images matched, 0 bytes pulled, %d charges", short(wall), short(spent), swept.number("matched"), after-used))
	return b.proveNew(ctx, s, srv, images)
}

// used is how much of the quota is.
func (s *server) used(ctx context.Context) (int64, error) {
	var quota struct{ Used int64 }
	err := s.get(ctx, "/quota", &quota)
	return quota.Used, err
}

// proveNew looks whether images have the findings of the new data, and others have none.
func (b *bench) proveNew(ctx context.Context, s *site, srv *server, images []int) error {
	touched := map[int]bool{}
	for _, i := range images {
		touched[i] = true
	}
	step := max(s.stock.Images()/100, 1)
	if step%stock.Combinations == 0 || stock.Combinations%step == 0 {
		step++ // or all would be of one base and application
	}
	for i := 0; i < s.stock.Images(); i += step {
		var answer any
		if err := srv.get(ctx, "/images/"+string(s.stock.Digest(i))+"/findings", &answer); err != nil {
			return err
		}
		if got := strings.Contains(fmt.Sprint(answer), "CVE-2027-"); got != touched[i] {
			return fmt.Errorf("image %d has the findings of the new generation: %t, want %t", i, got, touched[i])
		}
	}
	return nil
}

// rematch measures new data that every image has something of.
func (b *bench) rematch(ctx context.Context, s *site) error {
	srv, err := b.shared(ctx, s)
	if err != nil {
		return err
	}
	wall, spent, swept, err := b.newGeneration(ctx, s, srv, stock.Everywhere)
	if err != nil {
		return err
	}
	n := swept.number("matched")
	b.table.add(fmt.Sprintf("full re-match of %d images", s.stock.Images()), b.kind,
		fmt.Sprintf("%.0f images a processor second (%d matched in %s, %s of processor time)", float64(n)/max(spent.Seconds(), 0.01), n, short(wall), short(spent)))
	if n < s.stock.Images() {
		return errors.New("fewer images were matched than there are: the figure above is not of all")
	}
	return nil
}

// rule is one that changes the reasons of every verdict, and no outcome that matters here.
const rule = `package digestgate

warn contains {"rule": "figures", "msg": "the rule of the figures has seen this image"} if {
	count(input.findings.vulnerabilities) > 0
}
`

// policy measures the sweep after a changed rule.
func (b *bench) policy(ctx context.Context, s *site) error {
	srv, err := b.shared(ctx, s)
	if err != nil {
		return err
	}
	mark := srv.log.mark()
	if err := os.WriteFile(filepath.Join(s.dir, "policies", "figures.rego"), []byte(rule), 0o644); err != nil {
		return err
	}
	changed, err := srv.log.wait(ctx, mark, says(rulesInForce))
	if err != nil {
		return err
	}
	before := srv.spent()
	wait := b.profile(srv, "policy", 10*time.Second)
	defer wait()
	// Silence alone does not say that the sweep is over: it may not have begun.
	var ended time.Time
	for all := false; !all; {
		if ended, err = srv.idle(ctx); err != nil {
			return err
		}
		if all, err = srv.evaluated(ctx, s); err != nil {
			return err
		}
	}
	spent, n := srv.spent()-before, s.verdicts()
	b.table.add(fmt.Sprintf("policy change over %d images", s.stock.Images()), b.kind,
		fmt.Sprintf("%.0f verdicts a processor second (%d in %s, %s of processor time)", float64(n)/max(spent.Seconds(), 0.01), n, short(ended.Sub(changed.at)), short(spent)))
	return nil
}

// evaluated reports whether the new rule has seen each of some images.
func (s *server) evaluated(ctx context.Context, site *site) (bool, error) {
	for i := 0; i < site.stock.Images(); i += max(site.stock.Images()/50, 1) {
		var answer any
		if err := s.get(ctx, "/images/"+string(site.stock.Digest(i)), &answer); err != nil {
			return false, err
		}
		if !strings.Contains(fmt.Sprint(answer), "the rule of the figures") {
			return false, nil
		}
	}
	return true, nil
}
