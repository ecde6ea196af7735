package match_test

import (
	"fmt"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/scanner/advisory/statement"
)

// TestPublished: facts of published advisories, each with a vulnerable version and the fixed
// one, for the releases in the table of docs/scanning.md. On 2026-11-30 public reports and
// checks that name CVE and version together confirmed those of Debian (DSA-4963-1; for 9 the
// report of a scanner of images) and Ubuntu 18.04, and a part of those of Ubuntu 16.04 and
// 20.04; of CentOS 7, Ubuntu 22.04 and SUSE that the version was published, not the CVE.
func TestPublished(t *testing.T) {
	for name, c := range map[string]struct {
		os                gate.OS
		bucket, id        string
		pkg, source       string
		vulnerable, fixed string // as packages have them
		stated            statement.Statement
	}{
		"debian_9":     {os: gate.OS{Family: "debian", Name: "9.13"}, bucket: "debian 9", id: "CVE-2021-3712", pkg: "libssl1.1", source: "openssl", vulnerable: "1.1.0l-1~deb9u3", fixed: "1.1.0l-1~deb9u4"},
		"debian_10":    {os: gate.OS{Family: "debian", Name: "10.10"}, bucket: "debian 10", id: "CVE-2021-3711", pkg: "libssl1.1", source: "openssl", vulnerable: "1.1.1d-0+deb10u6", fixed: "1.1.1d-0+deb10u7"},
		"debian_11":    {os: gate.OS{Family: "debian", Name: "11.0"}, bucket: "debian 11", id: "CVE-2021-3711", pkg: "libssl1.1", source: "openssl", vulnerable: "1.1.1k-1", fixed: "1.1.1k-1+deb11u1"},
		"ubuntu_16_04": {os: gate.OS{Family: "ubuntu", Name: "16.04"}, bucket: "ubuntu 16.04", id: "CVE-2020-1971", pkg: "libssl1.0.0", source: "openssl", vulnerable: "1.0.2g-1ubuntu4.17", fixed: "1.0.2g-1ubuntu4.18"},
		"ubuntu_18_04": {os: gate.OS{Family: "ubuntu", Name: "18.04"}, bucket: "ubuntu 18.04", id: "CVE-2021-3711", pkg: "libssl1.1", source: "openssl", vulnerable: "1.1.1-1ubuntu2.1~18.04.9", fixed: "1.1.1-1ubuntu2.1~18.04.13"},
		"ubuntu_20_04": {os: gate.OS{Family: "ubuntu", Name: "20.04"}, bucket: "ubuntu 20.04", id: "CVE-2021-3711", pkg: "libssl1.1", source: "openssl", vulnerable: "1.1.1f-1ubuntu2.5", fixed: "1.1.1f-1ubuntu2.8"},
		"ubuntu_22_04": {os: gate.OS{Family: "ubuntu", Name: "22.04"}, bucket: "ubuntu 22.04", id: "CVE-2022-2097", pkg: "libssl3", source: "openssl", vulnerable: "3.0.2-0ubuntu1.5", fixed: "3.0.2-0ubuntu1.6"},
		"suse_12_5":    {os: gate.OS{Family: "sles", Name: "12.5"}, bucket: "SUSE Linux Enterprise 12.5", id: "CVE-2022-0778", pkg: "libopenssl1_0_0", source: "openssl-1_0_0", vulnerable: "1.0.2p-3.45.1", fixed: "1.0.2p-3.49.1"},
		"suse_15_2":    {os: gate.OS{Family: "sles", Name: "15.2"}, bucket: "SUSE Linux Enterprise 15.2", id: "CVE-2022-0778", pkg: "libopenssl1_0_0", source: "openssl-1_0_0", vulnerable: "1.0.2p-3.45.1", fixed: "1.0.2p-3.49.1"},
		"centos_7":     {os: gate.OS{Family: "centos", Name: "7.9.2009"}, bucket: "Red Hat", id: "CVE-2022-0778", pkg: "openssl-libs", source: "openssl", vulnerable: "1:1.0.2k-24.el7_9", fixed: "1:1.0.2k-25.el7_9"},

		"euleros_sp5": {os: gate.OS{Family: "euleros", Name: "2.0-SP5"}, bucket: "EulerOS 2.0-SP5", id: "CVE-2019-9512", pkg: "golang", source: "golang", vulnerable: "1.12-4.eulerosv2r7", fixed: "1.12-5.eulerosv2r7",
			stated: statement.Statement{Package: "golang", FixedVersion: "1.12-5.eulerosv2r7", VendorIDs: []string{"EulerOS-SA-2019-1967"}}},
		"euleros_sp9": {os: gate.OS{Family: "euleros", Name: "2.0-SP9"}, bucket: "EulerOS 2.0-SP9", id: "CVE-2021-22876", pkg: "libcurl", source: "curl", vulnerable: "7.69.1-2.h5.eulerosv2r9", fixed: "7.69.1-2.h7.eulerosv2r9",
			stated: statement.Statement{Package: "libcurl", FixedVersion: "7.69.1-2.h7.eulerosv2r9", VendorIDs: []string{"EulerOS-SA-2021-2060"}}},
	} {
		t.Run(name, func(t *testing.T) {
			data := content{"vulnerability|CVE-1999-1": "{}", "data-source|" + c.bucket: `{"ID":"vendor"}`}
			row := fmt.Sprintf(`{"FixedVersion":%q}`, c.fixed)
			key := c.source
			switch {
			case c.stated.Package != "":
				adv := c.stated.Advisory()
				raw, err := adv.MarshalJSON()
				if err != nil {
					t.Fatal(err)
				}
				row, key = string(raw), c.stated.Key()
			case c.bucket == "Red Hat":
				data["Red Hat CPE|repository|rhel-7-server-rpms"] = "[1]"
				row, key = fmt.Sprintf(`{"Entries":[{"FixedVersion":%q,"Cves":[{"ID":%q,"Severity":3}],"Affected":[1]}]}`, c.fixed, c.id), c.pkg
			case strings.HasPrefix(c.bucket, "SUSE"):
				key = c.pkg
			}
			id := c.id
			if c.bucket == "Red Hat" {
				id = "RHSA-2022:1066"
			}
			data[c.bucket+"|"+key+"|"+id] = row
			m := data.load(t)
			for version, want := range map[string]int{c.vulnerable: 1, c.fixed: 0} {
				p := deb(c.pkg, c.source, version)
				if c.bucket != "" && !strings.HasPrefix(c.bucket, "debian") && !strings.HasPrefix(c.bucket, "ubuntu") {
					p = rpmOf(c.pkg, c.source, version)
				}
				f := find(t, m, &gate.Inventory{Format: 1, Digest: image, OS: c.os, Packages: []gate.Package{p}})
				if f.Unassessable != "" || len(f.Vulnerabilities) != want || want == 1 && f.Vulnerabilities[0].ID != c.id {
					t.Errorf("%s: got %q, %v, want %d finding", version, f.Unassessable, rows(f), want)
				}
			}
		})
	}
}

// TestPublished_applications: those of the applications in docs/scanning.md that are not
// Java's.
func TestPublished_applications(t *testing.T) {
	record := func(id, cve, ecosystem, name, introduced, fixed string) *fstest.MapFile {
		return &fstest.MapFile{Data: fmt.Appendf(nil, `{"id":%q,"aliases":[%q],"modified":"2024-01-01T00:00:00Z","affected":[{"package":{"ecosystem":%q,"name":%q},"ranges":[{"type":"ECOSYSTEM","events":[{"introduced":%q},{"fixed":%q}]}]}]}`,
			id, cve, ecosystem, name, introduced, fixed)}
	}
	m := load(t, fstest.MapFS{
		"tensorflow.json": record("GHSA-r6jx-9g48-2r5r", "CVE-2021-37678", "PyPI", "tensorflow", "2.5.0", "2.5.1"),
		"bootstrap.json":  record("GHSA-pj7m-g53m-7638", "CVE-2018-14041", "npm", "bootstrap", "4.0.0", "4.1.2"),
		"json.json":       record("GHSA-3c6g-pvg8-gqw2", "CVE-2020-7712", "npm", "json", "0", "10.0.0"),
	})
	for name, c := range map[string]struct{ kind, vulnerable, fixed, id string }{
		"tensorflow": {"python-pkg", "2.5.0", "2.5.1", "CVE-2021-37678"},
		"bootstrap":  {"node-pkg", "4.1.1", "4.1.2", "CVE-2018-14041"},
		"json":       {"node-pkg", "9.0.6", "10.0.0", "CVE-2020-7712"},
	} {
		t.Run(name, func(t *testing.T) {
			var got []string
			for _, version := range []string{c.vulnerable, c.fixed} {
				for _, v := range find(t, m, app(c.kind, "", gate.Package{ID: name + "@" + version, Name: name, Version: version})).Vulnerabilities {
					got = append(got, version+" "+v.ID)
				}
			}
			if diff := cmp.Diff([]string{c.vulnerable + " " + c.id}, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}
