package redis

import (
	"context"
	"errors"
	"fmt"

	"github.com/redis/go-redis/v9"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/gate/copies"
)

// Prove asks in one round trip (one for each node of a cluster) whether the copies of some
// digests and tags are still what is stored: the warm part of Read, without maps and what
// else the rest of it needs. What is proved is believed as Read believes it; what is not
// has nil in its place, and is for Read. ok is false where nothing was asked, because not
// all of it is copied, the copy of a record does not tell the whole state, or the server
// has forgotten the scripts. Errors: those of Read.
func (r reader) Prove(ctx context.Context, req gate.ReadRequest) (p copies.Proved, ok bool, err error) {
	_, keys := r.seals.file.inForce()
	q := questions{reader: r, list: make([]proof, 0, len(req.Digests)+len(req.Tags))}
	p.Entries = make([]*copies.Entry, len(req.Digests))
	for i, d := range req.Digests {
		e := r.copies.Entry(d)
		if e == nil || e.Keys != keys || e.Seal == "" || !e.Record.Settled() {
			return copies.Proved{}, false, nil
		}
		p.Entries[i] = e
		q.add(r.keys.record(d), r.keys.locations(d), e.Proof)
	}
	if len(req.Tags) > 0 {
		p.Tags = make([]*copies.Tag, len(req.Tags))
	}
	for i, k := range req.Tags {
		t := r.copies.Tag(k)
		if t == nil || t.Keys != keys || t.Seal == "" {
			return copies.Proved{}, false, nil
		}
		p.Tags[i] = t
		q.add(r.keys.tag(k), "", t.Proof)
	}
	if len(q.list) == 0 {
		return copies.Proved{}, false, nil
	}
	if ok, err = q.ask(ctx, &p, len(req.Tags) > 0); !ok {
		return copies.Proved{}, false, err
	}
	for i := range p.Entries {
		if !q.holds(i) {
			p.Entries[i] = nil
		}
	}
	for i := range p.Tags {
		if !q.holds(len(p.Entries) + i) {
			p.Tags[i] = nil
		}
	}
	return p, true, nil
}

// questions are those of one Prove: of its digests, then of its tags.
type questions struct {
	reader
	mark int64
	list []proof
}

// proof is one of them.
type proof struct {
	place string // the key of the value
	stamp int64
	cmd   *redis.Cmd
}

// add asks about the copy of a value, with the locations of a record. It takes part where
// [reader.oldEntry] does: the copy is a witness of its stamp.
func (q *questions) add(place, locations string, of copies.Proof) {
	q.seals.wrote(place, of.Order)
	script, keys := scriptLoad, 2
	if locations == "" {
		script, keys = scriptValue, 1
	}
	args := append(make([]any, 0, 6), "evalsha", script.Hash(), keys, place)
	if keys == 2 {
		args = append(args, locations)
	}
	cmd := redis.NewCmd(context.Background(), append(args, of.Seal)...)
	cmd.SetFirstKeyPos(3)
	q.list = append(q.list, proof{place, of.Order, cmd})
}

// ask sends them, and asks for the time where there are tags, whose age counts.
func (q *questions) ask(ctx context.Context, p *copies.Proved, tags bool) (ok bool, err error) {
	q.mark = q.seals.mark()
	pipeline := q.client.Pipeline()
	var clock *redis.Cmd
	if tags {
		packed, err := q.pack(args{"digests": []string{}})
		if err != nil {
			return false, err
		}
		clock = scriptRead.EvalSha(ctx, pipeline, []string{q.keys.clock()}, packed)
	}
	for i := range q.list {
		_ = pipeline.Process(ctx, q.list[i].cmd) // queues it
	}
	if _, err := pipeline.Exec(ctx); err != nil {
		if said := redis.Error(nil); errors.As(err, &said) && ctx.Err() == nil {
			return false, nil // of one command: Read says what is wrong, or loads the scripts
		}
		return false, q.failedIn(ctx, fmt.Sprintf("asking about the copies of %d values", len(q.list)), err)
	}
	if clock != nil {
		if _, p.Now, err = q.jobsOf(clock, nil); err != nil {
			return false, nil // likewise
		}
	}
	return true, nil
}

// holds reports whether the server has said that the n-th value is that of the copy, and
// no later one was seen before it was asked.
func (q *questions) holds(n int) bool {
	asked := &q.list[n]
	answer := asked.cmd.Val()
	if list, ok := answer.([]any); ok && len(list) == 1 {
		answer = list[0]
	}
	return unchanged(answer) && q.seals.fresh(asked.place, asked.stamp, q.mark) == nil
}
