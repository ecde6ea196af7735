package redis

import (
	"context"
	"crypto/rand"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/store"
)

var _ store.Importer = (*Store)(nil)

// Import stores a piece of another store, unless the same or a newer one is here.
func (s *Store) Import(ctx context.Context, p store.Piece) (bool, error) {
	what := fmt.Sprintf("importing %s into %s", gate.Quoted(p.Name, 200), gate.Printable(string(p.Section), 40))
	if err := p.Check(); err != nil {
		return false, fmt.Errorf("%s: %w", what, err)
	}
	var changed bool
	var err error
	switch p.Section {
	case store.SectionCharges:
		changed, err = s.imported(ctx, scriptPutCharge, args{
			"digest": p.Name, "period": store.PeriodKey(p.Charge.Period), "at": micros(p.Charge.At), "served": p.Charge.Served,
		})
	case store.SectionQuota:
		changed, err = s.imported(ctx, scriptPutQuota, args{"period": p.Name, "used": p.Quota.Used, "avoided": p.Quota.Avoided})
	case store.SectionSettings:
		changed, err = s.importSetting(ctx, p.Name, *p.Setting)
	case store.SectionTags:
		_, err = s.merge(ctx, what, p.Tag.TagKey, func(old gate.TagMapping, found bool, _ time.Time) (gate.TagMapping, bool, bool) {
			changed = store.ImportTag(old, found, *p.Tag)
			return *p.Tag, changed, changed
		})
	case store.SectionRecords:
		changed, err = s.importRecord(ctx, gate.Digest(p.Name), p.Record)
	case store.SectionJobs:
		if err = s.raise(ctx, p.Job.Epoch); err == nil {
			changed, err = s.imported(ctx, scriptPutJob, args{"job": storedJob(*p.Job)})
		}
	}
	if err != nil {
		return false, s.failedIn(ctx, what, err)
	}
	if changed {
		s.changedHere()
	}
	return changed, nil
}

// imported runs a script that answers 1 when it has written.
func (s *Store) imported(ctx context.Context, script *redis.Script, a args) (bool, error) {
	answer, err := s.run(ctx, script, a)
	return answer == int64(1), err
}

// raise makes the next epoch higher than one that came from elsewhere. Most are
// far below the time, which numbers follow.
func (s *Store) raise(ctx context.Context, epoch int64) error {
	if epoch <= s.raised.Load() {
		return nil
	}
	answer, err := s.run(ctx, scriptRaise, args{"least": epoch})
	if err != nil {
		return err
	}
	floor, err := strconv.ParseInt(fmt.Sprint(answer), 10, 64)
	s.raised.Store(floor)
	return err
}

func (s *Store) importSetting(ctx context.Context, name string, fresh store.SettingPiece) (bool, error) {
	if fresh.Value == nil {
		fresh.Value = []byte{} // nil would be null
	}
	written := false
	err := s.compete(ctx, "importing a setting", s.keys.setting(name), func() (bool, error) {
		stored, _, v, now, err := s.setting(ctx, name)
		if err != nil || v.Version >= fresh.Version {
			return true, err
		}
		next := sealed{Version: fresh.Version, Stamp: s.seals.next(s.keys.setting(name), v.Stamp, now), Nonce: rand.Text()}
		written, err = s.swap(ctx, s.keys.setting(name), stored, next, fresh.Value, true, gate.ChangeSetting, name)
		return written, err
	})
	return written, err
}

// importRecord writes the large values first: nobody reads them before a record
// names them.
func (s *Store) importRecord(ctx context.Context, d gate.Digest, fresh *store.RecordPiece) (bool, error) {
	if err := s.raise(ctx, fresh.Epoch); err != nil {
		return false, err
	}
	locations := map[string]gate.LocationState{}
	for _, l := range fresh.Locations {
		locations[field(l.Location)] = l
	}
	written := false
	err := s.compete(ctx, "importing a record", s.keys.record(d), func() (bool, error) {
		r, _, err := s.fetch(ctx, d, 0, nil)
		if err != nil || !r.Import(fresh.Body) {
			return true, err
		}
		r.Version-- // it is counted up when it is written
		if fresh.Forgotten {
			written, err = s.put(ctx, r, &change{forget: true})
			return written, err
		}
		for key, v := range map[string]store.Value{s.keys.inventory(d): fresh.Inventory, s.keys.findings(d): fresh.Findings} {
			if v.ID == "" {
				continue
			}
			if err := s.client.Set(ctx, key, v.Data, 0).Err(); err != nil {
				return false, err
			}
		}
		if err := s.importHistory(ctx, d, fresh.History); err != nil {
			return false, err
		}
		written, err = s.put(ctx, r, &change{locations: locations})
		return written, err
	})
	return written, err
}

func micros(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMicro()
}

// storedJob is a job as enqueue.lua makes it. One that waited still waits; what waited
// for quota is parked by the next claim if there still is none.
func storedJob(j store.JobPiece) map[string]any {
	state := slices.Index(stateNames[:], j.State)
	if j.State == gate.JobQueued && !j.NotBefore.IsZero() {
		state++ // delayed
	}
	number, _, _ := strings.Cut(j.ID, "-")
	seq, err := strconv.ParseInt(number, 10, 64)
	if err != nil || seq < 0 || seq > math.MaxInt64>>10 {
		seq = micros(j.CreatedAt)
	}
	return map[string]any{
		"id": j.ID, "seq": seq, "kind": store.KindBit(j.Kind), "key": j.Key, "reg": j.Location.Registry, "repo": j.Location.Repository,
		"dig": string(j.Digest), "tags": slices.Concat([]string{}, j.Tags), "trig": string(j.Trigger), "prio": int(j.Priority), "force": j.Force, "st": state,
		"epoch": j.Epoch, "att": j.Attempts, "retr": j.Retries, "worker": "", "mask": store.AllKinds, "again": j.Again, "rep": j.Repeat,
		"charge": false, "created": micros(j.CreatedAt), "updated": micros(j.UpdatedAt), "started": micros(j.StartedAt),
		"finished": micros(j.FinishedAt), "nbf": micros(j.NotBefore), "lease": 0, "prog": progressText(j.Progress), "err": store.JoinError(j.Error, j.Causes), "why": j.Reason,
		"fin": "", "old": false, "place": micros(store.PlaceOf(j.Job)), "tried": j.Tried, "ref": micros(j.RefusedSince),
	}
}
