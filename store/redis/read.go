package redis

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/gate/copies"
)

// Read fetches small records, newest analyze jobs and tag mappings: in one round trip
// (one for each node of a cluster), and one more for the jobs, where the state of an image
// depends on its job and not all jobs are asked for. A value that is not believed reads as
// absent.
func (s *Store) Read(ctx context.Context, req gate.ReadRequest) (gate.ReadResult, error) {
	return reader{Store: s, client: s.client}.Read(ctx, req)
}

// Read implements gate.Reader. Of what admission has copies of it reads the versions.
func (r reader) Read(ctx context.Context, req gate.ReadRequest) (gate.ReadResult, error) {
	res := gate.ReadResult{
		Digests: make(map[gate.Digest]gate.Entry, len(req.Digests)), Tags: make(map[gate.TagKey]gate.TagMapping, len(req.Tags)),
	}
	what := func(err error) error {
		return r.failedIn(ctx, fmt.Sprintf("reading %d digests and %d tags", len(req.Digests), len(req.Tags)), err)
	}
	f, err := r.fill(ctx, req, &res)
	if err != nil {
		return gate.ReadResult{}, what(err)
	}
	if !req.AllJobs {
		if err := r.fillJobs(ctx, f, &res); err != nil {
			return gate.ReadResult{}, what(err)
		}
	}
	r.keep(f, &res)
	return res, nil
}

// fetched is what one call has read, and what there were copies of.
type fetched struct {
	req     gate.ReadRequest
	keys    int64 // the number of the MAC keys before it
	turns   []copies.Turn
	entries []*copies.Entry // copies, by digest
	proofs  []copies.Proof  // of what was read
	tags    []*copies.Tag
	found   []*copies.Tag
}

// expect looks for copies before a read.
func (r reader) expect(req gate.ReadRequest) *fetched {
	f := &fetched{
		req: req, entries: make([]*copies.Entry, len(req.Digests)), proofs: make([]copies.Proof, len(req.Digests)),
		tags: make([]*copies.Tag, len(req.Tags)), found: make([]*copies.Tag, len(req.Tags)),
	}
	_, f.keys = r.seals.file.inForce()
	for i, d := range req.Digests {
		f.entries[i] = r.oldEntry(d, f.keys)
		if r.copied {
			f.turns = append(f.turns, r.copies.EntryTurn(d))
		}
	}
	for i, k := range req.Tags {
		f.tags[i] = r.oldTag(k, f.keys)
		if r.copied {
			f.turns = append(f.turns, r.copies.TagTurn(k))
		}
	}
	return f
}

// fill reads records and tags, and with them the jobs if all are asked for.
func (r reader) fill(ctx context.Context, req gate.ReadRequest, res *gate.ReadResult) (*fetched, error) {
	var asked []gate.Digest
	if req.AllJobs {
		asked = req.Digests
	}
	packed, err := r.pack(args{"digests": texts(asked)})
	if err != nil {
		return nil, err
	}
	var jobs *redis.Cmd
	f, records, tags := r.expect(req), make([]*redis.Cmd, len(req.Digests)), make([]*redis.Cmd, len(req.Tags))
	mark := r.seals.mark()
	err = each(ctx, r.client, func(p redis.Pipeliner) {
		jobs = scriptRead.EvalSha(ctx, p, []string{r.keys.clock()}, packed)
		for i, d := range req.Digests {
			records[i] = r.askRecord(ctx, p, d, f.entries[i].Seal)
		}
		for i, k := range req.Tags {
			tags[i] = scriptValue.EvalSha(ctx, p, []string{r.keys.tag(k)}, f.tags[i].Seal)
		}
	}, scriptRead, scriptLoad, scriptValue)
	if err != nil {
		return nil, err
	}
	newest, now, err := r.jobsOf(jobs, asked)
	if err != nil {
		return nil, err
	}
	res.Now = now
	for i, d := range req.Digests {
		var record gate.Record
		record, f.proofs[i] = r.entry(d, f.entries[i], records[i], mark)
		res.Digests[d] = gate.Entry{Record: record, Job: newest[d]}
	}
	for i, k := range req.Tags {
		if f.found[i] = r.tag(k, f.tags[i], tags[i], mark); f.found[i] != nil {
			res.Tags[k] = f.found[i].TagMapping
		}
	}
	return f, nil
}

// fillJobs reads the newest jobs of digests whose state depends on them. A job that is
// done has recorded what it found before it ended, maybe between the two reads: then the
// record is read again.
func (r reader) fillJobs(ctx context.Context, f *fetched, res *gate.ReadResult) error {
	var asked, again []gate.Digest
	for _, d := range f.req.Digests {
		if !res.Digests[d].Record.Settled() {
			asked = append(asked, d)
		}
	}
	if len(asked) == 0 {
		return nil
	}
	jobs, _, err := r.newestJobs(ctx, r.client, asked)
	if err != nil {
		return err
	}
	for _, d := range asked {
		e := res.Digests[d]
		if e.Job = jobs[d]; e.Job != nil && e.Job.State == gate.JobDone {
			again = append(again, d)
		}
		res.Digests[d] = e
	}
	if len(again) == 0 {
		return nil
	}
	now := res.Now
	if _, err := r.fill(ctx, gate.ReadRequest{Digests: again}, res); err != nil {
		return err
	}
	res.Now = now // of the tags
	for i, d := range f.req.Digests {
		if slices.Contains(again, d) {
			e := res.Digests[d]
			e.Job = jobs[d]
			res.Digests[d], f.proofs[i] = e, copies.Proof{} // it is of what was read before
		}
	}
	return nil
}

// askRecord asks for a record and its locations, or, if there is a copy, whether they are
// still those of it.
func (s *Store) askRecord(ctx context.Context, p redis.Scripter, d gate.Digest, copied string) *redis.Cmd {
	return scriptLoad.EvalSha(ctx, p, []string{s.keys.record(d), s.keys.locations(d)}, copied)
}

// shown is what askRecord was answered as gate knows it; the zero Record when it
// is absent. proof is for a copy of it, without a seal when not all of it is believed, so
// that it is looked at each time.
func (s *Store) shown(d gate.Digest, cmd *redis.Cmd, mark int64) (out gate.Record, proof copies.Proof) {
	answer, _ := cmd.Slice() // its error has ended the read before
	stored := text(answer, 0)
	body, stamp := s.believed(d, stored, mark)
	if body.Version == 0 {
		return gate.Record{}, copies.Proof{}
	}
	out = body.Shown()
	out.Locations = s.locationsOf(d, answer[1:], mark)
	proof.Order = stamp
	if fields := (len(answer) - 1) / 2; fields == len(out.Locations) {
		proof.Seal = versionOf(stored, fields)
	}
	return out, proof
}

func stringOf(cmd *redis.Cmd) string {
	value, _ := cmd.Text()
	return value
}

// newestJobs fetches the newest analyze jobs of digests and the time.
func (s *Store) newestJobs(ctx context.Context, c redis.UniversalClient, digests []gate.Digest) (map[gate.Digest]*gate.Job, time.Time, error) {
	packed, err := s.pack(args{"digests": texts(digests)})
	if err != nil {
		return nil, time.Time{}, err
	}
	return s.jobsOf(scriptRead.Run(ctx, c, []string{s.keys.clock()}, packed), digests)
}

// jobsOf reads what read.lua has answered.
func (s *Store) jobsOf(cmd *redis.Cmd, digests []gate.Digest) (map[gate.Digest]*gate.Job, time.Time, error) {
	answer, err := cmd.Slice()
	if err != nil {
		return nil, time.Time{}, err
	}
	now, err := s.clockOf(text(answer, 0))
	if err != nil {
		return nil, time.Time{}, err
	}
	jobs := make(map[gate.Digest]*gate.Job, len(digests))
	for i, d := range digests {
		stored := text(answer, i+1)
		if stored == "" {
			continue
		}
		j, err := decodeJob(stored)
		if err != nil { // admission does without
			s.reject("job", string(d), err)
			continue
		}
		jobs[d] = &j
	}
	return jobs, now, nil
}

func texts(digests []gate.Digest) []string {
	out := make([]string, len(digests))
	for i, d := range digests {
		out[i] = string(d)
	}
	return out
}
