package sqlite

import (
	"context"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/gate/copies"
)

// reader is the reading side for reviews. It answers from copies of what it has read
// before: the writer drops what a transaction has changed once that is on disk and before
// anybody is answered, so that no read shows less than an acknowledged write. What has no
// copy is read, and kept unless the writer has dropped it meanwhile.
//
// There are copies of records whose state follows from the record alone, and of tags. A
// job changes too often, and is read.
type reader struct{ *Store }

// Admission is the reader for admission, with copies of small records. Its records have
// no standing verdicts.
func (s *Store) Admission() gate.Reader { return reader{s} }

// Copies are the copies; current says that they are never older than what is stored, so
// that they need not be read.
func (r reader) Copies() (c *copies.Copies, current bool) { return r.copies, true }

// Read implements gate.Reader. It makes no query for what there are copies of.
func (r reader) Read(ctx context.Context, req gate.ReadRequest) (gate.ReadResult, error) {
	if err := ctx.Err(); err != nil {
		return gate.ReadResult{}, storeError("reading", err)
	}
	res := newResult(req, r.now())
	missing := gate.ReadRequest{AllJobs: req.AllJobs}
	var turns []copies.Turn
	for _, d := range req.Digests {
		if e := r.copies.Entry(d); e != nil && !req.AllJobs {
			res.Digests[d] = e.Entry
			continue
		}
		missing.Digests, turns = append(missing.Digests, d), append(turns, r.copies.EntryTurn(d))
	}
	for _, k := range req.Tags {
		if t := r.copies.Tag(k); t != nil {
			res.Tags[k] = t.TagMapping
			continue
		}
		missing.Tags, turns = append(missing.Tags, k), append(turns, r.copies.TagTurn(k))
	}
	if len(turns) == 0 {
		return res, nil
	}
	read, err := r.read(ctx, missing, false)
	if err != nil {
		return gate.ReadResult{}, err
	}
	for i, d := range missing.Digests {
		e := read.Digests[d]
		res.Digests[d] = e
		if e.Record.Settled() && !req.AllJobs {
			r.copies.KeepEntry(d, copies.Entry{Entry: e}, turns[i])
		}
	}
	for i, k := range missing.Tags {
		if m, ok := read.Tags[k]; ok {
			res.Tags[k] = m
			r.copies.KeepTag(k, &copies.Tag{TagMapping: m}, turns[len(missing.Digests)+i])
		}
	}
	res.Now = read.Now
	return res, nil
}

// changed is what a transaction has written that there may be copies of.
type changed struct {
	digests []gate.Digest
	tags    []gate.TagKey
}

// dropChanged drops the copies of what a transaction has written, or may have written
// when its end is not known. It is called before anybody is told of its end.
func (t *tx) dropChanged() {
	for _, d := range t.wrote.digests {
		t.store.copies.DropEntry(d)
	}
	for _, k := range t.wrote.tags {
		t.store.copies.DropTag(k)
	}
	t.wrote = changed{}
}

// foreign drops all copies when another program has written to the file, which the lock
// keeps from every digestgate and from nobody else. An error is for the write that follows.
func (w *writer) foreign() {
	t := &tx{writer: w, store: w.store}
	var version int64
	if err := t.row(`PRAGMA data_version`).Scan(&version); err != nil {
		w.store.copies.DropAll()
		return
	}
	if w.version != 0 && w.version != version {
		w.store.copies.DropAll()
		w.store.options.Logger.Warn("another program has written to the store's file; stop the server before you change it", "file", w.store.path)
	}
	w.version = version
}
