package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"

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
	if p.Section == store.SectionRecords {
		return s.importRecord(ctx, p)
	}
	return write(ctx, s, what, func(t *tx) (bool, error) {
		switch p.Section {
		case store.SectionCharges:
			return t.importCharge(gate.Digest(p.Name), *p.Charge)
		case store.SectionQuota:
			return t.importQuota(p.Name, *p.Quota)
		case store.SectionSettings:
			return t.importSetting(p.Name, *p.Setting)
		case store.SectionTags:
			return t.importTag(*p.Tag)
		}
		return t.importJob(*p.Job)
	})
}

func (t *tx) importCharge(d gate.Digest, fresh gate.Charge) (bool, error) {
	var old gate.Charge
	var at int64
	err := t.row(`SELECT period, at, served FROM charges WHERE digest = ?`, string(d)).Scan(&old.Period, &at, &old.Served)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return false, err
	}
	old.At = timeOf(at)
	c, changed := store.ImportCharge(old, fresh)
	if !changed {
		return false, nil
	}
	return true, t.exec(`INSERT INTO charges (digest, period, served, at) VALUES (?1, ?2, ?3, ?4)
		ON CONFLICT (digest) DO UPDATE SET served = ?3`, string(d), store.PeriodKey(c.Period), c.Served, nanos(c.At))
}

func (t *tx) importQuota(period string, fresh gate.QuotaUse) (bool, error) {
	var old gate.QuotaUse
	err := t.row(`SELECT used, avoided FROM quota WHERE period = ?`, period).Scan(&old.Used, &old.Avoided)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return false, err
	}
	use, changed := store.ImportQuota(old, fresh)
	if !changed && err == nil {
		return false, nil
	}
	return true, t.exec(`INSERT INTO quota (period, used, avoided) VALUES (?1, ?2, ?3)
		ON CONFLICT (period) DO UPDATE SET used = ?2, avoided = ?3`, period, use.Used, use.Avoided)
}

func (t *tx) importSetting(name string, fresh store.SettingPiece) (bool, error) {
	var version int64
	err := t.row(`SELECT version FROM settings WHERE name = ?`, name).Scan(&version)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return false, err
	}
	if version >= fresh.Version {
		return false, nil
	}
	if fresh.Value == nil {
		fresh.Value = []byte{} // nil would be NULL
	}
	if err := t.exec(`INSERT INTO settings (name, value, version) VALUES (?1, ?2, ?3)
		ON CONFLICT (name) DO UPDATE SET value = ?2, version = ?3`, name, fresh.Value, fresh.Version); err != nil {
		return false, err
	}
	return true, t.change(gate.ChangeSetting, name)
}

func (t *tx) importTag(fresh gate.TagMapping) (bool, error) {
	old, found, err := t.tag(fresh.TagKey)
	if err != nil || !store.ImportTag(old, found, fresh) {
		return false, err
	}
	if err := t.saveTag(fresh); err != nil {
		return false, err
	}
	return true, t.change(gate.ChangeTag, fresh.TagKey.String())
}

func (s *Store) importRecord(ctx context.Context, p store.Piece) (bool, error) {
	r := p.Record
	return update(ctx, s, "importing the record of", gate.Digest(p.Name), func(t *tx, old *record) (changed, _ bool, err error) {
		if old.damage == nil {
			old.body.Version = old.version
		}
		if !old.body.Import(r.Body) {
			return false, false, nil
		}
		old.version = r.Version - 1 // it is counted up when it is saved
		if old.forgotten = r.Forgotten; r.Forgotten {
			if err := t.wipe(old.digest); err != nil {
				return false, false, err
			}
		}
		for _, l := range r.Locations {
			verdict, err := json.Marshal(l.Verdict)
			if err != nil {
				return false, false, err
			}
			if err := t.exec(`INSERT INTO locations (digest, registry, repository, seen_at, gone, verdict, gone_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
				ON CONFLICT (digest, registry, repository) DO UPDATE SET seen_at = ?4, gone = ?5, verdict = ?6, gone_at = ?7`,
				p.Name, l.Registry, l.Repository, nanos(l.SeenAt), l.Gone, string(verdict), nanos(l.GoneAt)); err != nil {
				return false, false, err
			}
		}
		for table, v := range map[string]store.Value{"inventories": r.Inventory, "findings": r.Findings} {
			if v.ID == "" {
				continue
			}
			if err := t.exec(`INSERT INTO `+table+` (digest, id, data) VALUES (?1, ?2, ?3)
				ON CONFLICT (digest) DO UPDATE SET id = ?2, data = ?3`, p.Name, v.ID, v.Data); err != nil {
				return false, false, err
			}
		}
		if err := t.importHistory(gate.Digest(p.Name), r.History); err != nil {
			return false, false, err
		}
		return true, true, t.raiseEpoch(r.Epoch)
	})
}

// raiseEpoch makes the next epoch higher than one that came from elsewhere.
func (t *tx) raiseEpoch(epoch int64) error {
	h := &t.writer.hints
	if epoch <= h.epoch {
		return nil
	}
	if epoch > h.epochs {
		if err := t.setCounter("epoch", epoch); err != nil {
			return err
		}
		h.epochs = epoch
	}
	h.epoch = epoch
	return nil
}

func (t *tx) importJob(fresh store.JobPiece) (bool, error) {
	current, err := scanJob(t.row(`SELECT `+jobColumns+` FROM jobs WHERE kind = ? AND key = ? AND superseded = 0`,
		store.KindBit(fresh.Kind), fresh.Key))
	var known *gate.Job
	switch {
	case err == nil:
		known = &current.Job
	case !errors.Is(err, sql.ErrNoRows):
		return false, err
	}
	if !store.ImportJob(known, fresh.Job) {
		return false, nil
	}
	j := &job{Job: fresh.Job, retries: fresh.Retries, mask: store.AllKinds}
	j.to(importedState(j.Job))
	if j.Kind == gate.JobAnalyze {
		period, err := t.charged(j.Digest)
		if err != nil {
			return false, err
		}
		j.charge = period == ""
	}
	if err := t.replace(j, current); err != nil {
		return false, err
	}
	return true, t.raiseEpoch(j.Epoch)
}

// importedState is the state as stored of a job that came from elsewhere.
func importedState(j gate.Job) int {
	switch {
	case j.State == gate.JobQueued && !j.NotBefore.IsZero():
		return stateDelayed
	case j.State == gate.JobRunning:
		return stateReady
	}
	for state, name := range stateNames {
		if name == j.State {
			return state
		}
	}
	return stateReady
}

// maxForeign is beyond every number that a store hands out; one that is not must
// not leave us without numbers.
const maxForeign = 1 << 53

// replace writes an imported job in the place of the newest one of its key. It
// keeps its id, and the number in it, unless another job has that number here.
func (t *tx) replace(j, current *job) error {
	h := &t.writer.hints
	j.seq = seqOf(j.ID)
	if current != nil && current.ID != j.ID {
		if err := t.exec(`UPDATE jobs SET superseded = 1 WHERE seq = ?`, current.seq); err != nil {
			return err
		}
	}
	var holder string
	err := t.row(`SELECT id FROM jobs WHERE seq = ?`, j.seq).Scan(&holder)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return err
	}
	if j.seq <= 0 || j.seq >= maxForeign || (holder != "" && holder != j.ID) {
		j.seq = h.seq + 1
		j.ID = newID(j.seq)
	}
	h.seq = max(h.seq, j.seq)
	progress := ""
	if j.Progress != (gate.Progress{}) {
		text, err := json.Marshal(j.Progress)
		if err != nil {
			return err
		}
		progress = string(text)
	}
	if err := t.exec(`INSERT OR REPLACE INTO jobs (`+jobColumns+`)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
		j.seq, j.ID, store.KindBit(j.Kind), j.Key, j.Location.Registry, j.Location.Repository, string(j.Digest), tagsText(j.Tags),
		string(j.Trigger), int(j.Priority), j.Force, j.state, j.Epoch, j.Attempts, j.retries, j.Worker, j.mask, j.Again, j.Repeat, j.charge,
		nanos(j.CreatedAt), nanos(j.UpdatedAt), nanos(j.StartedAt), nanos(j.FinishedAt), nanos(j.NotBefore), nanos(j.LeaseUntil),
		progress, store.JoinError(j.Error, j.Causes), j.Reason, nanos(store.PlaceOf(j.Job)), j.Tried, nanos(j.RefusedSince)); err != nil {
		return err
	}
	return t.settled(j)
}
