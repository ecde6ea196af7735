package advisory_test

import (
	"bytes"
	"compress/gzip"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/scanner/advisory"
	"github.com/digestgate/digestgate/scanner/advisory/coverage"
)

// sampleOf is a sample of one of the readers.
func sampleOf(t *testing.T, name string) *fstest.MapFile {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("format", name))
	if err != nil {
		t.Fatal(err)
	}
	return &fstest.MapFile{Data: b}
}

func gz(t *testing.T, text string) *fstest.MapFile {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := w.Write([]byte(text)); err != nil || w.Close() != nil {
		t.Fatal(err)
	}
	return &fstest.MapFile{Data: b.Bytes()}
}

const hce = `<updates><update type="security"><id>HCE2-SA-2024-0224</id><title>curl</title><issued date="2024-06-01"/><severity>High</severity>
<references><reference type="cve" id="CVE-2024-2398"/></references>
<pkglist><collection><package name="curl" version="7.79.1" release="24.hce2" epoch="0" arch="x86_64"/><package name="curl" version="7.79.1" release="24.hce2" epoch="0" arch="aarch64"/></collection></pkglist></update></updates>`

const tencentos = `<updates><update type="security"><id>TSSA-2026:0199</id><title>TencentOS Server 4: openssl security update</title><updated date="2026-03-03"/>
<references><reference type="cve" id="CVE-2024-5535"/></references><pkglist><collection><package name="openssl-libs" version="3.0.12" release="11.tl4" epoch="1" arch="x86_64"/></collection></pkglist></update>
<update type="security"><id>TSSA-2022:0001</id><title>TS3: curl</title><references><reference type="cve" id="CVE-2022-0001"/></references>
<pkglist><collection><package name="curl" version="7.61.1" release="22.tl3" epoch="0" arch="x86_64"/></collection></pkglist></update></updates>`

// eulerOS is an entry of the profile for a distribution that publishes nothing for
// machines, with the facts of EulerOS-SA-2025-1744.
const eulerOS = `{"id":"EulerOS-SA-2025-1744","modified":"2025-07-01T00:00:00Z","upstream":["CVE-2024-56171"],"summary":"libxml2 security update",
"affected":[{"package":{"ecosystem":"EulerOS:2.0-SP9","name":"libxml2"},"ranges":[{"type":"ECOSYSTEM","events":[{"introduced":"0"},{"fixed":"2.9.10-7.h35.eulerosv2r9"}]}]}],
"database_specific":{"severity":"High"}}`

const openEuler = `{"schema_version":"1.7.2","id":"OESA-2021-1001","modified":"2021-01-21T11:02:32Z","published":"2021-01-21T11:02:32Z","upstream":["CVE-2020-25681","CVE-2020-25682"],"summary":"dnsmasq security update",
"affected":[{"package":{"ecosystem":"openEuler:20.03-LTS-SP1","name":"dnsmasq","purl":"pkg:rpm/openEuler/dnsmasq&distro=openEuler-20.03-LTS-SP1"},"ranges":[{"type":"ECOSYSTEM","events":[{"introduced":"0"},{"fixed":"2.82-5.oe1"}]}],
"ecosystem_specific":{"src":["dnsmasq-2.82-5.oe1.src.rpm"]}}],"database_specific":{"severity":"High"}}`

// TestBuild_epochs: feed.yaml says that the epochs of a source mean nothing.
func TestBuild_epochs(t *testing.T) {
	for feed, want := range map[string]string{
		"distribution: hce\nrelease: '2.0'\n":                `[{"fixedVersion":"7.79.1-24.hce2","arches":["aarch64"]},{"fixedVersion":"7.79.1-24.hce2","arches":["x86_64"]}]`,
		"distribution: hce\nrelease: '2.0'\nepochs: false\n": `[{"fixedVersion":"7.79.1-24.hce2","noEpoch":true,"arches":["aarch64"]},{"fixedVersion":"7.79.1-24.hce2","noEpoch":true,"arches":["x86_64"]}]`,
	} {
		out, _ := build(t, fstest.MapFS{"feed.yaml": file(feed), "updateinfo.xml": file(hce)})
		if got := value(t, out, "HCE 2.0", "curl", "CVE-2024-2398"); !strings.Contains(got, want) {
			t.Errorf("%q: got %s, want %s", feed, got, want)
		}
	}
}

// TestBuild_vendors: each format becomes rows of the bucket of its release.
func TestBuild_vendors(t *testing.T) {
	out, r := build(t, fstest.MapFS{
		"anolis/anolis-23.oval.xml":      sampleOf(t, "oval/testdata/anolis.xml"),
		"alinux/alinux-2.1903.oval.xml":  sampleOf(t, "oval/testdata/alinux.xml"),
		"oracle.xml":                     sampleOf(t, "oval/testdata/oracle.xml"),
		"suse-oval.xml":                  sampleOf(t, "oval/testdata/suse.xml"),
		"openeuler/cvrf.xml":             sampleOf(t, "cvrf/testdata/openeuler.xml"),
		"suse/cvrf.xml":                  sampleOf(t, "cvrf/testdata/suse.xml"),
		"oc/OCSA-2024:1112.json":         sampleOf(t, "csaf/testdata/opencloudos.json"),
		"oe/csaf.json":                   sampleOf(t, "csaf/testdata/openeuler.json"),
		"al3/csaf.json":                  sampleOf(t, "csaf/testdata/alinux.json"),
		"suse/csaf.json":                 sampleOf(t, "csaf/testdata/suse.json"),
		"hce/feed.yaml":                  file("distribution: hce\nrelease: '2.0'\n"),
		"hce/repodata/updateinfo.xml.gz": gz(t, hce),
		"hce/repodata/repomd.xml":        file("<repomd/>"),
		"tencent/cve.xml":                file(tencentos),
		"euleros/1744.json":              file(eulerOS),
		"openeuler/OESA-2021-1001.json":  file(openEuler),
	})
	custom := func(s string) string { return `"Custom":{"statements":[` + s + `]}}` }
	for _, c := range []struct {
		keys []string
		want string
	}{
		{[]string{"Anolis OS 23", "bind-chroot", "CVE-2024-11187"}, `{"VendorIDs":["ANSA-2025:0186"],"Severity":3,` + custom(`{"fixedVersion":"32:9.18.34-1.an23"}`)},
		{[]string{"Alibaba Cloud Linux 2", "kernel", "CVE-2026-46333"}, `{"VendorIDs":["ALINUX2-SA-2026:0003"],"Severity":3,` + custom(`{"fixedVersion":"4.19.91-28.7.al7"}`)},
		{[]string{"Oracle Linux 8", "npm", "CVE-2024-36971"}, `{"VendorIDs":["ELSA-2024-5101"],"FixedVersion":"1:10.8.1-1.20.16.0.1.module+el8.10.0+90377+b2d1f3a5.0.1"}`},
		{[]string{"SUSE Linux Enterprise 15.5", "curl", "CVE-2024-2004"}, `{"VendorIDs":["SUSE-SU-2024:1234-1"],"FixedVersion":"8.0.1-150400.5.44.1"}`},
		{[]string{"SUSE Linux Enterprise 15.1", "supportutils", "CVE-2018-19637"}, `{"VendorIDs":["SUSE-SU-2019:0048-2"],"FixedVersion":"3.1-5.7.1"}`},
		{[]string{"openEuler 22.03-LTS-SP3", "firefox", "CVE-2023-32216"}, `{"VendorIDs":["openEuler-SA-2025-1379"],"Severity":4,` +
			custom(`{"fixedVersion":"128.8.0-1.oe2203sp3","noEpoch":true,"arches":["aarch64"]},{"fixedVersion":"128.8.0-1.oe2203sp3","noEpoch":true,"arches":["x86_64"]},{"fixedVersion":"128.8.0-1.oe2203sp3","source":true,"noEpoch":true}`)},
		{[]string{"openEuler 24.03-LTS", "vim", "CVE-2025-29768"}, `{"VendorIDs":["openEuler-SA-2025-1351"],"Severity":2,` + custom(`{"fixedVersion":"9.0.2092-18.oe2403","source":true,"noEpoch":true}`)},
		{[]string{"OpenCloudOS 8", "pcs-snmp", "CVE-2024-21510"}, `{"VendorIDs":["OCSA-2024:1112"],"Severity":2,` + custom(`{"fixedVersion":"0.10.18-2.oc8.3","noEpoch":true,"arches":["x86_64"]}`)},
		{[]string{"OpenCloudOS 8", "pcs", "CVE-2024-21510"}, ""},
		{[]string{"Alibaba Cloud Linux 3", "openssl-libs", "CVE-2023-3446"}, `{"VendorIDs":["ALINUX3-SA-2024:0001"],"Severity":2,` + custom(`{"fixedVersion":"1:1.1.1k-9.0.1.al8","arches":["x86_64"]}`)},
		{[]string{"Alibaba Cloud Linux 3", "openssl-libs", "CVE-2023-5678"}, `{"VendorIDs":["ALINUX3-SA-2024:0001"],"Severity":1,` + custom(`{"status":2,"arches":["x86_64"]}`)},
		{[]string{"Alibaba Cloud Linux 3", "edk2", "CVE-2023-5678"}, ""},
		{[]string{"Alibaba Cloud Linux 3", "mingw-openssl", "CVE-2023-5678"}, `{"VendorIDs":["ALINUX3-SA-2024:0001"],"Severity":1,` + custom(`{"status":4}`)},
		{[]string{"HCE 2.0", "curl", "CVE-2024-2398"}, `{"VendorIDs":["HCE2-SA-2024-0224"],"Severity":3,` + custom(`{"fixedVersion":"7.79.1-24.hce2","arches":["aarch64"]},{"fixedVersion":"7.79.1-24.hce2","arches":["x86_64"]}`)},
		{[]string{"TencentOS Server 4", "openssl-libs", "CVE-2024-5535"}, `{"VendorIDs":["TSSA-2026:0199"],` + custom(`{"fixedVersion":"1:3.0.12-11.tl4","arches":["x86_64"]}`)},
		{[]string{"TencentOS Server 3", "curl", "CVE-2022-0001"}, `{"VendorIDs":["TSSA-2022:0001"],` + custom(`{"fixedVersion":"7.61.1-22.tl3","arches":["x86_64"]}`)},
		{[]string{"EulerOS 2.0-SP9", "libxml2", "CVE-2024-56171"}, `{"VendorIDs":["EulerOS-SA-2025-1744"],"Severity":3,` + custom(`{"fixedVersion":"2.9.10-7.h35.eulerosv2r9","source":true,"noEpoch":true}`)},
		{[]string{"openEuler 20.03-LTS-SP1", "dnsmasq", "CVE-2020-25682"}, `{"VendorIDs":["OESA-2021-1001"],"Severity":3,` + custom(`{"fixedVersion":"2.82-5.oe1","source":true,"noEpoch":true}`)},
		{[]string{"data-source", "HCE 2.0"}, `{"ID":"hce","Name":"Huawei Cloud EulerOS updateinfo","URL":"https://repo.huaweicloud.com/hce/"}`},
	} {
		if diff := cmp.Diff(c.want, value(t, out, c.keys...)); diff != "" {
			t.Errorf("%q (-want +got):\n%s", c.keys, diff)
		}
	}
	if got := value(t, out, "vulnerability", "CVE-2020-25681"); !strings.Contains(got, "dnsmasq security update") || !strings.Contains(got, `"openeuler":3`) {
		t.Errorf("the record of CVE-2020-25681: %s", got)
	}
	// What cannot be understood is said: the definition of Anolis with a version that
	// nothing can be made of.
	if len(r.LeftOut) != 1 || r.LeftOut[0].File != "anolis/anolis-23.oval.xml" || r.LeftOut[0].Bucket != "Anolis OS 23" || r.LeftOut[0].Count != 1 ||
		!strings.Contains(r.LeftOut[0].First, "ANSA-2025:0999") || !strings.Contains(r.LeftOut[0].First, "line 27") {
		t.Errorf("left out: got %+v", r.LeftOut)
	}
	byBucket := map[string]coverage.Record{}
	for _, c := range r.Summary.Coverage {
		byBucket[c.Bucket] = c
	}
	for _, want := range []coverage.Record{
		{Bucket: "Anolis OS 23", Sources: []string{"OVAL"}, Newest: time.Date(2025, 4, 25, 0, 0, 0, 0, time.UTC), Rows: 6, Gaps: 1},
		{Bucket: "Alibaba Cloud Linux 3", Sources: []string{"CSAF"}, Newest: time.Date(2024, 1, 5, 0, 0, 0, 0, time.UTC), Rows: 3, Unfixed: true},
		{Bucket: "HCE 2.0", Sources: []string{"updateinfo"}, Newest: time.Date(2024, 6, 1, 0, 0, 0, 0, time.UTC), Rows: 1},
		{Bucket: "SUSE Linux Enterprise 15.5", Sources: []string{"CSAF", "OVAL"}, Newest: time.Date(2024, 5, 1, 0, 0, 0, 0, time.UTC), Rows: 1},
	} {
		if diff := cmp.Diff(want, byBucket[want.Bucket]); diff != "" {
			t.Errorf("coverage (-want +got):\n%s", diff)
		}
	}
	// The whole is as old as the oldest feed: OVAL's of SUSE states 2024-04-15, openEuler's
	// CVRF 2025-04-03, SUSE's 2019-07-08.
	if !r.UpdatedAt.Equal(time.Date(2019, 7, 8, 14, 0, 0, 0, time.UTC)) || r.Undated != "" {
		t.Errorf("UpdatedAt: got %v %s", r.UpdatedAt, r.Undated)
	}
}

// ending is the update of HCE with versions that end otherwise.
func ending(suffix string) string { return strings.ReplaceAll(hce, "24.hce2", "24."+suffix) }

// TestBuild_foreign: single versions of another distribution are gaps; the rest of the file
// counts.
func TestBuild_foreign(t *testing.T) {
	one := strings.Replace(hce, `release="24.hce2" epoch="0" arch="aarch64"`, `release="24.ky10" epoch="0" arch="aarch64"`, 1)
	out, r := build(t, fstest.MapFS{"feed.yaml": file("distribution: hce\nrelease: '2.0'\n"), "updateinfo.xml": file(one)})
	if got := value(t, out, "HCE 2.0", "curl", "CVE-2024-2398"); !strings.Contains(got, `[{"fixedVersion":"7.79.1-24.hce2","arches":["x86_64"]}]`) {
		t.Errorf("got %s", got)
	}
	if len(r.LeftOut) != 1 || r.LeftOut[0].Bucket != "HCE 2.0" || !strings.Contains(r.LeftOut[0].First, "its version 7.79.1-24.ky10 ends in ky10, which is Kylin") {
		t.Errorf("left out: got %+v", r.LeftOut)
	}
}

func TestBuild_feed(t *testing.T) {
	for name, c := range map[string]struct {
		from fstest.MapFS
		want string // of the error, or the bucket
	}{
		"none":           {fstest.MapFS{"updateinfo.xml": file(hce)}, `"updateinfo.xml": updateinfo (line 1, HCE2-SA-2024-0224) does not say which distribution it is of: put a file feed.yaml`},
		"unknown":        {fstest.MapFS{"feed.yaml": file("distribution: gentoo\nrelease: '1'"), "updateinfo.xml": file(hce)}, `"feed.yaml": the distribution is given as "gentoo" "1"`},
		"no_release":     {fstest.MapFS{"feed.yaml": file("distribution: euleros\nrelease: '2.0'"), "updateinfo.xml": file(hce)}, `the release of "euleros" is given as "2.0", which is none of its`},
		"misspelt":       {fstest.MapFS{"feed.yaml": file("distribution: hce\nreleas: '2.0'"), "updateinfo.xml": file(hce)}, `releas`},
		"tencent_silent": {fstest.MapFS{"feed.yaml": file("distribution: tencentos"), "updateinfo.xml": file(hce), "b.xml": file(tencentos)}, "TencentOS Server 4"},
		"own":            {fstest.MapFS{"feed.yaml": file("distribution: kylin\nrelease: V10 (Lance)"), "updateinfo.xml.gz": gz(t, ending("ky10"))}, "Kylin V10-SP3"},
		"above":          {fstest.MapFS{"feed.yaml": file("distribution: uos\nrelease: 20-1060e"), "a/b/updateinfo.xml": file(ending("uel20"))}, "UnionTech OS 20-1060e"},
		"alma":           {fstest.MapFS{"feed.yaml": file("distribution: almalinux\nrelease: '9'"), "updateinfo.xml": file(ending("el9_4"))}, "alma 9"},
		"no_suffix":      {fstest.MapFS{"feed.yaml": file("distribution: euleros\nrelease: 2.0 (SP9)"), "updateinfo.xml": file(ending("1"))}, "EulerOS 2.0-SP9"},
		"other_family":   {fstest.MapFS{"feed.yaml": file("distribution: kylin\nrelease: V10 (Lance)"), "updateinfo.xml": file(hce)}, `feed.yaml says Kylin V10-SP3, but "7.79.1-24.hce2" of curl line 1 ends in hce2, which is Huawei Cloud EulerOS (and 1 more like it); 0 agree; write the distribution`},
		"other_release":  {fstest.MapFS{"feed.yaml": file("distribution: hce\nrelease: '1.1'"), "updateinfo.xml": file(hce)}, `feed.yaml says HCE 1.1, but "7.79.1-24.hce2" of curl line 1 ends in hce2, which is HCE`},
		"other_pack":     {fstest.MapFS{"feed.yaml": file("distribution: openeuler\nrelease: 22.03-LTS-SP1"), "updateinfo.xml": file(ending("oe2203sp3"))}, `ends in oe2203, which is openEuler 22.03-LTS-SP3`},
		"other_major":    {fstest.MapFS{"feed.yaml": file("distribution: almalinux\nrelease: '9'"), "updateinfo.xml": file(ending("el8_10"))}, `ends in el8, which is not release 9`},
		"rebuilt":        {fstest.MapFS{"feed.yaml": file("distribution: rocky\nrelease: '8'"), "updateinfo.xml": file(ending("an8"))}, `ends in an8, which is Anolis OS`},
	} {
		t.Run(name, func(t *testing.T) {
			out := filepath.Join(t.TempDir(), "db")
			r, err := advisory.Build(t.Context(), advisory.BuildOptions{From: c.from, Out: out, Now: now})
			if err != nil {
				if !errors.Is(err, gate.ErrInvalid) || !strings.Contains(err.Error(), c.want) {
					t.Errorf("got %v, want ErrInvalid with %q", err, c.want)
				}
				return
			}
			var names []string
			for _, b := range r.Summary.Buckets {
				names = append(names, b.Name)
			}
			if !strings.Contains(strings.Join(names, ";"), c.want) {
				t.Errorf("got %q, want %q", names, c.want)
			}
			if name == "tencent_silent" && (len(r.LeftOut) != 1 || !strings.Contains(r.LeftOut[0].First, "neither its title nor its description names one release of tencentos")) {
				t.Errorf("left out: got %+v", r.LeftOut)
			}
		})
	}
}

// TestBuild_malformed: a file that is damaged ends the build with its name, the place and
// the cause, and nothing is left behind.
func TestBuild_malformed(t *testing.T) {
	oval := string(sampleOf(t, "oval/testdata/anolis.xml").Data)
	for name, c := range map[string]struct{ file, content, want string }{
		"xml":      {"a.xml", oval[:1500], `advisory source "a.xml": line 1`},
		"doctype":  {"a.xml", "<!DOCTYPE a [<!ENTITY x 'y'>]>" + oval[40:], "a document type"},
		"root":     {"a.xml", "<html/>", `unknown format with the element <html>`},
		"gzip":     {"a.xml.gz", "\x1f\x8bxx", "unpacking gzip"},
		"csaf":     {"a.json", `{"document":{"csaf_version":"2.0"},"vulnerabilities":[]}`, `advisory source "a.json": document.tracking.id is missing`},
		"osv":      {"a.json", strings.Replace(openEuler, `"dnsmasq",`, `"../x",`, 1), `field affected[0].package.name: got "../x"`},
		"ubuntu":   {"a.json", `{"Candidate":"../x","Patches":{}}`, `field Candidate: got "../x"`},
		"not_json": {"a.json.gz", "{", "parsing JSON"},
	} {
		t.Run(name, func(t *testing.T) {
			out := filepath.Join(t.TempDir(), "db")
			_, err := advisory.Build(t.Context(), advisory.BuildOptions{From: fstest.MapFS{c.file: file(c.content)}, Out: out, Now: now})
			if !errors.Is(err, gate.ErrInvalid) || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), c.file) {
				t.Errorf("got %v, want ErrInvalid with %q", err, c.want)
			}
		})
	}
}

// TestBuild_later_word: of two documents about one package the later one counts, and
// without times the one that promises nothing.
func TestBuild_later_word(t *testing.T) {
	doc := func(date, status string) *fstest.MapFile {
		return file(`{"document":{"csaf_version":"2.0","tracking":{"id":"A-1","current_release_date":"` + date + `"}},"product_tree":{"full_product_names":[{"product_id":"Alinux 3.2104","name":"Alinux 3.2104"}]},"vulnerabilities":[{"cve":"CVE-2024-1","product_status":{` + status + `}}]}`)
	}
	const fixed, affected, clear = `"fixed":["Alinux 3.2104:a-1-2.al8"]`, `"known_affected":["Alinux 3.2104:a"]`, `"known_not_affected":["Alinux 3.2104:a"]`
	for name, c := range map[string]struct {
		from fstest.MapFS
		want string
	}{
		"fixed_later":      {fstest.MapFS{"a.json": doc("2024-01-01", affected), "b.json": doc("2024-02-01", fixed)}, `"fixedVersion":"1-2.al8"`},
		"affected_later":   {fstest.MapFS{"a.json": doc("2024-03-01", affected), "b.json": doc("2024-02-01", fixed)}, `"status":2`},
		"same_day":         {fstest.MapFS{"a.json": doc("2024-02-01", affected), "b.json": doc("2024-02-01", fixed)}, `"status":2`},
		"no_times":         {fstest.MapFS{"a.json": doc("", affected), "b.json": doc("2024-02-01", fixed)}, `"status":2`},
		"clear_later":      {fstest.MapFS{"a.json": doc("2024-01-01", affected), "b.json": doc("2024-02-01", clear)}, ""},
		"affected_again":   {fstest.MapFS{"a.json": doc("2024-03-01", affected), "b.json": doc("2024-02-01", clear)}, `"status":2`},
		"clear_and_fixed":  {fstest.MapFS{"a.json": doc("2024-03-01", clear), "b.json": doc("2024-02-01", fixed)}, `"fixedVersion":"1-2.al8"`},
		"later_fix":        {fstest.MapFS{"a.json": doc("2024-01-01", fixed), "b.json": doc("2024-02-01", strings.Replace(fixed, "1-2", "1-10", 1))}, `"fixedVersion":"1-10.al8"`},
		"later_fix_first":  {fstest.MapFS{"b.json": doc("2024-01-01", fixed), "a.json": doc("2024-02-01", strings.Replace(fixed, "1-2", "1-10", 1))}, `"fixedVersion":"1-10.al8"`},
		"other_arch":       {fstest.MapFS{"a.json": doc("2024-01-01", affected), "b.json": doc("2024-02-01", strings.Replace(fixed, ".al8", ".al8.x86_64", 1))}, `{"fixedVersion":"1-2.al8","noEpoch":true,"arches":["x86_64"]},{"status":2,"arches":["aarch64"]},`},
		"rare_arch":        {fstest.MapFS{"a.json": doc("2024-01-01", affected), "b.json": doc("2024-02-01", strings.Replace(fixed, ".al8", ".al8.x86_64", 1))}, `{"status":2,"arches":["loongarch64"]}`},
		"all_arches":       {fstest.MapFS{"a.json": doc("2024-01-01", affected), "b.json": doc("2024-02-01", strings.Replace(fixed, ".al8", ".al8.noarch", 1))}, `[{"fixedVersion":"1-2.al8","noEpoch":true}]`},
		"affected_version": {fstest.MapFS{"a.json": doc("2024-02-01", fixed+`,"last_affected":["Alinux 3.2104:a-1-1.al8"]`)}, `"fixedVersion":"1-2.al8"`},
		// The version that has the fix is affected all the same, a later document says.
		"affected_after_fix": {fstest.MapFS{"a.json": doc("2024-01-01", fixed), "b.json": doc("2024-02-01", `"known_affected":["Alinux 3.2104:a-1-5.al8"]`)}, `"status":2`},
		"affected_fix":       {fstest.MapFS{"a.json": doc("2024-02-01", fixed+`,"known_affected":["Alinux 3.2104:a-1-1.al8","Alinux 3.2104:a-1-2.al8"]`)}, `"status":2`},
		"affected_epoch":     {fstest.MapFS{"a.json": doc("2024-01-01", fixed), "b.json": doc("2024-02-01", `"known_affected":["Alinux 3.2104:a-1:1-1.al8"]`)}, `"fixedVersion":"1-2.al8"`},
		// One version is not affected; it is not said of those before it.
		"clear_since":       {fstest.MapFS{"a.json": doc("2024-01-01", affected), "b.json": doc("2024-02-01", `"known_not_affected":["Alinux 3.2104:a-3-1.al8"]`)}, `"fixedVersion":"3-1.al8"`},
		"clear_since_arch":  {fstest.MapFS{"a.json": doc("2024-01-01", `"known_affected":["Alinux 3.2104:a.x86_64"]`), "b.json": doc("2024-02-01", `"known_not_affected":["Alinux 3.2104:a-3-1.al8"]`)}, `{"fixedVersion":"3-1.al8","noEpoch":true,"arches":["x86_64"]}`},
		"clear_and_since":   {fstest.MapFS{"a.json": doc("2024-01-01", affected), "b.json": doc("2024-02-01", clear), "c.json": doc("2024-03-01", `"known_not_affected":["Alinux 3.2104:a-3-1.al8"]`)}, ""},
		"clear_since_alone": {fstest.MapFS{"b.json": doc("2024-02-01", `"known_not_affected":["Alinux 3.2104:a-3-1.al8"]`)}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			out, _ := build(t, c.from)
			got := value(t, out, "Alibaba Cloud Linux 3", "a", "CVE-2024-1")
			if c.want == "" && got != "" || !strings.Contains(got, c.want) || !strings.HasSuffix(name, "_arch") && strings.Count(got, "fixedVersion")+strings.Count(got, "status\"") > max(1, strings.Count(c.want, "}")) {
				t.Errorf("got %s, want %s", got, c.want)
			}
		})
	}
}

func TestBuild_ubuntu(t *testing.T) {
	out, r := build(t, fstest.MapFS{
		"tracker.json": file(`{"Candidate":"CVE-2020-1234","PublicDate":"2021-06-09T20:15:00Z","Priority":"medium","Description":"xen","Patches":{"xen":{
			"bionic":{"Status":"released","Note":"4.9.2-0ubuntu1"},"focal":{"Status":"needs-triage"},"jammy":{"Status":"pending","Note":"1.2.4"},"noble":{"Status":"ignored","Note":"end of life"},"esm-infra/xenial":{"Status":"released","Note":"4.6.5-0ubuntu1.4+esm1"},"upstream":{"Status":"needed"}}}}`),
		"api.json": file(`{"cves":[{"id":"CVE-2024-5535","priority":"low","published":"2024-06-27T11:15:00","updated_at":"2024-09-01T00:00:00","packages":[{"name":"openssl","statuses":[
			{"release_codename":"jammy","status":"released","description":"3.0.2-0ubuntu1.17","pocket":"security"},{"release_codename":"noble","status":"needed","description":""},{"release_codename":"bionic","status":"released","description":"1.1.1-1ubuntu2.1~18.04.23+esm5","pocket":"esm-infra"}]}]}],"total_results":1,"limit":20,"offset":0}`),
		"notices.json": file(`{"notices":[{"id":"USN-6937-1","title":"OpenSSL vulnerabilities","published":"2024-07-31T00:00:00","cves_ids":["CVE-2024-5535"],"release_packages":{"jammy":[{"name":"openssl","version":"3.0.2-0ubuntu1.17","is_source":true},{"name":"libssl3","version":"3.0.2-0ubuntu1.17","is_source":false}]}}],"total_results":1}`),
	})
	for _, c := range []struct {
		keys []string
		want string
	}{
		{[]string{"ubuntu 18.04", "xen", "CVE-2020-1234"}, `{"FixedVersion":"4.9.2-0ubuntu1"}`},
		{[]string{"ubuntu 22.04", "xen", "CVE-2020-1234"}, `{"Status":2}`},
		{[]string{"ubuntu 24.04", "xen", "CVE-2020-1234"}, `{"Status":7}`},
		{[]string{"ubuntu 16.04-ESM", "xen", "CVE-2020-1234"}, `{"FixedVersion":"4.6.5-0ubuntu1.4+esm1"}`},
		{[]string{"ubuntu 22.04", "openssl", "CVE-2024-5535"}, `{"FixedVersion":"3.0.2-0ubuntu1.17"}`},
		{[]string{"ubuntu 24.04", "openssl", "CVE-2024-5535"}, `{"Status":2}`},
		{[]string{"ubuntu 18.04-ESM", "openssl", "CVE-2024-5535"}, `{"FixedVersion":"1.1.1-1ubuntu2.1~18.04.23+esm5"}`},
		{[]string{"ubuntu 22.04", "libssl3", "CVE-2024-5535"}, ""},
	} {
		if got := value(t, out, c.keys...); got != c.want && !(c.want != "" && strings.Contains(got, strings.Trim(c.want, "{}"))) {
			t.Errorf("%q: got %s, want %s", c.keys, got, c.want)
		}
	}
	if len(r.LeftOut) > 0 || r.Skipped["packages that Ubuntu has not looked at, as in Trivy's database"] != 1 {
		t.Errorf("got %+v, %v", r.LeftOut, r.Skipped)
	}
}
