package redis

import (
	"crypto/sha1"
	"encoding/hex"
	"strconv"

	"github.com/redis/go-redis/v9"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/gate/copies"
)

// What a review reads of a value that this process has a copy of is its version: the
// server is told which value the copy is of, and answers whether it still holds that one,
// or with all of it. The version is a hash of the value as it is stored, with the signature
// that covers its place, epoch and content. A value that is missing, changed, or not signed
// has another one, and is read and checked like one that was never read. The server's word
// that nothing has changed gives no more power than it has: to put back the value that the
// copy is of. That is found by the stamp, as for a value that was read: see [seals.fresh].

// Admission is the reader for admission: it has connections of its own, so that
// a review never waits for those that carry inventories, and gives up sooner. Its records
// have no standing verdicts.
func (s *Store) Admission() gate.Reader { return reader{Store: s, client: s.reads, copied: true} }

// Copies are the copies of what admission has read. They may be outdated: a read says
// whether they are.
func (r reader) Copies() (c *copies.Copies, current bool) { return r.copies, false }

// versionOf is how a reader describes its copy of a stored value to the script same. The
// hash is the one that scripts have; it must tell honest values apart and need not
// withstand more, because the value behind it was signed.
func versionOf(stored string, fields int) string {
	sum := sha1.Sum([]byte(stored))
	return hex.EncodeToString(sum[:]) + " " + strconv.Itoa(fields)
}

// oldEntry and oldTag are the copies to ask about, without a seal where there are none. A
// copy that was checked with other keys than those in force is read again. A copy is one
// more witness of the stamp that was seen, which may be forgotten otherwise.
func (r reader) oldEntry(d gate.Digest, keys int64) *copies.Entry {
	if r.copied {
		if e := r.copies.Entry(d); e != nil && e.Keys == keys {
			r.seals.wrote(r.keys.record(d), e.Order)
			return e
		}
	}
	return &copies.Entry{}
}

func (r reader) oldTag(k gate.TagKey, keys int64) *copies.Tag {
	if r.copied {
		if t := r.copies.Tag(k); t != nil && t.Keys == keys {
			r.seals.wrote(r.keys.tag(k), t.Order)
			return t
		}
	}
	return &copies.Tag{}
}

// unchanged reports whether a script has said that the value is that of the copy.
func unchanged(answer any) bool {
	n, ok := answer.(int64)
	return ok && n == 1
}

// entry is what a script has answered about a record: the copy, or what is stored.
func (r reader) entry(d gate.Digest, old *copies.Entry, cmd *redis.Cmd, mark int64) (gate.Record, copies.Proof) {
	answer, _ := cmd.Slice() // its error has ended the read before
	if old.Seal == "" || len(answer) != 1 || !unchanged(answer[0]) {
		record, proof := r.shown(d, cmd, mark)
		if r.copied {
			record = copies.Shown(record)
		}
		return record, proof
	}
	if err := r.seals.fresh(r.keys.record(d), old.Order, mark); err != nil {
		r.reject("record", string(d), err)
		r.mend.ask(d)
		return gate.Record{}, copies.Proof{}
	}
	return old.Record, old.Proof
}

// tag is what a script has answered about a tag: the copy, or what is stored.
func (r reader) tag(k gate.TagKey, old *copies.Tag, cmd *redis.Cmd, mark int64) *copies.Tag {
	if old.Seal == "" || !unchanged(cmd.Val()) {
		stored := stringOf(cmd)
		m, stamp, found := r.mapping(k, stored, mark)
		if !found {
			return nil
		}
		return &copies.Tag{TagMapping: m, Proof: copies.Proof{Seal: versionOf(stored, 0), Order: stamp}}
	}
	if err := r.seals.fresh(r.keys.tag(k), old.Order, mark); err != nil {
		r.reject("tag", k.String(), err)
		return nil
	}
	return old
}

// keep keeps what admission has read. turns are those of the digests, then of the tags.
func (r reader) keep(f *fetched, res *gate.ReadResult) {
	if !r.copied {
		return
	}
	for i, d := range f.req.Digests {
		e := copies.Entry{Entry: res.Digests[d], Proof: f.proofs[i]}
		if old := f.entries[i]; old.Seal == "" || old.Seal != e.Seal || !e.Record.Settled() {
			e.Keys = f.keys
			r.copies.KeepEntry(d, e, f.turns[i])
		}
	}
	for i, k := range f.req.Tags {
		t := f.found[i]
		if t != nil && t == f.tags[i] {
			continue
		}
		if t != nil {
			t.Keys = f.keys
		}
		r.copies.KeepTag(k, t, f.turns[len(f.req.Digests)+i])
	}
}
