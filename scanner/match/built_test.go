package match_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/scanner/advisory"
	"github.com/digestgate/digestgate/scanner/match"
)

// TestBuilt: what "advisories build" makes of a vendor's file finds the flaw in a package
// of that distribution, and not in the one that has the fix.
func TestBuilt(t *testing.T) {
	file := func(s string) *fstest.MapFile { return &fstest.MapFile{Data: []byte(s)} }
	sample := func(name string) *fstest.MapFile {
		b, err := os.ReadFile(filepath.Join("..", "advisory", "format", name))
		if err != nil {
			t.Fatal(err)
		}
		return &fstest.MapFile{Data: b}
	}
	updateinfo := func(id, title, pkg string) *fstest.MapFile {
		return file(`<updates><update type="security"><id>` + id + `</id><title>` + title + `</title><references><reference type="cve" id="CVE-2024-5535"/></references><pkglist><collection>` + pkg + `</collection></pkglist></update></updates>`)
	}
	osv := func(id, ecosystem, name, fixed string) *fstest.MapFile {
		return file(`{"id":"` + id + `","modified":"2025-07-01T00:00:00Z","upstream":["CVE-2024-5535"],"affected":[{"package":{"ecosystem":"` + ecosystem + `","name":"` + name + `"},"ranges":[{"type":"ECOSYSTEM","events":[{"introduced":"0"},{"fixed":"` + fixed + `"}]}]}]}`)
	}
	arm := func(p gate.Package) gate.Package { p.Arch = "aarch64"; return p }
	for name, c := range map[string]struct {
		from             fstest.MapFS
		affected, fixed  *gate.Inventory
		want, unaffected []string
	}{
		"anolis_oval_repaired": {fstest.MapFS{"a.xml": sample("oval/testdata/anolis.xml")},
			image12("anolis", "23", rpmOf("bind-chroot", "bind", "32:9.18.20-1.an23")), image12("anolis", "23", rpmOf("bind-chroot", "bind", "32:9.18.34-1.an23")),
			[]string{"bind-chroot CVE-2024-11187 32:9.18.20-1.an23<32:9.18.34-1.an23 HIGH fixed", "bind-chroot CVE-2024-12705 32:9.18.20-1.an23<32:9.18.34-1.an23 HIGH fixed"}, nil},
		"alinux_oval": {fstest.MapFS{"a.xml": sample("oval/testdata/alinux.xml")},
			image12("alinux", "2.1903", rpmOf("kernel-debug-devel", "kernel", "4.19.91-27.al7")), image12("alinux", "2.1903", rpmOf("kernel-debug-devel", "kernel", "4.19.91-28.7.al7")),
			[]string{"kernel-debug-devel CVE-2026-46333 4.19.91-27.al7<4.19.91-28.7.al7 HIGH fixed"}, nil},
		"alinux_csaf": {fstest.MapFS{"a.json": sample("csaf/testdata/alinux.json")},
			image12("alinux", "3.2104", rpmOf("openssl-libs", "openssl", "1:1.1.1k-5.al8")), image12("alinux", "3.2104", rpmOf("openssl-libs", "openssl", "1:1.1.1k-9.0.1.al8")),
			[]string{"openssl-libs CVE-2023-3446 1:1.1.1k-5.al8<1:1.1.1k-9.0.1.al8 MEDIUM fixed", "openssl-libs CVE-2023-5678 1:1.1.1k-5.al8< LOW affected"},
			[]string{"openssl-libs CVE-2023-5678 1:1.1.1k-9.0.1.al8< LOW affected"}},
		"openeuler_csaf": {fstest.MapFS{"a.json": sample("csaf/testdata/openeuler.json")},
			image12("openeuler", "24.03-LTS", rpmOf("vim-minimal", "vim", "2:9.0.2092-17.oe2403")), image12("openeuler", "24.03-LTS", rpmOf("vim-minimal", "vim", "2:9.0.2092-18.oe2403")),
			[]string{"vim-minimal CVE-2025-29768 2:9.0.2092-17.oe2403<9.0.2092-18.oe2403 MEDIUM fixed"}, nil},
		"openeuler_cvrf": {fstest.MapFS{"a.xml": sample("cvrf/testdata/openeuler.xml")},
			image12("openeuler", "22.03-LTS-SP3", arm(rpmOf("firefox", "firefox", "112.0-1.oe2203sp3"))), image12("openeuler", "22.03-LTS-SP3", rpmOf("firefox", "firefox", "128.8.0-1.oe2203sp3")),
			[]string{"firefox CVE-2023-32216 112.0-1.oe2203sp3<128.8.0-1.oe2203sp3 CRITICAL fixed", "firefox CVE-2023-6879 112.0-1.oe2203sp3<128.8.0-1.oe2203sp3 CRITICAL fixed"}, nil},
		"openeuler_osv_without_epoch": {fstest.MapFS{"a.json": osv("OESA-2024-1", "openEuler:20.03-LTS-SP1", "openssl", "1.1.1f-15.oe1")},
			image12("openeuler", "20.03-LTS-SP1", rpmOf("openssl-libs", "openssl", "1:1.1.1f-1.oe1")), image12("openeuler", "20.03-LTS-SP1", rpmOf("openssl-libs", "openssl", "1:1.1.1f-15.oe1")),
			[]string{"openssl-libs CVE-2024-5535 1:1.1.1f-1.oe1<1.1.1f-15.oe1 UNKNOWN fixed"}, nil},
		"opencloudos_csaf": {fstest.MapFS{"a.json": sample("csaf/testdata/opencloudos.json")},
			image12("opencloudos", "8.10", rpmOf("pcs-snmp", "pcs", "0.10.18-1.oc8")), image12("opencloudos", "8.10", rpmOf("pcs-snmp", "pcs", "0.10.18-2.oc8.3")),
			[]string{"pcs-snmp CVE-2024-21510 0.10.18-1.oc8<0.10.18-2.oc8.3 MEDIUM fixed"}, nil},
		"hce_updateinfo": {fstest.MapFS{"feed.yaml": file("distribution: hce\nrelease: '2.0'"), "updateinfo.xml": updateinfo("HCE2-SA-2024-0224", "x", `<package name="openssl-libs" version="1.1.1m" release="15.hce2" epoch="1" arch="x86_64"/>`)},
			image12("hce", "2.0", rpmOf("openssl-libs", "openssl", "1:1.1.1m-1.hce2")), image12("hce", "2.0", rpmOf("openssl-libs", "openssl", "1:1.1.1m-15.hce2")),
			[]string{"openssl-libs CVE-2024-5535 1:1.1.1m-1.hce2<1:1.1.1m-15.hce2 UNKNOWN fixed"}, nil},
		"tencentos_updateinfo": {fstest.MapFS{"cve.xml": updateinfo("TSSA-2026:0199", "TencentOS Server 4: openssl", `<package name="openssl-libs" version="3.0.12" release="11.tl4" arch="x86_64"/>`)},
			image12("tencentos", "4.2", rpmOf("openssl-libs", "openssl", "1:3.0.12-5.tl4")), image12("tencentos", "4.2", rpmOf("openssl-libs", "openssl", "1:3.0.12-11.tl4")),
			[]string{"openssl-libs CVE-2024-5535 1:3.0.12-5.tl4<3.0.12-11.tl4 UNKNOWN fixed"}, nil},
		"euleros_profile": {fstest.MapFS{"a.json": osv("EulerOS-SA-2025-1744", "EulerOS:2.0-SP9", "libxml2", "2.9.10-7.h35.eulerosv2r9")},
			image12("euleros", "2.0-SP9", rpmOf("libxml2", "libxml2", "2.9.10-7.h4.eulerosv2r9")), image12("euleros", "2.0-SP9", rpmOf("libxml2", "libxml2", "2.9.10-7.h35.eulerosv2r9")),
			[]string{"libxml2 CVE-2024-5535 2.9.10-7.h4.eulerosv2r9<2.9.10-7.h35.eulerosv2r9 UNKNOWN fixed"}, nil},
		"kylin_profile": {fstest.MapFS{"a.json": osv("KYSA-202506-1068", "Kylin:V10-SP3", "bash", "5.0-31.p24.ky10")},
			image12("kylin", "V10-SP3", rpmOf("bash", "bash", "5.0-31.p23.ky10")), image12("kylin", "V10-SP3", rpmOf("bash", "bash", "5.0-31.p24.ky10")),
			[]string{"bash CVE-2024-5535 5.0-31.p23.ky10<5.0-31.p24.ky10 UNKNOWN fixed"}, nil},
		"uniontech_profile": {fstest.MapFS{"a.json": osv("UTSA-2024-003941", "UnionTech OS:20-1060e", "xz", "5.2.5-3")},
			image12("uniontech", "20-1060e", rpmOf("xz-libs", "xz", "5.2.5-2.uel20")), image12("uniontech", "20-1060e", rpmOf("xz-libs", "xz", "5.2.5-3.uel20.01")),
			[]string{"xz-libs CVE-2024-5535 5.2.5-2.uel20<5.2.5-3 UNKNOWN fixed"}, nil},
		"oracle_oval": {fstest.MapFS{"a.xml": sample("oval/testdata/oracle.xml")},
			image12("oracle", "8.10", rpmOf("kernel", "kernel", "4.18.0-513.el8")), image12("oracle", "8.10", rpmOf("kernel", "kernel", "4.18.0-553.16.1.el8_10")),
			[]string{"kernel CVE-2024-36971 4.18.0-513.el8<4.18.0-553.16.1.el8_10 HIGH fixed"}, nil},
		"suse_csaf": {fstest.MapFS{"a.json": sample("csaf/testdata/suse.json")},
			image12("sles", "15.5", rpmOf("curl", "curl", "8.0.1-150400.5.41.1")), image12("sles", "15.5", rpmOf("curl", "curl", "8.0.1-150400.5.44.1")),
			[]string{"curl CVE-2024-2004 8.0.1-150400.5.41.1<8.0.1-150400.5.44.1 MEDIUM fixed"}, nil},
		"ubuntu_notices": {fstest.MapFS{"a.json": file(`{"notices":[{"id":"USN-6937-1","published":"2024-07-31T00:00:00","cves_ids":["CVE-2024-5535"],"release_packages":{"jammy":[{"name":"openssl","version":"3.0.2-0ubuntu1.17","is_source":true}]}}],"total_results":1}`)},
			image12("ubuntu", "22.04", deb("libssl3", "openssl", "3.0.2-0ubuntu1.16")), image12("ubuntu", "22.04", deb("libssl3", "openssl", "3.0.2-0ubuntu1.17")),
			[]string{"libssl3 CVE-2024-5535 3.0.2-0ubuntu1.16<3.0.2-0ubuntu1.17 UNKNOWN fixed"}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			out := filepath.Join(t.TempDir(), "db")
			built, err := advisory.Build(t.Context(), advisory.BuildOptions{From: c.from, Out: out, UpdatedAt: time.Date(2026, 4, 1, 0, 0, 0, 0, time.UTC)})
			if err != nil {
				t.Fatal(err)
			}
			m := match.New(nil, now)
			if err := m.Load(t.Context(), out, gate.Generation{Number: 1, Content: built.Content}); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = m.Close() })
			for _, is := range []struct {
				inv  *gate.Inventory
				want []string
			}{{c.affected, c.want}, {c.fixed, c.unaffected}} {
				f := find(t, m, is.inv)
				if f.Unassessable != "" || len(f.Gaps) > 0 {
					t.Errorf("unassessable %q, gaps %v", f.Unassessable, f.Gaps)
				}
				if diff := cmp.Diff(strings.Join(is.want, "\n"), strings.Join(rows(f), "\n")); diff != "" {
					t.Errorf("(-want +got):\n%s", diff)
				}
			}
		})
	}
}
