package match

import (
	"maps"
	"sync"

	trivydb "github.com/aquasecurity/trivy-db/pkg/db"
	dbtypes "github.com/aquasecurity/trivy-db/pkg/types"
)

// maxDetails bounds the cache: about 1 kB each without descriptions, 50 MB. A
// busy installation sees some 20,000 different vulnerabilities.
const maxDetails = 50_000

// details caches the records of vulnerabilities of one database, which take a
// quarter of a match to decode. It is safe for concurrent use.
type details struct {
	mu   sync.RWMutex
	byID map[string]dbtypes.Vulnerability
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
	v.Description, v.Custom, v.CweIDs = "", nil, nil // not in findings, and most of the bytes
	o.cache.mu.Lock()
	defer o.cache.mu.Unlock()
	if len(o.cache.byID) >= maxDetails {
		clear(o.cache.byID) // cheaper than an order of use, and rare
	}
	o.cache.byID[id] = v
	return v
}
