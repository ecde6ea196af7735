package gate

import (
	"maps"
	"slices"
	"strings"
	"time"
)

// Generation is one activation of advisory data. Number is issued by the
// store and grows by one with each activation, also when old content comes
// back.
type Generation struct {
	Number  int64  `json:"number"`
	Content Digest `json:"content"`
	// UpdatedAt is the time of the data, from its metadata; of its oldest part where they
	// differ. It may be UnknownTime.
	UpdatedAt   time.Time `json:"updatedAt"`
	ActivatedAt time.Time `json:"activatedAt"`
	// Ages are the times of the parts; nil where all are of UpdatedAt. They follow from
	// Content.
	Ages *AdvisoryAges `json:"-"`
}

// AdvisoryAges are the times of the buckets of a generation whose parts are not of one
// time. It does not change.
type AdvisoryAges struct {
	rest time.Time            // of each bucket that is not named
	of   map[string]time.Time // by bucket
	// first has the oldest bucket of each ecosystem that has several, by "go::".
	first map[string]string
	// oldest is the bucket of the oldest time, "" when that is rest.
	oldest string
}

// DetailBucket holds the severities and titles of vulnerabilities: what is found in any
// image depends on it.
const DetailBucket = "vulnerability"

// maxUses bounds what a summary says of buckets, in bytes: one for each ecosystem that
// there is has some hundred.
const maxUses = 400

// JoinUses writes down which buckets of the advisory data findings depend on: names such
// as "debian 12", and "go::" for all buckets of an ecosystem. It is "" for more than a
// summary has room for, which stands for all buckets.
func JoinUses(buckets []string) string {
	list := append([]string{DetailBucket}, buckets...)
	slices.Sort(list)
	text := strings.Join(slices.Compact(list), "\n")
	if len(text) > maxUses {
		return ""
	}
	return text
}

// NewAdvisoryAges are the times of buckets, and rest that of all others; nil when all are
// of rest.
func NewAdvisoryAges(rest time.Time, of map[string]time.Time) *AdvisoryAges {
	a := &AdvisoryAges{rest: rest, of: map[string]time.Time{}, first: map[string]string{}}
	at := rest
	for _, bucket := range slices.Sorted(maps.Keys(of)) {
		if of[bucket].Equal(rest) {
			continue
		}
		a.of[bucket] = of[bucket]
		if of[bucket].Before(at) {
			a.oldest, at = bucket, of[bucket]
		}
		if ecosystem, _, ok := strings.Cut(bucket, "::"); ok {
			ecosystem += "::"
			if first, known := a.first[ecosystem]; !known || of[bucket].Before(of[first]) {
				a.first[ecosystem] = bucket
			}
		}
	}
	if len(a.of) == 0 {
		return nil
	}
	return a
}

// AgeFor is the time by which an image is judged whose findings depend on the buckets of
// uses (see [JoinUses]), and whose that is: the oldest of them. bucket is "" where it is
// the time of the others. Where uses is "" it is the oldest of all.
func (g *Generation) AgeFor(uses string) (at time.Time, bucket string) {
	switch {
	case g.Ages == nil:
		return g.UpdatedAt, ""
	case uses == "":
		return g.Ages.at(g.Ages.oldest), g.Ages.oldest
	}
	found := false
	for name := range strings.SplitSeq(uses, "\n") {
		if first, several := g.Ages.first[name]; several && g.Ages.of[first].Before(g.Ages.rest) {
			name = first
		}
		if of := g.Ages.at(name); !found || of.Before(at) {
			at, bucket, found = of, name, true
		}
	}
	if _, own := g.Ages.of[bucket]; !own {
		bucket = ""
	}
	return at, bucket
}

// AgeBut is AgeFor where buckets that skip reports count as of the time of the others.
func (g *Generation) AgeBut(uses string, skip func(bucket string) bool) time.Time {
	if g.Ages == nil {
		return g.UpdatedAt
	}
	of := maps.Clone(g.Ages.of)
	maps.DeleteFunc(of, func(bucket string, _ time.Time) bool { return skip(bucket) })
	but := *g
	if but.Ages = NewAdvisoryAges(g.Ages.rest, of); but.Ages == nil {
		return g.Ages.rest
	}
	at, _ := but.AgeFor(uses)
	return at
}

// at is the time of a bucket.
func (a *AdvisoryAges) at(bucket string) time.Time {
	if at, ok := a.of[bucket]; ok {
		return at
	}
	return a.rest
}

// Times are those that the parts have, each once: whatever an image uses, AgeFor is one of
// them.
func (g *Generation) Times() []time.Time {
	if g.Ages == nil {
		return []time.Time{g.UpdatedAt}
	}
	times := []time.Time{g.Ages.rest}
	for _, at := range g.Ages.of {
		if !slices.ContainsFunc(times, at.Equal) {
			times = append(times, at)
		}
	}
	slices.SortFunc(times, time.Time.Compare)
	return times
}

// Rest is the time of the buckets that have none of their own.
func (g *Generation) Rest() time.Time {
	if g.Ages == nil {
		return g.UpdatedAt
	}
	return g.Ages.rest
}
