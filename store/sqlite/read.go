package sqlite

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/store"
)

// Read fetches small records, newest analyze jobs and tag mappings: four
// queries, whatever is asked for, and three when the state of every image follows
// from its record. A value that cannot be read is logged and reads as absent.
func (s *Store) Read(ctx context.Context, req gate.ReadRequest) (gate.ReadResult, error) {
	return s.read(ctx, req, true)
}

// read is Read; without verdicts those of the locations are left out.
func (s *Store) read(ctx context.Context, req gate.ReadRequest, verdicts bool) (gate.ReadResult, error) {
	res := newResult(req, s.now())
	what := func(err error) error {
		return storeError(fmt.Sprintf("reading %d digests and %d tags", len(req.Digests), len(req.Tags)), err)
	}
	if err := ctx.Err(); err != nil {
		return gate.ReadResult{}, what(err)
	}
	if err := s.readEntries(ctx, req, verdicts, res.Digests); err != nil {
		return gate.ReadResult{}, what(err)
	}
	keys := make([]string, len(req.Tags))
	for i, k := range req.Tags {
		keys[i] = store.TagName(k)
	}
	err := s.queries.list(ctx, func(row scanner) error {
		m, _, err := scanTag(row)
		if err == nil {
			res.Tags[m.TagKey] = m
		}
		return err
	}, listTags, keys)
	if err != nil {
		return gate.ReadResult{}, what(err)
	}
	return res, nil
}

func newResult(req gate.ReadRequest, now time.Time) gate.ReadResult {
	return gate.ReadResult{
		Digests: make(map[gate.Digest]gate.Entry, len(req.Digests)),
		Tags:    make(map[gate.TagKey]gate.TagMapping, len(req.Tags)),
		Now:     now,
	}
}

// readEntries reads records, and the newest jobs of those that need one. A job that is
// done has recorded what it found before it ended, maybe between the two reads: then
// the record is read again.
func (s *Store) readEntries(ctx context.Context, req gate.ReadRequest, verdicts bool, entries map[gate.Digest]gate.Entry) error {
	records, err := s.readRecords(ctx, req.Digests, verdicts)
	if err != nil {
		return err
	}
	ask := req.Digests
	if !req.AllJobs {
		ask = nil
		for _, d := range req.Digests {
			if !records[d].Settled() {
				ask = append(ask, d)
			}
		}
	}
	jobs, err := s.readJobs(ctx, ask)
	if err != nil {
		return err
	}
	var again []gate.Digest
	for _, d := range req.Digests {
		entries[d] = gate.Entry{Record: records[d], Job: jobs[d]}
		if j := jobs[d]; j != nil && j.State == gate.JobDone && !records[d].Settled() {
			again = append(again, d)
		}
	}
	if len(again) == 0 {
		return nil
	}
	if records, err = s.readRecords(ctx, again, verdicts); err != nil {
		return err
	}
	for _, d := range again {
		entries[d] = gate.Entry{Record: records[d], Job: jobs[d]}
	}
	return nil
}

func (s *Store) readJobs(ctx context.Context, digests []gate.Digest) (map[gate.Digest]*gate.Job, error) {
	jobs := make(map[gate.Digest]*gate.Job, len(digests))
	err := s.queries.list(ctx, func(row scanner) error {
		j, err := scanJob(row)
		if err == nil {
			jobs[j.Digest] = &j.Job
		}
		return err
	}, listJobs, texts(digests))
	return jobs, err
}

// readRecords fetches records with their locations. Those that are unknown or
// cannot be read are missing from the answer.
func (s *Store) readRecords(ctx context.Context, digests []gate.Digest, verdicts bool) (map[gate.Digest]gate.Record, error) {
	records := make(map[gate.Digest]gate.Record, len(digests))
	keys := texts(digests)
	err := s.queries.list(ctx, func(row scanner) error {
		r, err := scanRecord(row)
		if err != nil {
			return err
		}
		if r.damage != nil {
			s.damaged("record", r.digest, r.damage)
			return nil
		}
		records[r.digest] = r.shown()
		return nil
	}, listRecords, keys)
	if err != nil {
		return nil, err
	}
	seen := map[[3]string]bool{} // padded lists name a digest more than once, rows come once
	err = s.queries.list(ctx, func(row scanner) error {
		d, l, verdict, err := scanLocation(row)
		if err != nil {
			return err
		}
		key := [3]string{string(d), l.Registry, l.Repository}
		r, known := records[d]
		if !known || seen[key] {
			return nil
		}
		seen[key] = true
		if verdict != "" && verdicts {
			if err := json.Unmarshal([]byte(verdict), &l.Verdict); err != nil {
				s.damaged("verdict", d, err)
				l.Verdict = gate.Decision{}
			}
		}
		r.Locations = append(r.Locations, l)
		records[d] = r
		return nil
	}, listLocations, keys)
	return records, err
}

// damaged tells the operator of a value that cannot be read. Nobody else can
// be told: to them it is absent, and the next write of it repairs it.
func (s *Store) damaged(thing string, d gate.Digest, err error) {
	s.options.Logger.Error("stored value cannot be read and counts as absent", "thing", thing, "digest", string(d), "error", err)
}

func texts(digests []gate.Digest) []string {
	out := make([]string, len(digests))
	for i, d := range digests {
		out[i] = string(d)
	}
	return out
}
