package alias

import (
	"encoding/json"
	"fmt"
	"slices"
	"testing"

	"github.com/aquasecurity/trivy-db/pkg/types"
	"github.com/google/go-cmp/cmp"
)

// TestPut: what is put is found again, also after it was written, and what is no CVE is
// not.
func TestPut(t *testing.T) {
	var v types.Vulnerability
	Put(&v, "CVE-2026-0002", "GHSA-x", "CVE-2026-0001", "CVE-2026-0002", "cve-2026-3")
	want := []string{"CVE-2026-0001", "CVE-2026-0002"}
	if diff := cmp.Diff(want, Of(&v)); diff != "" {
		t.Error(diff)
	}
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	var read types.Vulnerability
	if err := json.Unmarshal(text, &read); err != nil {
		t.Fatal(err)
	}
	Put(&read, "CVE-2026-0003")
	if diff := cmp.Diff(append(want, "CVE-2026-0003"), Of(&read)); diff != "" {
		t.Errorf("read from %s: %s", text, diff)
	}
	var many []string
	for i := range 2 * Most {
		many = append(many, fmt.Sprintf("CVE-2026-%05d", i))
	}
	Put(&v, many...)
	if n := len(Of(&v)); n != Most {
		t.Errorf("%d aliases are kept, want %d", n, Most)
	}
	for _, hostile := range []string{`{"aliases": "CVE-2026-0001"}`, `{"aliases": [1, null, "x", {"a": 1}]}`, `[]`, `null`, `7`} {
		var v types.Vulnerability
		if err := json.Unmarshal([]byte(`{"Custom": `+hostile+`}`), &v); err != nil || len(Of(&v)) != 0 {
			t.Errorf("%s: got %v, %v", hostile, Of(&v), err)
		}
	}
}

// TestInReferences: of an advisory of SUSE, as trivy-db keeps it, the pages of its CVEs
// tell which ones it is about. Nothing else does.
func TestInReferences(t *testing.T) {
	refs := []string{
		"https://www.suse.com/support/update/announcement/2024/suse-su-20241142-1/", "https://bugzilla.suse.com/1221665",
		"https://www.suse.com/security/cve/CVE-2024-2004/", "https://www.suse.com/security/cve/CVE-2024-2398.html", "https://www.suse.com/security/cve/CVE-2024-2004/",
		"https://evil.example.com/security/cve/CVE-2024-0001/", "https://nvd.nist.gov/vuln/detail/CVE-2024-0002", "https://www.suse.com/security/CVE-2024-0003", "://",
	}
	got := InReferences("SUSE-SU-2024:1142-1", refs)
	slices.Sort(got)
	if diff := cmp.Diff([]string{"CVE-2024-2004", "CVE-2024-2398"}, got); diff != "" {
		t.Error(diff)
	}
	if got := InReferences("GHSA-aaaa-bbbb-cccc", refs); got != nil {
		t.Errorf("of another's advisory: got %q", got)
	}
}
