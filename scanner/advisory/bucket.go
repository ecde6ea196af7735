package advisory

import (
	"cmp"
	"slices"
	"strings"

	bolt "go.etcd.io/bbolt"

	"github.com/digestgate/digestgate/scanner/advisory/coverage"
)

// Root buckets of trivy-db that hold something else than advisories
// (trivy-db pkg/db: vulnerability.go, data_source.go, redhat_cpe.go). The last
// three exist only while upstream builds; a database that still has them is
// usable.
const (
	detailBucket     = "vulnerability"
	sourceBucket     = "data-source"
	redHatCPEBucket  = "Red Hat CPE"
	buildingAdvisory = "advisory-detail"
	buildingDetail   = "vulnerability-detail"
	buildingID       = "vulnerability-id"
)

func isAdvisoryBucket(name string) bool {
	switch name {
	case detailBucket, sourceBucket, redHatCPEBucket, coverage.RootBucket, buildingAdvisory, buildingDetail, buildingID:
		return false
	}
	return true
}

// BucketCount is the size of one root bucket: one release of a distribution
// ("debian 12") or one source of a language's packages ("go::The Go
// Vulnerability Database").
type BucketCount struct {
	Name       string `json:"name"`
	Packages   int    `json:"packages"`
	Advisories int    `json:"advisories"`
}

// Ecosystem is the bucket's name without release or source: "debian", "go".
func (b BucketCount) Ecosystem() string {
	if eco, _, ok := strings.Cut(b.Name, "::"); ok {
		return eco
	}
	fields := strings.Fields(b.Name)
	if n := len(fields) - 1; n > 0 {
		last := fields[n]
		if last == "edge" || last[0] >= '0' && last[0] <= '9' || strings.HasPrefix(last, "V10") { // Kylin V10-SP3
			return strings.Join(fields[:n], " ")
		}
	}
	return b.Name
}

// Summary is what a database holds.
type Summary struct {
	Buckets         []BucketCount `json:"buckets"`             // sorted by name
	Vulnerabilities int           `json:"vulnerabilities"`     // records with severity, title, references
	Bytes           int64         `json:"bytes"`               // size of trivy.db
	RedHatCPE       int           `json:"redHatCPE,omitempty"` // products that Red Hat's content sets are mapped to
	// Coverage is what the sources of a database that was built here say about its buckets.
	Coverage []coverage.Record `json:"coverage,omitempty"`

	shapes map[string]shape // by bucket
}

// Advisories is the number over all buckets.
func (s Summary) Advisories() int {
	n := 0
	for _, b := range s.Buckets {
		n += b.Advisories
	}
	return n
}

// EcosystemCount adds up the buckets of one ecosystem.
type EcosystemCount struct {
	Ecosystem  string `json:"ecosystem"`
	Buckets    int    `json:"buckets"`
	Packages   int    `json:"packages"`
	Advisories int    `json:"advisories"`
}

// Ecosystems groups the buckets, sorted by name.
func (s Summary) Ecosystems() []EcosystemCount {
	byName := map[string]EcosystemCount{}
	for _, b := range s.Buckets {
		e := byName[b.Ecosystem()]
		e.Ecosystem = b.Ecosystem()
		e.Buckets++
		e.Packages += b.Packages
		e.Advisories += b.Advisories
		byName[e.Ecosystem] = e
	}
	out := make([]EcosystemCount, 0, len(byName))
	for _, e := range byName {
		out = append(out, e)
	}
	slices.SortFunc(out, func(a, b EcosystemCount) int { return cmp.Compare(a.Ecosystem, b.Ecosystem) })
	return out
}

// rootNames lists the root buckets of a transaction in key order.
func rootNames(tx *bolt.Tx) []string {
	var names []string
	_ = tx.ForEach(func(name []byte, _ *bolt.Bucket) error { // the function never fails
		names = append(names, string(name))
		return nil
	})
	return names
}
