package match_test

import (
	"encoding/json"
	"testing"

	ftypes "github.com/aquasecurity/trivy/pkg/fanal/types"
	"github.com/google/go-cmp/cmp"
	"github.com/package-url/packageurl-go"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/scanner/inventory"
)

// TestMatch_stored: an inventory gives the same findings fresh from the
// analysis and after it was stored, decoded and stored again.
func TestMatch_stored(t *testing.T) {
	m := samples(t)
	detail := ftypes.ArtifactDetail{
		OS: ftypes.OS{Family: ftypes.Alpine, Name: "3.8.5"}, Repository: &ftypes.Repository{Family: ftypes.Alpine, Release: "3.9"},
		Packages: ftypes.Packages{
			{
				ID: "musl@1.1.20-r4", Name: "musl", Version: "1.1.20-r4", SrcName: "musl", SrcVersion: "1.1.20-r4", Arch: "x86_64",
				Identifier:     ftypes.PkgIdentifier{UID: "a", PURL: &packageurl.PackageURL{Type: "apk", Name: "musl", Version: "1.1.20-r4"}},
				Layer:          ftypes.Layer{DiffID: string(image), Digest: "sha256:0"},
				InstalledFiles: []string{"lib/libc.so"},
			},
		},
		Applications: ftypes.Applications{
			{Type: ftypes.GoBinary, FilePath: "b", Packages: ftypes.Packages{{ID: "golang.org/x/text@v0.3.0", Name: "golang.org/x/text", Version: "v0.3.0", Relationship: ftypes.RelationshipIndirect}}},
			{Type: ftypes.NodePkg, Packages: ftypes.Packages{{ID: "lodash@4.0.0", Name: "lodash", Version: "4.0.0", FilePath: "x/package.json"}}},
		},
	}
	fresh := inventory.FromDetail(detail)
	fresh.Digest = image
	b, err := json.Marshal(fresh)
	if err != nil {
		t.Fatal(err)
	}
	var stored gate.Inventory
	if err := json.Unmarshal(b, &stored); err != nil {
		t.Fatal(err)
	}
	want, got := find(t, m, fresh), find(t, m, &stored)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("findings after storing (-fresh +stored):\n%s", diff)
	}
	if len(got.Vulnerabilities) != 6 || got.Vulnerabilities[5].Package != "musl" || got.Vulnerabilities[5].Layer != image || got.Vulnerabilities[5].PURL != "pkg:apk/musl@1.1.20-r4" {
		t.Errorf("findings: got %+v", rows(got))
	}
}
