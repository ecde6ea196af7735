package sqlite

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/store"
)

// Admission is the store itself: its reads wait for nothing but each other.
func (s *Store) Admission() gate.Reader { return s }

// Read fetches small records, newest analyze jobs and tag mappings: four
// queries, whatever is asked for. A value that cannot be read is logged and
// reads as absent.
func (s *Store) Read(ctx context.Context, req gate.ReadRequest) (gate.ReadResult, error) {
	what := fmt.Sprintf("reading %d digests and %d tags", len(req.Digests), len(req.Tags))
	res := gate.ReadResult{
		Digests: make(map[gate.Digest]gate.Entry, len(req.Digests)),
		Tags:    make(map[gate.TagKey]gate.TagMapping, len(req.Tags)),
		Now:     s.now(),
	}
	if err := ctx.Err(); err != nil {
		return gate.ReadResult{}, storeError(what, err)
	}
	records, err := s.readRecords(ctx, req.Digests)
	if err != nil {
		return gate.ReadResult{}, storeError(what, err)
	}
	jobs, err := s.readJobs(ctx, req.Digests)
	if err != nil {
		return gate.ReadResult{}, storeError(what, err)
	}
	for _, d := range req.Digests {
		res.Digests[d] = gate.Entry{Record: records[d], Job: jobs[d]}
	}
	keys := make([]string, len(req.Tags))
	for i, k := range req.Tags {
		keys[i] = store.TagName(k)
	}
	err = s.queries.list(ctx, func(row scanner) error {
		m, _, err := scanTag(row)
		if err == nil {
			res.Tags[m.TagKey] = m
		}
		return err
	}, listTags, keys)
	if err != nil {
		return gate.ReadResult{}, storeError(what, err)
	}
	return res, nil
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
func (s *Store) readRecords(ctx context.Context, digests []gate.Digest) (map[gate.Digest]gate.Record, error) {
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
		if verdict != "" {
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
