package match

import (
	"maps"
	"sync"

	trivydb "github.com/aquasecurity/trivy-db/pkg/db"
	dbtypes "github.com/aquasecurity/trivy-db/pkg/types"

	"github.com/digestgate/digestgate/scanner/advisory/alias"
)

// maxDetailBytes bounds the cache. A record has about 2 kB without its description,
// 50 kB with hundreds of references, and a busy installation sees some 20,000
// different vulnerabilities.
const maxDetailBytes = 64 << 20

// details caches the records of vulnerabilities of one database, which take a
// quarter of a match to decode. It is safe for concurrent use.
type details struct {
	mu    sync.RWMutex
	byID  map[string]dbtypes.Vulnerability
	bytes int // of all of them, about
}

func newDetails() *details { return &details{byID: map[string]dbtypes.Vulnerability{}} }

// operation is what Trivy's severity selection reads records through.
type operation struct {
	trivydb.Config
	cache *details
}

// GetVulnerability returns a record whose map of severities is the caller's
// own: Trivy writes into it (pkg/vulnerability.FillInfo). A vulnerability
// without a record has an empty one; Trivy then grades it as unknown, as it
// does after an error, but does not log each of them.
func (o operation) GetVulnerability(id string) (dbtypes.Vulnerability, error) {
	o.cache.mu.RLock()
	v, ok := o.cache.byID[id]
	o.cache.mu.RUnlock()
	if !ok {
		v = o.load(id)
	}
	v.VendorSeverity = maps.Clone(v.VendorSeverity)
	return v, nil
}

func (o operation) load(id string) dbtypes.Vulnerability {
	// The error stands for "no record" and for one that does not decode;
	// neither says more than the empty record.
	v, _ := o.Config.GetVulnerability(id)
	names := alias.Of(&v)
	v.Description, v.Custom, v.CweIDs = "", nil, nil // not in findings, and most of the bytes
	alias.Put(&v, names...)
	o.cache.mu.Lock()
	defer o.cache.mu.Unlock()
	o.cache.keep(id, v)
	return v
}

// keep is called with mu held.
func (d *details) keep(id string, v dbtypes.Vulnerability) {
	if _, ok := d.byID[id]; ok {
		return // another match was faster
	}
	n := detailBytes(id, v)
	if d.bytes += n; d.bytes > maxDetailBytes {
		clear(d.byID) // cheaper than an order of use, and rare
		d.bytes = n
	}
	d.byID[id] = v
}

// detailBytes is approximately the memory that a record takes in the cache: its texts,
// 400 bytes for its place in the map, and 150 bytes or more for each entry of its maps.
func detailBytes(id string, v dbtypes.Vulnerability) int {
	n := 400 + len(id) + len(v.Title) + len(v.Severity) + 16*cap(v.References)
	for _, ref := range v.References {
		n += len(ref)
	}
	n += 40 * len(alias.Of(&v))
	for source := range v.VendorSeverity {
		n += len(source) + 150
	}
	for source, score := range v.CVSS {
		n += len(source) + len(score.V2Vector) + len(score.V3Vector) + len(score.V40Vector) + 250
	}
	return n
}
