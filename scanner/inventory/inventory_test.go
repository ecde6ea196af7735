package inventory

import (
	"encoding/json"
	"math/rand/v2"
	"strings"
	"testing"

	ftypes "github.com/aquasecurity/trivy/pkg/fanal/types"
	"github.com/google/go-cmp/cmp"
	"github.com/package-url/packageurl-go"

	"github.com/digestgate/digestgate/gate"
)

const diffID = "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

func detail() ftypes.ArtifactDetail {
	return ftypes.ArtifactDetail{
		OS:         ftypes.OS{Family: ftypes.Alpine, Name: "3.20.3", Extended: true, Eosl: true, Supplier: ftypes.SupplierSeal},
		Repository: &ftypes.Repository{Family: ftypes.Alpine, Release: "edge"},
		Packages: ftypes.Packages{
			{ID: "zlib@1.3", Name: "zlib", Version: "1.3", SrcName: "zlib", SrcVersion: "1.3"},
			{
				ID: "bash@5.2", Name: "bash", Version: "5.2", Release: "r1", Epoch: 2, Arch: "x86_64", Dev: true,
				SrcName: "bash-src", SrcVersion: "5.2.1", SrcRelease: "r2", SrcEpoch: 3, Licenses: []string{"GPL-3.0"},
				Modularitylabel: "nodejs:12:8030:1", FilePath: "lib/apk/db/installed", Indirect: true,
				BuildInfo:    &ftypes.BuildInfo{ContentSets: []string{"rhel-8"}, Nvr: "ubi8-8", Arch: "x86_64"},
				Repository:   ftypes.PackageRepository{Class: ftypes.RepositoryClassThirdParty},
				Relationship: ftypes.RelationshipDirect,
				Layer:        ftypes.Layer{DiffID: diffID, Digest: "sha256:ignored"},
				Identifier: ftypes.PkgIdentifier{UID: "u1", PURL: &packageurl.PackageURL{
					Type: "apk", Namespace: "alpine", Name: "bash", Version: "5.2",
				}},
				AnalyzedBy:     "apk",
				InstalledFiles: []string{"bin/bash"}, Maintainer: "someone", DependsOn: []string{"zlib@1.3"},
			},
		},
		Applications: ftypes.Applications{
			{Type: ftypes.NodePkg, FilePath: "", Packages: ftypes.Packages{{Name: "lodash", Version: "4.17.20", FilePath: "a/package.json"}}},
			{Type: ftypes.GoBinary, FilePath: "bin/app", Packages: ftypes.Packages{{Name: "golang.org/x/text", Version: "v0.3.0"}}},
		},
		Secrets: ftypes.Secrets{{FilePath: "/etc/key", Findings: []ftypes.SecretFinding{{
			RuleID: "private-key", Category: "AsymmetricPrivateKey", Severity: "HIGH", Title: "Private key",
			StartLine: 3, EndLine: 4, Match: "BEGIN verysecret", Layer: ftypes.Layer{DiffID: diffID},
			Code: ftypes.Code{Lines: []ftypes.Line{{Content: "verysecret"}}},
		}}}},
		ImageConfig: ftypes.ImageConfigDetail{Secret: &ftypes.Secret{FilePath: "config.json", Findings: []ftypes.SecretFinding{{
			RuleID: "aws-access-key-id", Severity: "CRITICAL", StartLine: 9, EndLine: 9, Match: "verysecret",
		}}}},
	}
}

// TestFromDetail pins every field by its name in the stored form.
func TestFromDetail(t *testing.T) {
	got := FromDetail(detail())
	want := &gate.Inventory{
		Format:            gate.InventoryFormat,
		OS:                gate.OS{Family: "alpine", Name: "3.20.3", Extended: true, EOL: true, Supplier: "seal"},
		PackageRepository: "alpine edge",
		Packages: []gate.Package{
			{
				ID: "bash@5.2", Name: "bash", Version: "5.2", Release: "r1", Epoch: 2, Arch: "x86_64", Dev: true,
				SrcName: "bash-src", SrcVersion: "5.2.1", SrcRelease: "r2", SrcEpoch: 3, Licenses: []string{"GPL-3.0"},
				ModularityLabel: "nodejs:12:8030:1", FilePath: "lib/apk/db/installed", Indirect: true,
				BuildInfo:  &gate.BuildInfo{ContentSets: []string{"rhel-8"}, Nvr: "ubi8-8", Arch: "x86_64"},
				Repository: &gate.PackageOrigin{Class: "third-party", Name: "someone"}, Relationship: "direct", Layer: diffID,
				UID: "u1", PURL: "pkg:apk/alpine/bash@5.2", AnalyzedBy: "apk",
			},
			{ID: "zlib@1.3", Name: "zlib", Version: "1.3", SrcName: "zlib", SrcVersion: "1.3"},
		},
		Applications: []gate.Application{
			{Type: "gobinary", FilePath: "bin/app", Packages: []gate.Package{{Name: "golang.org/x/text", Version: "v0.3.0"}}},
			{Type: "node-pkg", Packages: []gate.Package{{Name: "lodash", Version: "4.17.20", FilePath: "a/package.json"}}},
		},
		Secrets: []gate.Secret{
			{Rule: "private-key", Category: "AsymmetricPrivateKey", Severity: "HIGH", Title: "Private key", Path: "/etc/key", StartLine: 3, EndLine: 4, Layer: diffID},
			{Rule: "aws-access-key-id", Severity: "CRITICAL", Path: "config.json", StartLine: 9, EndLine: 9},
		},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("FromDetail (-want +got):\n%s", diff)
	}
}

func TestFromDetail_never_keeps_the_secret(t *testing.T) {
	b, err := json.Marshal(FromDetail(detail()))
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(b), "verysecret") {
		t.Errorf("the inventory contains the matched text: %s", b)
	}
}

// TestFromDetail_is_a_function: analysers report in no order.
func TestFromDetail_is_a_function(t *testing.T) {
	want := FromDetail(detail())
	for range 20 {
		d := detail()
		rand.Shuffle(len(d.Packages), func(i, j int) { d.Packages[i], d.Packages[j] = d.Packages[j], d.Packages[i] })
		rand.Shuffle(len(d.Applications), func(i, j int) {
			d.Applications[i], d.Applications[j] = d.Applications[j], d.Applications[i]
		})
		if diff := cmp.Diff(want, FromDetail(d)); diff != "" {
			t.Fatalf("order of the analysers shows (-want +got):\n%s", diff)
		}
	}
}

// TestScanTarget_round_trip: everything that Trivy's detectors read comes back
// after the inventory was stored as JSON.
func TestScanTarget_round_trip(t *testing.T) {
	b, err := json.Marshal(FromDetail(detail()))
	if err != nil {
		t.Fatal(err)
	}
	var inv gate.Inventory
	if err := json.Unmarshal(b, &inv); err != nil {
		t.Fatal(err)
	}
	got := ScanTarget(&inv)

	d := detail()
	d.Sort()
	if diff := cmp.Diff(d.OS, got.OS); diff != "" {
		t.Errorf("OS (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(d.Repository, got.Repository); diff != "" {
		t.Errorf("Repository (-want +got):\n%s", diff)
	}
	want := []ftypes.Package(d.Packages)
	for i := range want {
		p := &want[i]
		p.InstalledFiles, p.Maintainer, p.DependsOn, p.Layer.Digest = nil, "", nil, ""
		if p.Identifier.PURL != nil {
			p.Identifier.BOMRef, p.Identifier.PURL = p.Identifier.PURL.String(), nil
		}
	}
	if diff := cmp.Diff(want, []ftypes.Package(got.Packages)); diff != "" {
		t.Errorf("Packages (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]ftypes.Application(d.Applications), got.Applications); diff != "" {
		t.Errorf("Applications (-want +got):\n%s", diff)
	}
}

func TestScanTarget_shares_nothing(t *testing.T) {
	inv := FromDetail(detail())
	a, b := ScanTarget(inv), ScanTarget(inv)
	a.Packages[0].Name, a.Applications[0].Packages[0].Name = "changed", "changed"
	if b.Packages[0].Name == "changed" || b.Applications[0].Packages[0].Name == "changed" || inv.Packages[0].Name == "changed" {
		t.Error("two targets share memory that the detectors sort in place")
	}
}

func TestFromDetail_empty(t *testing.T) {
	b, err := json.Marshal(FromDetail(ftypes.ArtifactDetail{}))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`"packages":[]`, `"applications":[]`, `"secrets":[]`} {
		if !strings.Contains(string(b), want) {
			t.Errorf("empty inventory has no %s: %s", want, b)
		}
	}
}

// TestFromDetail_layer: a layer digest of a wrong shape is not believed.
func TestFromDetail_layer(t *testing.T) {
	d := ftypes.ArtifactDetail{Packages: ftypes.Packages{{Name: "a", Layer: ftypes.Layer{DiffID: "../../x"}}}}
	if got := FromDetail(d).Packages[0].Layer; got != "" {
		t.Errorf("Layer: got %q, want empty", got)
	}
}
