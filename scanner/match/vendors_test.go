package match_test

import (
	"os"
	"path/filepath"
	"testing"
	"testing/fstest"
)

// vendorSample is a sample of a reader of vendors' files, with the facts of a published
// advisory.
func vendorSample(t *testing.T, name string) *fstest.MapFile {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("..", "advisory", "format", name))
	if err != nil {
		t.Fatal(err)
	}
	return &fstest.MapFile{Data: b}
}

// ofUpdate is an updateinfo with one fix.
func ofUpdate(id, title, cve, name, epoch, version, release string) *fstest.MapFile {
	return &fstest.MapFile{Data: []byte(`<updates><update type="security"><id>` + id + `</id><title>` + title + `</title><issued date="2024-06-01"/>
<references><reference type="cve" id="` + cve + `"/></references><pkglist><collection><package name="` + name + `" version="` + version + `" release="` + release + `" epoch="` + epoch + `" arch="x86_64"/></collection></pkglist></update></updates>`)}
}

// TestPublished_vendors: the way of a vendor's advisory from its file to a finding: read,
// filed under the release, and matched. The fixed versions are the vendors'; the vulnerable
// ones are written here, mostly one release below.
func TestPublished_vendors(t *testing.T) {
	named := func(text string) *fstest.MapFile { return &fstest.MapFile{Data: []byte(text)} }
	for name, c := range map[string]struct {
		from              fstest.MapFS
		family, release   string
		pkg, source       string
		vulnerable, fixed string
		id                string
	}{
		"openeuler_osv": {fstest.MapFS{"a.json": named(`{"id":"OESA-2021-1001","modified":"2021-01-21T11:02:32Z","upstream":["CVE-2020-25681"],"affected":[{"package":{"ecosystem":"openEuler:20.03-LTS-SP1","name":"dnsmasq"},"ranges":[{"type":"ECOSYSTEM","events":[{"introduced":"0"},{"fixed":"2.82-5.oe1"}]}]}]}`)},
			"openeuler", "20.03-LTS-SP1", "dnsmasq-help", "dnsmasq", "2.82-4.oe1", "2.82-5.oe1", "CVE-2020-25681"},
		"openeuler_csaf": {fstest.MapFS{"a.json": vendorSample(t, "csaf/testdata/openeuler.json")},
			"openeuler", "24.03-LTS", "vim-common", "vim", "2:9.0.2092-17.oe2403", "2:9.0.2092-18.oe2403", "CVE-2025-29768"},
		"openeuler_cvrf": {fstest.MapFS{"a.xml": vendorSample(t, "cvrf/testdata/openeuler.xml")},
			"openeuler", "22.03-LTS-SP3", "firefox", "firefox", "127.9.0-1.oe2203sp3", "128.8.0-1.oe2203sp3", "CVE-2023-32216"},
		"alinux_2": {fstest.MapFS{"a.xml": vendorSample(t, "oval/testdata/alinux.xml")},
			"alinux", "2.1903", "kernel", "kernel", "4.19.91-28.6.al7", "4.19.91-28.7.al7", "CVE-2026-46333"},
		"alinux_3": {fstest.MapFS{"a.json": vendorSample(t, "csaf/testdata/alinux.json")},
			"alinux", "3.2104", "openssl-libs", "openssl", "1:1.1.1k-8.0.1.al8", "1:1.1.1k-9.0.1.al8", "CVE-2023-3446"},
		"anolis_23": {fstest.MapFS{"a.xml": vendorSample(t, "oval/testdata/anolis.xml")},
			"anolis", "23", "bind-chroot", "bind", "32:9.18.33-1.an23", "32:9.18.34-1.an23", "CVE-2024-11187"},
		"opencloudos_8": {fstest.MapFS{"a.json": vendorSample(t, "csaf/testdata/opencloudos.json")},
			"opencloudos", "8.10", "pcs-snmp", "pcs", "0.10.18-2.oc8.2", "0.10.18-2.oc8.3", "CVE-2024-21510"},
		"hce_2": {fstest.MapFS{"feed.yaml": named("distribution: hce\nrelease: '2.0'\n"), "a.xml": ofUpdate("HCE2-SA-2024-0224", "curl", "CVE-2024-2398", "curl", "0", "7.79.1", "24.hce2")},
			"hce", "2.0", "curl", "curl", "7.79.1-23.hce2", "7.79.1-24.hce2", "CVE-2024-2398"},
		"tencentos_4": {fstest.MapFS{"feed.yaml": named("distribution: tencentos\n"), "a.xml": ofUpdate("TSSA-2026:0199", "TencentOS Server 4: openssl security update", "CVE-2024-5535", "openssl-libs", "1", "3.0.12", "11.tl4")},
			"tencentos", "4.2", "openssl-libs", "openssl", "1:3.0.12-10.tl4", "1:3.0.12-11.tl4", "CVE-2024-5535"},
		"euleros_sp9": {fstest.MapFS{"a.json": named(`{"id":"EulerOS-SA-2025-1744","modified":"2025-07-01T00:00:00Z","upstream":["CVE-2024-56171"],"affected":[{"package":{"ecosystem":"EulerOS:2.0-SP9","name":"libxml2"},"ranges":[{"type":"ECOSYSTEM","events":[{"introduced":"0"},{"fixed":"2.9.10-7.h35.eulerosv2r9"}]}]}]}`)},
			"euleros", "2.0-SP9", "python3-libxml2", "libxml2", "2.9.10-7.h34.eulerosv2r9", "2.9.10-7.h35.eulerosv2r9", "CVE-2024-56171"},
		"suse_15_5": {fstest.MapFS{"a.json": vendorSample(t, "csaf/testdata/suse.json")},
			"sles", "15.5", "curl", "curl", "8.0.1-150400.5.41.1", "8.0.1-150400.5.44.1", "CVE-2024-2004"},
	} {
		t.Run(name, func(t *testing.T) {
			m := load(t, c.from)
			for version, want := range map[string]bool{c.vulnerable: true, c.fixed: false} {
				f := find(t, m, image12(c.family, c.release, rpmOf(c.pkg, c.source, version)))
				got := false
				for _, v := range f.Vulnerabilities {
					got = got || v.ID == c.id
				}
				if f.Unassessable != "" || got != want {
					t.Errorf("%s: got %q, %v, want %s: %v", version, f.Unassessable, rows(f), c.id, want)
				}
			}
		})
	}
}
