package advisory

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/digestgate/digestgate/gate"
)

// How far the rows of a bucket may be from those of the generation in force. Upstream lost
// whole sources without an error (vuln-list-update#451, trivy-db#375); what was hollow had
// lost far more than a fifth, and no ordinary day changes as much. A few rows say
// nothing: a small bucket loses two when an identifier is rejected.
const (
	maxFall     = 5 // at most one in this many may go
	fallSlack   = 2 // rows, or packages
	maxGrowth   = 5 // times as many
	growthSlack = 1000
)

// Rules are what a new database is judged by, besides the one in force.
type Rules struct {
	// Own says that it is the operator's own, which need not reach the minimums that are
	// shipped for a first start.
	Own bool
	// Accepted reports whether the operator has accepted what is wrong with a bucket; nil
	// accepts nothing.
	Accepted func(bucket string) bool
}

// BucketFinding is why the rows of one bucket are refused.
type BucketFinding struct {
	Bucket        string
	Before, After int    // rows in force, and offered
	Reason        string // for people
}

// Judgement is what is wrong with a new database. Its zero value says that nothing is.
type Judgement struct {
	// Whole refuses all of it; it wraps gate.ErrInvalid.
	Whole error
	// Buckets are refused each for itself, sorted by name: those keep the rows of the
	// generation in force, and the rest may be activated.
	Buckets []BucketFinding
}

// Judge compares a database with the generation in force, nil for none. Both were read by
// [Inspect], which refuses what is damaged, of another schema or empty.
//
// The whole is refused if it is older than what is in force, if the records of
// vulnerabilities have gone, without which no severity is known, and, with nothing in
// force, if it is smaller than every database that was ever published.
func Judge(candidate, inForce *Database, r Rules) Judgement {
	if r.Accepted == nil {
		r.Accepted = func(string) bool { return false }
	}
	if candidate.Summary.Advisories() == 0 {
		return Judgement{Whole: fmt.Errorf("it holds no advisory, so that every image would look clean: %w", gate.ErrInvalid)}
	}
	if inForce == nil {
		return Judgement{Whole: belowMinimum(candidate.Summary, r)}
	}
	var j Judgement
	if candidate.UpdatedAt.Before(inForce.UpdatedAt) {
		j.Whole = fmt.Errorf("it is of %s, older than the data in force of %s: %w",
			candidate.UpdatedAt.Format(time.RFC3339), inForce.UpdatedAt.Format(time.RFC3339), gate.ErrInvalid)
		return j
	}
	if why := outOfBand("records of vulnerabilities", inForce.Summary.Vulnerabilities, candidate.Summary.Vulnerabilities); why != "" && !r.Accepted(detailBucket) {
		j.Whole = fmt.Errorf("bucket %q: %s: %w", detailBucket, why, gate.ErrInvalid)
		return j
	}
	j.Buckets = judgeBuckets(candidate.Summary, inForce.Summary, r)
	return j
}

func judgeBuckets(candidate, inForce Summary, r Rules) (found []BucketFinding) {
	offered := map[string]BucketCount{}
	for _, b := range candidate.Buckets {
		offered[b.Name] = b
	}
	for _, was := range inForce.Buckets {
		is := offered[was.Name]
		why := outOfBand("advisories", was.Advisories, is.Advisories)
		if why == "" {
			why = outOfBand("packages", was.Packages, is.Packages)
		}
		if why == "" && was.Name == redHatBucket {
			// Its advisories are found by these only.
			why = outOfBand("entries of "+redHatCPEBucket, inForce.RedHatCPE, candidate.RedHatCPE)
		}
		if why != "" && !r.Accepted(was.Name) {
			found = append(found, BucketFinding{was.Name, was.Advisories, is.Advisories, why})
		}
	}
	slices.SortFunc(found, func(a, b BucketFinding) int { return cmp.Compare(a.Bucket, b.Bucket) })
	return found
}

// redHatBucket are the advisories whose products redHatCPEBucket tells.
const redHatBucket = "Red Hat"

// outOfBand says why a number of rows is too far from what it was; "" when it is not.
func outOfBand(what string, before, after int) string {
	fall := before - after
	switch {
	case before == 0:
		return ""
	case after == 0:
		return fmt.Sprintf("it has no %s, %d are in force", what, before)
	case fall > fallSlack && fall*maxFall > before:
		return fmt.Sprintf("it has %d %s, %d are in force: %d %% less, more than %d %% are refused", after, what, before, 100*fall/before, 100/maxFall)
	case after > before*maxGrowth && -fall > growthSlack:
		return fmt.Sprintf("it has %d %s, %d are in force: more than %d times as many are refused", after, what, before, maxGrowth)
	}
	return ""
}

// minimums are the rows that every database of Trivy's project has had for years, by
// ecosystem, far below what it has today: what is below lost its sources. They are for a
// first start, when there is nothing to compare with.
var minimums = []struct {
	ecosystem string
	rows      int
}{
	{"alma", 1_000}, {"alpine", 2_000}, {"amazon linux", 2_000}, {"debian", 20_000}, {"Oracle Linux", 2_000},
	{"Red Hat", 10_000}, {"rocky", 500}, {"SUSE Linux Enterprise", 2_000}, {"ubuntu", 20_000},
	{"composer", 300}, {"go", 500}, {"maven", 1_000}, {"npm", 1_000}, {"nuget", 100}, {"pip", 500}, {"rubygems", 200},
}

// minimumDetails is likewise for the records of vulnerabilities: NVD had more in 2018.
const minimumDetails = 100_000

// belowMinimum refuses what is smaller than [minimums]. Nothing can be kept of a former
// generation: the whole is refused.
func belowMinimum(s Summary, r Rules) error {
	if r.Own {
		return nil
	}
	rows := map[string]int{}
	for _, e := range s.Ecosystems() {
		rows[e.Ecosystem] = e.Advisories
	}
	var missing []string
	if s.Vulnerabilities < minimumDetails && !r.Accepted(detailBucket) {
		missing = append(missing, fmt.Sprintf("%d records of vulnerabilities, want %d", s.Vulnerabilities, minimumDetails))
	}
	for _, m := range minimums {
		if rows[m.ecosystem] < m.rows && !r.Accepted(m.ecosystem) {
			missing = append(missing, fmt.Sprintf("%s %d, want %d", m.ecosystem, rows[m.ecosystem], m.rows))
		}
	}
	if len(missing) == 0 {
		return nil
	}
	const most = 5
	more := ""
	if len(missing) > most {
		more = fmt.Sprintf("; and %d more", len(missing)-most)
		missing = missing[:most]
	}
	return fmt.Errorf("it has fewer advisories than Trivy's database ever had (%s%s), and nothing is in force to compare it with: if it is a database of your own, say so with own: true at the repository, else wait for the next one or accept it: %w",
		strings.Join(missing, "; "), more, gate.ErrInvalid)
}
