package advisory

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	bolt "go.etcd.io/bbolt"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/scanner/advisory/composition"
)

// shape is the form of a bucket: whose it is, and what its rows are made of.
type shape struct {
	record composition.Record
	// fields counts, in sampled rows, the fields that they have.
	sampled int
	fields  map[string]int
}

// sampledRows is how many rows of a bucket are looked at: those of the first packages,
// which stay the same from day to day. Decoding all rows would cost more than all else.
const sampledRows = 50

// form notes the form of a bucket.
func (s *Summary) form(tx *bolt.Tx, name string, root *bolt.Bucket) {
	is := shape{record: composition.RecordOf(tx, []byte(name)), fields: map[string]int{}}
	c := root.Cursor()
	for k, v := c.First(); k != nil && is.sampled < sampledRows; k, v = c.Next() {
		if v != nil || root.Bucket(k) == nil {
			continue
		}
		var row map[string]json.RawMessage
		if _, first := root.Bucket(k).Cursor().First(); json.Unmarshal(first, &row) != nil {
			continue
		}
		is.sampled++
		for field := range row {
			if is.fields[field] > 0 || len(is.fields) < 50 {
				is.fields[field]++
			}
		}
	}
	if s.shapes == nil {
		s.shapes = map[string]shape{}
	}
	s.shapes[name] = is
}

// Changed says how a generation differs in its shape from the one that it replaced. It is
// not part of the content.
type Changed struct {
	From gate.Digest `json:"from"` // the content that was replaced
	What string      `json:"what"`
}

// shapeChange says how the form of a database differs from that of the one before: then
// every image of a release or a language may have to be matched again. "" when it does not.
func shapeChange(former, now *Database) string {
	var added, gone, moved, counted, other []string
	before := map[string]BucketCount{}
	for _, b := range former.Summary.Buckets {
		before[b.Name] = b
	}
	for _, b := range now.Summary.Buckets {
		if was := before[b.Name]; was.Advisories >= manyRows && 100*max(b.Advisories-was.Advisories, was.Advisories-b.Advisories) > movedRows*was.Advisories {
			counted = append(counted, fmt.Sprintf("%s (%d, now %d)", b.Name, was.Advisories, b.Advisories))
		}
	}
	for name, is := range now.Summary.shapes {
		was, ok := former.Summary.shapes[name]
		switch {
		case !ok:
			added = append(added, name)
		case otherSource(was.record, is.record):
			moved = append(moved, name)
		default:
			if fields := was.otherFields(is); fields != "" {
				other = append(other, name+" "+fields)
			}
		}
	}
	for name := range former.Summary.shapes {
		if _, ok := now.Summary.shapes[name]; !ok {
			gone = append(gone, name)
		}
	}
	var changes []string
	for _, c := range []struct {
		names     []string
		one, many string
	}{
		{added, "is new", "are new"}, {gone, "has gone", "have gone"}, {moved, "comes from another source", "come from another source"},
		{counted, "has another number of rows", "have other numbers of rows"}, {other, "in its rows", "in their rows"},
	} {
		if text := few(c.names); len(c.names) == 1 {
			changes = append(changes, text+" "+c.one)
		} else if len(c.names) > 1 {
			changes = append(changes, text+" "+c.many)
		}
	}
	return strings.Join(changes, "; ")
}

// otherFields are the fields that nearly all rows have and nearly none had, or the other
// way round. Between the two are fields that some rows have, which changes every day.
func (was shape) otherFields(is shape) string {
	const few, most = 20, 80 // percent
	if was.sampled < fewRows || is.sampled < fewRows {
		return ""
	}
	names := maps.Clone(was.fields)
	maps.Copy(names, is.fields)
	var changes []string
	for _, field := range slices.Sorted(maps.Keys(names)) {
		before, now := 100*was.fields[field]/was.sampled, 100*is.fields[field]/is.sampled
		switch {
		case before < few && now > most:
			changes = append(changes, "has "+gate.Printable(field, 40))
		case before > most && now < few:
			changes = append(changes, "has no "+gate.Printable(field, 40))
		}
	}
	return strings.Join(changes, ", ")
}

const (
	// movedRows is by how many percent the number of a bucket's rows changes on no ordinary
	// day; see maxFall. manyRows is from how many on that says something.
	movedRows = 20
	manyRows  = 100
)

// fewRows are too few to say anything of a bucket's form.
const fewRows = 10

// few names the first of a list.
func few(names []string) string {
	slices.Sort(names)
	const most = 5
	more := ""
	if len(names) > most {
		more = fmt.Sprintf(" and %d more buckets", len(names)-most)
		names = names[:most]
	}
	return gate.Printable(strings.Join(names, ", "), 250) + more
}

// changedFrom notes how a generation differs from the one that it replaces, where that is
// known here.
func (d *Database) changedFrom(former *Database) {
	d.Manifest.Changed = nil
	if former == nil || former.Content == d.Content {
		return
	}
	if what := shapeChange(former, d); what != "" {
		d.Manifest.Changed = &Changed{From: former.Content, What: what}
	}
}

// inUse is what this process matches with, if it has that content; nil otherwise.
func (m *Manager) inUse(content gate.Digest) *Database {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.loaded != nil && m.loaded.Content == content {
		return m.loaded
	}
	return nil
}
