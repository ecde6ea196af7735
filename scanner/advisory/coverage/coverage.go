// Package coverage is what the sources of a database say about each of its buckets: how
// much "no finding" means there. A database that was built here has it in a root bucket of
// its own; Trivy's has none. Its functions are pure and safe for concurrent use.
package coverage

import (
	"encoding/json"
	"fmt"
	"slices"
	"time"
)

// RootBucket is the root bucket with the records, by the names of the buckets that they
// are about.
const RootBucket = "digestgate coverage"

// Record is about one bucket.
type Record struct {
	Bucket string `json:"bucket,omitempty"`
	// Sources are the formats that the rows come from ("OVAL", "updateinfo"), sorted.
	Sources []string `json:"sources"`
	// Newest is the time of the newest advisory, zero where they tell none.
	Newest time.Time `json:"newest,omitzero"`
	Rows   int       `json:"rows"`
	// Unfixed says that the sources tell of flaws without a fix, too. Where they do not, a
	// package without a finding may have flaws that nobody has fixed.
	Unfixed bool `json:"unfixed"`
	// Gaps are statements that could not be understood and are left out.
	Gaps int `json:"gaps,omitempty"`
}

// Encode is the record as the root bucket has it, under the name of its bucket.
func (r Record) Encode() ([]byte, error) {
	r.Bucket = ""
	return json.Marshal(r)
}

// Decode reads a record of the root bucket.
func Decode(bucket, value []byte) (Record, error) {
	var r Record
	if err := json.Unmarshal(value, &r); err != nil {
		return r, fmt.Errorf("coverage of bucket %q: %w", bucket, err)
	}
	r.Bucket = string(bucket)
	return r, nil
}

// Join is the record of a bucket with the rows of both.
func Join(a, b Record) Record {
	for _, s := range b.Sources {
		if !slices.Contains(a.Sources, s) {
			a.Sources = append(slices.Clip(a.Sources), s)
		}
	}
	slices.Sort(a.Sources)
	if b.Newest.After(a.Newest) {
		a.Newest = b.Newest
	}
	a.Rows, a.Gaps = max(a.Rows, b.Rows), a.Gaps+b.Gaps
	a.Unfixed = a.Unfixed || b.Unfixed
	return a
}
