package match

import (
	"fmt"
	"runtime"
	"testing"

	dbtypes "github.com/aquasecurity/trivy-db/pkg/types"
)

// TestDetailsAreBounded: by what they take, however many references they have.
func TestDetailsAreBounded(t *testing.T) {
	for name, references := range map[string]int{"none": 0, "usual": 15, "many": 400} {
		t.Run(name, func(t *testing.T) {
			before := heapNow()
			d := newDetails()
			for i := 0; d.bytes < maxDetailBytes*9/10; i++ {
				v := dbtypes.Vulnerability{
					Title:          fmt.Sprintf("%080d", i),
					VendorSeverity: dbtypes.VendorSeverity{"nvd": 1, "debian": 2, "ubuntu": 3},
					CVSS:           dbtypes.VendorCVSS{"nvd": {V3Vector: fmt.Sprintf("%044d", i)}},
				}
				for r := range references {
					v.References = append(v.References, fmt.Sprintf("https://example.org/%060d/%d", i, r))
				}
				id := fmt.Sprintf("CVE-2026-%07d", i)
				d.keep(id, v)
				d.keep(id, v)
			}
			grown := heapNow() - before
			t.Logf("%d records say %d KiB, the heap grew by %d", len(d.byID), d.bytes>>10, grown>>10)
			if grown > 2*d.bytes || grown < d.bytes/2 {
				t.Errorf("%d bytes are counted, and the heap grew by %d", d.bytes, grown)
			}
			if d.keep("last", dbtypes.Vulnerability{Title: string(make([]byte, maxDetailBytes/5))}); d.bytes > maxDetailBytes || len(d.byID) != 1 {
				t.Errorf("full, it has %d records of %d bytes", len(d.byID), d.bytes)
			}
		})
	}
}

func heapNow() int {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int(m.HeapAlloc)
}
