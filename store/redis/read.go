package redis

import (
	"context"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/digestgate/digestgate/gate"
)

// Read fetches small records, newest analyze jobs and tag mappings: in one round trip
// (one for each node of a cluster), and one more for the jobs, where the state of an image
// depends on its job and not all jobs are asked for. A value that is not believed reads as
// absent.
func (s *Store) Read(ctx context.Context, req gate.ReadRequest) (gate.ReadResult, error) {
	return reader{s, s.client}.Read(ctx, req)
}

// Read implements gate.Reader.
func (r reader) Read(ctx context.Context, req gate.ReadRequest) (gate.ReadResult, error) {
	res := gate.ReadResult{
		Digests: make(map[gate.Digest]gate.Entry, len(req.Digests)), Tags: make(map[gate.TagKey]gate.TagMapping, len(req.Tags)),
	}
	what := func(err error) error {
		return r.failedIn(ctx, fmt.Sprintf("reading %d digests and %d tags", len(req.Digests), len(req.Tags)), err)
	}
	if err := r.fill(ctx, req, &res); err != nil {
		return gate.ReadResult{}, what(err)
	}
	if req.AllJobs {
		return res, nil
	}
	if err := r.fillJobs(ctx, req.Digests, &res); err != nil {
		return gate.ReadResult{}, what(err)
	}
	return res, nil
}

// fill reads records and tags, and with them the jobs if all are asked for.
func (r reader) fill(ctx context.Context, req gate.ReadRequest, res *gate.ReadResult) error {
	var asked []gate.Digest
	if req.AllJobs {
		asked = req.Digests
	}
	packed, err := r.pack(args{"digests": texts(asked)})
	if err != nil {
		return err
	}
	var jobs *redis.Cmd
	records, tags := make([]*redis.Cmd, len(req.Digests)), make([]*redis.Cmd, len(req.Tags))
	mark := r.seals.mark()
	err = each(ctx, r.client, func(p redis.Pipeliner) {
		jobs = scriptRead.EvalSha(ctx, p, []string{r.keys.clock()}, packed)
		for i, d := range req.Digests {
			records[i] = r.askRecord(ctx, p, d)
		}
		for i, k := range req.Tags {
			tags[i] = scriptValue.EvalSha(ctx, p, []string{r.keys.tag(k)})
		}
	}, scriptRead, scriptLoad, scriptValue)
	if err != nil {
		return err
	}
	newest, now, err := r.jobsOf(jobs, asked)
	if err != nil {
		return err
	}
	res.Now = now
	for i, d := range req.Digests {
		res.Digests[d] = gate.Entry{Record: r.shown(d, records[i], mark), Job: newest[d]}
	}
	for i, k := range req.Tags {
		if m, _, found := r.mapping(k, stringOf(tags[i]), mark); found {
			res.Tags[k] = m
		}
	}
	return nil
}

// fillJobs reads the newest jobs of digests whose state depends on them. A job that is
// done has recorded what it found before it ended, maybe between the two reads: then the
// record is read again.
func (r reader) fillJobs(ctx context.Context, digests []gate.Digest, res *gate.ReadResult) error {
	var asked, again []gate.Digest
	for _, d := range digests {
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
	if err := r.fill(ctx, gate.ReadRequest{Digests: again}, res); err != nil {
		return err
	}
	res.Now = now // of the tags
	for _, d := range again {
		e := res.Digests[d]
		e.Job = jobs[d]
		res.Digests[d] = e
	}
	return nil
}

// askRecord asks for a record and its locations.
func (s *Store) askRecord(ctx context.Context, p redis.Scripter, d gate.Digest) *redis.Cmd {
	return scriptLoad.EvalSha(ctx, p, []string{s.keys.record(d), s.keys.locations(d)})
}

// shown is what askRecord was answered as gate knows it; the zero Record when it
// is absent.
func (s *Store) shown(d gate.Digest, cmd *redis.Cmd, mark int64) gate.Record {
	answer, _ := cmd.Slice() // its error has ended the read before
	body, _ := s.believed(d, text(answer, 0), mark)
	if body.Version == 0 {
		return gate.Record{}
	}
	out := body.Shown()
	out.Locations = s.locationsOf(d, answer[1:], mark)
	return out
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
