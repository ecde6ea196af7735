package redis_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/store"
	"github.com/digestgate/digestgate/store/redis"
	"github.com/digestgate/digestgate/store/storetest"
)

// lifePlace is where the digests of liveWhole are.
var lifePlace = gate.Location{Registry: "harbor", Repository: "library/app"}

func lifeDigest(name string) gate.Digest {
	sum := sha256.Sum256([]byte(name))
	return gate.Digest("sha256:" + hex.EncodeToString(sum[:]))
}

// liveWhole does some of everything that a store can do, so that every kind of
// key is made and every command sent: it queues a resolve for each of tags, and
// leaves a job in each state behind. Jobs must be kept for less than two minutes;
// pass lets time pass for the store. It stops at the first error.
func liveWhole(ctx context.Context, s *redis.Store, tags int, pass func(time.Duration)) error {
	for i := range tags {
		req := gate.JobRequest{Kind: gate.JobResolve, Location: lifePlace, Tag: fmt.Sprint("v", i), Trigger: gate.TriggerSync}
		if _, _, err := s.Enqueue(ctx, req); err != nil {
			return err
		}
	}
	if err := liveScheduler(ctx, s, pass); err != nil {
		return err
	}
	for _, step := range []func(context.Context, *redis.Store) error{liveRecord, liveTags, liveFeed} {
		if err := step(ctx, s); err != nil {
			return err
		}
	}
	return nil
}

// liveScheduler runs four analyses, of which one is done, one waits, one fails
// without a charge and one goes on; parks one that has waited behind them, and
// cancels one.
func liveScheduler(ctx context.Context, s *redis.Store, pass func(time.Duration)) error {
	ask := func(name string, trigger gate.Trigger) (gate.Job, error) {
		job, _, err := s.Enqueue(ctx, gate.JobRequest{Kind: gate.JobAnalyze, Location: lifePlace, Digest: lifeDigest(name), Trigger: trigger})
		if err == nil {
			_, err = s.Jobs(ctx, []string{job.ID})
		}
		return job, err
	}
	claim := func(limits gate.Limits, quota int64) (gate.Job, error) {
		return s.Claim(ctx, gate.ClaimRequest{
			Worker: "w", Kinds: []gate.JobKind{gate.JobAnalyze}, Lease: time.Hour, Period: gate.Period{Key: "2026-11", Limit: quota},
			Registries: map[string]gate.Limits{lifePlace.Registry: limits},
		})
	}
	if _, err := ask("parked", gate.TriggerRescan); err != nil {
		return err
	}
	for _, run := range []struct {
		name   string
		result *gate.Result
	}{
		{"done", &gate.Result{}}, {"waits", &gate.Result{Err: gate.ErrRegistryUnavailable, After: 10 * time.Hour}},
		{"fails", &gate.Result{Err: gate.ErrScanFailed, Final: true}}, {"runs", nil},
	} {
		_, asked := ask(run.name, gate.TriggerAPI)
		job, claimed := claim(gate.Limits{Concurrency: 100, PullsPerHour: 100}, 0)
		if err := errors.Join(asked, claimed); err != nil {
			return err
		}
		_, err := s.Heartbeat(ctx, job.Lease(), time.Hour, gate.Progress{LayersDone: 1})
		if run.name != "fails" {
			err = errors.Join(err, s.Serve(ctx, job.Lease()))
		}
		if err == nil && run.result != nil {
			_, err = s.Finish(ctx, job.Lease(), *run.result)
		}
		if err != nil {
			return err
		}
	}
	pass(2 * time.Minute)                                        // what is done may be removed
	for _, limits := range []gate.Limits{{Concurrency: 1}, {}} { // the registry is busy; the quota is used up
		if _, err := claim(limits, 3+int64(limits.Concurrency)); !errors.Is(err, gate.ErrNoJob) {
			return fmt.Errorf("claiming over a limit: %w", err)
		}
	}
	job, asked := ask("cancelled", gate.TriggerAPI)
	_, cancelled := s.Cancel(ctx, job.ID)
	_, again := ask("cancelled", gate.TriggerAPI)
	return errors.Join(asked, cancelled, again, liveCharges(ctx, s))
}

func liveCharges(ctx context.Context, s *redis.Store) error {
	_, restored := s.Restore(ctx, lifeDigest("restored"), "2026-10", time.Date(2026, 10, 1, 0, 0, 0, 0, time.UTC))
	_, charged := s.Charged(ctx, lifeDigest("restored"))
	_, quota := s.Quota(ctx, "2026-11")
	_, spent := s.Spend(ctx, "admission/default", 60, time.Hour)
	return errors.Join(restored, charged, quota, spent, s.Avoid(ctx, "2026-11", 2))
}

func liveRecord(ctx context.Context, s *redis.Store) error {
	d := lifeDigest("done")
	_, err := s.AddLocation(ctx, d, lifePlace)
	err = errors.Join(err, s.Fence(ctx, d, 7),
		s.PutManifest(ctx, gate.Manifest{Digest: d, Kind: gate.KindImage}),
		storetest.PutInventory(ctx, s, 7, &gate.Inventory{Format: gate.InventoryFormat, Digest: d, AnalyzerSet: "set"}))
	res, readErr := s.Read(ctx, gate.ReadRequest{Digests: []gate.Digest{d}, Tags: []gate.TagKey{{Location: lifePlace, Tag: "v1"}}})
	if err = errors.Join(err, readErr); err != nil {
		return err
	}
	id := res.Digests[d].Record.InventoryID
	err = storetest.PutFindings(ctx, s, &gate.Findings{Digest: d, InventoryID: id, Generation: 1})
	_, inventory := s.Admission().Inventory(ctx, d)
	_, findings := s.Findings(ctx, d)
	verdict := gate.Verdict{Location: lifePlace, Decision: gate.Decision{Outcome: gate.OutcomeAllow}}
	return errors.Join(err, inventory, findings, storetest.PutVerdicts(ctx, s, d, []gate.Verdict{verdict}), s.MarkGone(ctx, d, lifePlace))
}

func liveTags(ctx context.Context, s *redis.Store) error {
	key := gate.TagKey{Location: lifePlace, Tag: "v1"}
	now, err := s.Now(ctx)
	_, put := s.PutTag(ctx, key, lifeDigest("done"), now, "")
	_, setting := s.PutSetting(ctx, "life", []byte("x"), 0)
	_, version, read := s.Setting(ctx, "life")
	_, again := s.PutSetting(ctx, "life", []byte("y"), version)
	return errors.Join(err, put, s.MarkDirty(ctx, key), setting, read, again, s.Check(ctx))
}

func liveFeed(ctx context.Context, s *redis.Store) error {
	seq, err := s.Scan(ctx, func(gate.Item) error { return nil })
	if err != nil {
		return err
	}
	if _, _, err = s.Changes(ctx, seq, 10); err != nil {
		return err
	}
	for _, section := range store.Sections() {
		err := s.Export(ctx, section, "", func(p store.Piece) error {
			_, err := s.Import(ctx, p)
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}
