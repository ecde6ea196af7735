package match_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/aquasecurity/trivy-db/pkg/types"
	"github.com/google/go-cmp/cmp"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/scanner/advisory/statement"
	"github.com/digestgate/digestgate/scanner/distribution"
	"github.com/digestgate/digestgate/scanner/match"
)

// filed is a database with the statements of one bucket.
type filed struct {
	bucket string
	rows   map[string]types.Advisory // by key and vulnerability
}

func (f filed) say(id string, s statement.Statement) filed {
	key := s.Key() + "|" + id
	if old, ok := f.rows[key]; ok {
		f.rows[key] = statement.Merge(old, s.Advisory())
	} else {
		f.rows[key] = s.Advisory()
	}
	return f
}

func (f filed) content(t testing.TB) content {
	t.Helper()
	c := content{"vulnerability|CVE-1999-1": "{}", "data-source|" + f.bucket: `{"ID":"vendor","Name":"A vendor"}`, f.bucket + "|so that it exists|CVE-1999-1": "{}"}
	for key, adv := range f.rows {
		data, err := adv.MarshalJSON()
		if err != nil {
			t.Fatal(err)
		}
		c[f.bucket+"|"+key] = string(data)
	}
	return c
}

func (c content) load(t testing.TB) *match.Matcher {
	t.Helper()
	dir := t.TempDir()
	c.write(t, dir)
	m := match.New(nil, now)
	if err := m.Load(t.Context(), dir, gate.Generation{Number: 1, Content: image}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = m.Close() })
	return m
}

func in(bucket string) filed { return filed{bucket, map[string]types.Advisory{}} }

// rpmOf is a package of version "epoch:version-release", built from a source of the same
// version.
func rpmOf(name, source, evr string) gate.Package {
	p := deb(name, source, evr)
	p.AnalyzedBy, p.Arch, p.ID = "rpm", "x86_64", fmt.Sprintf("%s@%s", name, evr)
	return p
}

func image12(family, release string, pkgs ...gate.Package) *gate.Inventory {
	return &gate.Inventory{Format: 1, Digest: image, OS: gate.OS{Family: family, Name: release}, Packages: pkgs}
}

// TestOwn_detects: what the detector of the distributions without one in Trivy says.
func TestOwn_detects(t *testing.T) {
	type st = statement.Statement
	arch := func(p gate.Package, arch string) gate.Package { p.Arch = arch; return p }
	module := func(p gate.Package, label string) gate.Package { p.ModularityLabel = label; return p }
	const sp3, id = "openEuler 22.03-LTS-SP3", "CVE-2024-1"
	oe := func(pkgs ...gate.Package) *gate.Inventory { return image12("openeuler", "22.03-LTS-SP3", pkgs...) }
	tools := rpmOf("vim-common", "vim", "9.0-33.oe2203sp3")
	for name, c := range map[string]struct {
		data filed
		inv  *gate.Inventory
		want []string
	}{
		"source_name":              {in(sp3).say(id, st{Package: "vim", Source: true, FixedVersion: "9.0-34.oe2203sp3"}), oe(tools), []string{"vim-common CVE-2024-1 9.0-33.oe2203sp3<9.0-34.oe2203sp3 UNKNOWN fixed"}},
		"source_name_of_binary":    {in(sp3).say(id, st{Package: "vim-common", Source: true, FixedVersion: "9.0-34.oe2203sp3"}), oe(tools), nil},
		"binary_name":              {in(sp3).say(id, st{Package: "vim-common", FixedVersion: "9.0-34.oe2203sp3"}), oe(tools), []string{"vim-common CVE-2024-1 9.0-33.oe2203sp3<9.0-34.oe2203sp3 UNKNOWN fixed"}},
		"binary_name_of_source":    {in(sp3).say(id, st{Package: "vim", FixedVersion: "9.0-34.oe2203sp3"}), oe(tools), nil},
		"fixed":                    {in(sp3).say(id, st{Package: "vim", Source: true, FixedVersion: "9.0-33.oe2203sp3"}), oe(tools), nil},
		"without_epoch":            {in(sp3).say(id, st{Package: "openssl", Source: true, NoEpoch: true, FixedVersion: "1.1.1m-15.oe2203sp3"}), oe(rpmOf("openssl-libs", "openssl", "1:1.1.1m-1.oe2203sp3")), []string{"openssl-libs CVE-2024-1 1:1.1.1m-1.oe2203sp3<1.1.1m-15.oe2203sp3 UNKNOWN fixed"}},
		"without_epoch_fixed":      {in(sp3).say(id, st{Package: "openssl", Source: true, NoEpoch: true, FixedVersion: "1.1.1m-15.oe2203sp3"}), oe(rpmOf("openssl-libs", "openssl", "1:1.1.1m-15.oe2203sp3")), nil},
		"without_epoch_with_one":   {in(sp3).say(id, st{Package: "openssl", NoEpoch: true, FixedVersion: "2:1.1.1m-15.oe2203sp3"}), oe(rpmOf("openssl", "openssl", "1:1.1.1m-16.oe2203sp3")), nil},
		"with_epochs":              {in(sp3).say(id, st{Package: "openssl", FixedVersion: "1:1.1.1m-15.oe2203sp3"}), oe(rpmOf("openssl", "openssl", "1:1.1.1m-1.oe2203sp3")), []string{"openssl CVE-2024-1 1:1.1.1m-1.oe2203sp3<1:1.1.1m-15.oe2203sp3 UNKNOWN fixed"}},
		"with_epochs_none_is_zero": {in(sp3).say(id, st{Package: "openssl", FixedVersion: "1.1.1m-15.oe2203sp3"}), oe(rpmOf("openssl", "openssl", "0:1.1.1m-1.oe2203sp3")), []string{"openssl CVE-2024-1 1.1.1m-1.oe2203sp3<1.1.1m-15.oe2203sp3 UNKNOWN fixed"}},
		"other_service_pack":       {in("openEuler 22.03-LTS-SP1").say(id, st{Package: "vim", Source: true, FixedVersion: "9.0-34.oe2203sp1"}), oe(tools), []string{"no advisories for openEuler 22.03-LTS-SP3"}},
		"architecture":             {in(sp3).say(id, st{Package: "vim", FixedVersion: "9.0-34", Arches: []string{"aarch64"}}).say(id, st{Package: "zsh", FixedVersion: "1-1", Arches: []string{"x86_64"}}), oe(rpmOf("vim", "vim", "9.0-33.oe2203sp3")), nil},
		"no_architecture":          {in(sp3).say(id, st{Package: "vim", FixedVersion: "9.0-34", Arches: []string{"aarch64"}}).say(id, st{Package: "zsh", FixedVersion: "1-1"}), oe(rpmOf("vim", "vim", "9.0-33.oe2203sp3")), []string{"are about aarch64, and the packages are for x86_64; add the feed of that architecture"}},
		"source_of_architectures":  {in(sp3).say(id, st{Package: "vim", FixedVersion: "9.0-34", Arches: []string{"aarch64"}}).say(id, st{Package: "zsh", Source: true, FixedVersion: "1-1"}), oe(rpmOf("vim", "vim", "9.0-33.oe2203sp3")), nil},
		"module_without_name":      {in("Anolis OS 8"), image12("anolis", "8.8", rpmOf("npm", "nodejs", "6.14-1.module+an8.6.0+10877"), rpmOf("acl", "acl", "1-1.an8"), rpmOf("bash", "bash", "1-1.an8")), []string{"gap npm is part of a module that the package database does not name"}},
		"noarch":                   {in(sp3).say(id, st{Package: "vim", FixedVersion: "9.0-34", Arches: []string{"aarch64"}}), oe(arch(rpmOf("vim", "vim", "9.0-33.oe2203sp3"), "noarch")), []string{"vim CVE-2024-1 9.0-33.oe2203sp3<9.0-34 UNKNOWN fixed"}},
		"module": {in("Anolis OS 8").say(id, st{Package: "npm", Module: "nodejs:12", FixedVersion: "6.14-2.an8"}), image12("anolis", "8.8", module(rpmOf("npm", "nodejs", "6.14-1.an8"), "nodejs:12:8030:229f")),
			[]string{"npm CVE-2024-1 6.14-1.an8<6.14-2.an8 UNKNOWN fixed"}},
		"module_of_two_parts": {in("Anolis OS 8").say(id, st{Package: "npm", Module: "nodejs:12", FixedVersion: "6.14-2.an8"}), image12("anolis", "8.8", module(rpmOf("npm", "nodejs", "6.14-1.an8"), "nodejs:12")),
			[]string{"npm CVE-2024-1 6.14-1.an8<6.14-2.an8 UNKNOWN fixed"}},
		"source_in_two_parts": {in("Anolis OS 8").say(id, st{Package: "nodejs", Source: true, Module: "nodejs:12", FixedVersion: "6.14-2.an8"}), image12("anolis", "8.8", module(rpmOf("npm", "nodejs", "6.14-1.an8"), "nodejs:12")),
			[]string{"npm CVE-2024-1 6.14-1.an8<6.14-2.an8 UNKNOWN fixed"}},
		"other_stream_in_two_parts": {in("Anolis OS 8").say(id, st{Package: "npm", Module: "nodejs:14", FixedVersion: "6.14-2.an8"}), image12("anolis", "8.8", module(rpmOf("npm", "nodejs", "6.14-1.an8"), "nodejs:12")), nil},
		"other_stream":              {in("Anolis OS 8").say(id, st{Package: "npm", Module: "nodejs:14", FixedVersion: "6.14-2.an8"}), image12("anolis", "8.8", module(rpmOf("npm", "nodejs", "6.14-1.an8"), "nodejs:12:8030:229f")), nil},
		"no_module":                 {in("Anolis OS 8").say(id, st{Package: "npm", Module: "nodejs:12", FixedVersion: "6.14-2.an8"}), image12("anolis", "8.8", rpmOf("npm", "nodejs", "6.14-1.an8")), nil},
		"not_fixed": {in(sp3).say(id, st{Package: "vim", Source: true, Status: types.StatusWillNotFix, Severity: types.SeverityHigh}).say("CVE-2024-2", st{Package: "vim", Source: true, Status: types.StatusEndOfLife}).say("CVE-2024-3", st{Package: "vim-common", Status: types.StatusAffected}), oe(tools),
			[]string{"vim-common CVE-2024-1 9.0-33.oe2203sp3< HIGH will_not_fix", "vim-common CVE-2024-2 9.0-33.oe2203sp3< UNKNOWN end_of_life", "vim-common CVE-2024-3 9.0-33.oe2203sp3< UNKNOWN affected"}},
		"latest_fix":       {in(sp3).say(id, st{Package: "vim", Source: true, FixedVersion: "9.0-40"}).say(id, st{Package: "vim", Source: true, FixedVersion: "9.0-34"}), oe(tools), []string{"vim-common CVE-2024-1 9.0-33.oe2203sp3<9.0-40 UNKNOWN fixed"}},
		"of_architectures": {in(sp3).say(id, st{Package: "vim-common", FixedVersion: "9.0-40", Arches: []string{"aarch64"}}).say(id, st{Package: "vim-common", FixedVersion: "9.0-33", Arches: []string{"x86_64"}}), oe(tools), nil},
		"kylin_patches": {in("Kylin V10-SP2").say(id, st{Package: "bash", FixedVersion: "5.0-31.p24.ky10"}), image12("kylin", "V10-SP2", rpmOf("bash", "bash", "5.0-31.p23.ky10"), rpmOf("acl", "acl", "5.0-31.p24.ky10")),
			[]string{"bash CVE-2024-1 5.0-31.p23.ky10<5.0-31.p24.ky10 UNKNOWN fixed"}},
		"uniontech_suffix": {in("UnionTech OS 20-1060e").say(id, st{Package: "xz", FixedVersion: "5.2.5-3"}), image12("uniontech", "20-1060e", rpmOf("xz", "xz", "5.2.5-3.uel20.01")), nil},
		"euleros_hotfix":   {in("EulerOS 2.0-SP9").say(id, st{Package: "kernel", FixedVersion: "4.19-h805.eulerosv2r9"}), image12("euleros", "2.0-SP9", rpmOf("kernel", "kernel", "4.19-h781.eulerosv2r9")), []string{"kernel CVE-2024-1 4.19-h781.eulerosv2r9<4.19-h805.eulerosv2r9 UNKNOWN fixed"}},
		"tilde":            {in("HCE 2.0").say(id, st{Package: "x", FixedVersion: "1.0-1.hce2"}), image12("hce", "2.0", rpmOf("x", "x", "1.0~rc1-1.hce2")), []string{"x CVE-2024-1 1.0~rc1-1.hce2<1.0-1.hce2 UNKNOWN fixed"}},
		"foreign_is_a_gap": {in(sp3), oe(tools, rpmOf("htop", "htop", "1-1.fc38"), rpmOf("zsh", "zsh", "1-1.oe2203sp3")), []string{"gap htop was built for Fedora (fc38), which the advisories of openEuler do not cover"}},
		"no_feed":          {in("openEuler 20.03-LTS"), oe(tools), []string{"no advisories for openEuler 22.03-LTS-SP3 in the vulnerability data; add the openEuler feed (docs/advisories.md#feeds-of-distributions) to advisories.sources"}},
		"no_release":       {in(sp3), image12("openeuler", "", tools), []string{"which release of openeuler"}},
	} {
		t.Run(name, func(t *testing.T) {
			f := find(t, c.data.content(t).load(t), c.inv)
			got := rows(f)
			for _, g := range f.Gaps {
				got = append(got, "gap "+g.Package+" "+g.Reason)
			}
			if f.Unassessable != "" {
				got = append(got, f.Unassessable)
			}
			if len(got) == 1 && len(c.want) == 1 && strings.Contains(got[0], c.want[0]) {
				return
			}
			if diff := cmp.Diff(append([]string{}, c.want...), got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// TestOwn_dpkg: the server of UnionTech that is made of Debian has the order of dpkg.
func TestOwn_dpkg(t *testing.T) {
	p := func(version string) gate.Package {
		p := deb("libssl1.1", "openssl", version)
		p.AnalyzedBy = "dpkg"
		return p
	}
	m := in("UnionTech OS 20-1060d").say("CVE-2024-1", statement.Statement{Package: "openssl", Source: true, FixedVersion: "1.1.1d.4-1+deb10u2"}).content(t).load(t)
	mark := deb("bash", "bash", "5.0.uos1")
	mark.AnalyzedBy = "dpkg"
	for version, want := range map[string]int{"1.1.1d.4-1": 1, "1.1.1d.4-1~bpo": 1, "1.1.1d.4-1+deb10u2": 0, "1.1.1d.5": 0} {
		if f := find(t, m, image12("uniontech", "20-1060d", mark, p(version))); len(f.Vulnerabilities) != want || f.Unassessable != "" {
			t.Errorf("%s: got %v, %q, want %d", version, rows(f), f.Unassessable, want)
		}
	}
	odd := p("x:1")
	odd.Version, odd.SrcVersion = "no version", "no version"
	f := find(t, m, image12("uniontech", "20-1060d", mark, odd))
	if len(f.Gaps) != 1 || len(f.Vulnerabilities) != 1 {
		t.Errorf("a version that cannot be compared: got %v and gaps %v, want it found and a gap", rows(f), f.Gaps)
	}
}

// TestOwn_takenForAnother: an image of one of these distributions that its release files
// take for Red Hat is refused: its packages look newer than each fix of Red Hat.
func TestOwn_takenForAnother(t *testing.T) {
	m := everyRelease(t)
	red := &gate.BuildInfo{ContentSets: []string{"rhel-8-for-x86_64-baseos-rpms"}}
	for name, c := range map[string]struct {
		files []gate.ReleaseFile
		pkg   gate.Package
		want  string
	}{
		"anolis_kernel":    {nil, rpmOf("kernel", "kernel", "5.10.134-13.an8"), "was built for Anolis OS (an8)"},
		"tencentos_kernel": {[]gate.ReleaseFile{{Path: "usr/lib/os-release", Text: "NAME=\"CentOS Linux\"\nID=\"centos\"\nVERSION_ID=\"8\"\n"}}, rpmOf("kernel", "kernel", "5.4.119-19.0009.tl3"), "was built for TencentOS (tl3)"},
		"alinux":           {nil, rpmOf("bash", "bash", "4.4.20-2.2.al8"), "was built for Alibaba Cloud Linux (al8)"},
		"opencloudos":      {nil, rpmOf("bash", "bash", "4.4.20-2.oc8"), "was built for OpenCloudOS (oc8)"},
		"uos_a":            {nil, rpmOf("bash", "bash", "4.4.20-2.uelc20.1"), "was built for UnionTech OS (uelc20)"},
		"openeuler":        {nil, rpmOf("bash", "bash", "5.1-1.oe1"), "was built for openEuler (oe1)"},
		"hce":              {nil, rpmOf("bash", "bash", "5.1-1.hce2"), "was built for Huawei Cloud EulerOS (hce2)"},
		"kylin":            {nil, rpmOf("bash", "bash", "5.1-1.ky10"), "was built for Kylin (ky10)"},
		"euleros":          {nil, rpmOf("bash", "bash", "5.1-1.h1.eulerosv2r9"), "was built for EulerOS (eulerosv2)"},
	} {
		t.Run(name, func(t *testing.T) {
			files := append(c.files, gate.ReleaseFile{Path: "etc/redhat-release", Text: "Red Hat Enterprise Linux release 8.8 (Ootpa)\n"})
			if c.files != nil {
				files[len(files)-1].Text = "CentOS Linux release 8.3.2011 (Core)\n"
			}
			facts := &gate.Distribution{Files: files}
			d := distribution.Decide(facts)
			inv := image12(d.Family, d.Name)
			inv.Distribution = facts
			for i := range 10 { // most of the packages are as in the distribution it says to be
				p := rpmOf(named(i), named(i), "1-1.el8")
				p.BuildInfo = red
				inv.Packages = append(inv.Packages, p)
			}
			c.pkg.BuildInfo = red
			inv.Packages = append(inv.Packages, c.pkg)
			if f := find(t, m, inv); !strings.Contains(f.Unassessable, c.want) {
				t.Errorf("got %q and %v, want %q", f.Unassessable, rows(f), c.want)
			}
		})
	}
}

// TestOwn_old_inventory: one that an earlier version made, which knew no more than ID, is
// judged by the files that it recorded.
func TestOwn_old_inventory(t *testing.T) {
	m := in("EulerOS 2.0-SP9").say("CVE-2024-1", statement.Statement{Package: "bash", FixedVersion: "5.0-2.eulerosv2r9"}).content(t).load(t)
	inv := image12("euleros", "2.0", rpmOf("bash", "bash", "5.0-1.eulerosv2r9"))
	inv.Distribution = &gate.Distribution{Files: []gate.ReleaseFile{{Path: "etc/os-release", Text: "ID=\"euleros\"\nVERSION_ID=\"2.0\"\n"}, {Path: "etc/euleros-release", Text: "EulerOS release 2.0 (SP9x86_64)\n"}}}
	f := find(t, m, inv)
	if f.Unassessable != "" || len(f.Vulnerabilities) != 1 || f.Vulnerabilities[0].Type != "euleros" {
		t.Errorf("got %q, %v", f.Unassessable, rows(f))
	}
	if l := m.Lookups(inv, f); !slices.Contains(l.Packages, "EulerOS 2.0-SP9\x00bash") {
		t.Errorf("lookups: got %q", l.Packages)
	}
}

// TestOwn_damaged: data that cannot be read makes the image unassessable.
func TestOwn_damaged(t *testing.T) {
	c := in("HCE 2.0").content(t)
	c["HCE 2.0|bash|CVE-2024-1"] = `{"Custom":{"statements":7}}`
	if f := find(t, c.load(t), image12("hce", "2.0", rpmOf("bash", "bash", "5.0-1.hce2"))); !strings.Contains(f.Unassessable, "CVE-2024-1") {
		t.Errorf("got %q", f.Unassessable)
	}
}

// TestOwn_memo: what is remembered changes nothing of what this detector finds.
func TestOwn_memo(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 3))
	data := in("openEuler 22.03-LTS-SP3")
	for i := range 60 {
		s := statement.Statement{Package: fmt.Sprintf("p%d", r.IntN(8)), Source: r.IntN(2) == 0, NoEpoch: r.IntN(2) == 0, FixedVersion: fmt.Sprintf("%d:1.%d-1", r.IntN(2), r.IntN(5)), Severity: types.Severity(r.IntN(5))}
		if r.IntN(4) == 0 {
			s.FixedVersion, s.Status = "", types.StatusAffected
		}
		if r.IntN(3) == 0 {
			s.Arches = []string{[]string{"x86_64", "aarch64"}[r.IntN(2)]}
		}
		if r.IntN(5) == 0 {
			s.Module = "m:1"
		}
		data.say(fmt.Sprintf("CVE-2024-%d", i%20), s)
	}
	c := data.content(t)
	remembers, forgets := c.load(t), c.load(t)
	forgets.Forget()
	findings := 0
	for range times(100) {
		inv := image12("openeuler", "22.03-LTS-SP3")
		for range 1 + r.IntN(12) {
			p := rpmOf(fmt.Sprintf("p%d", r.IntN(8)), fmt.Sprintf("p%d", r.IntN(8)), fmt.Sprintf("%d:1.%d-1.oe2203sp3", r.IntN(2), r.IntN(5)))
			p.Arch = []string{"x86_64", "aarch64", "noarch"}[r.IntN(3)]
			if r.IntN(4) == 0 {
				p.ModularityLabel = fmt.Sprintf("m:%d:1:2", 1+r.IntN(2))
			}
			inv.Packages = append(inv.Packages, p)
		}
		got, want := find(t, remembers, inv), find(t, forgets, inv)
		if diff := cmp.Diff(text(t, want), text(t, got)); diff != "" {
			t.Fatalf("(-forgets +remembers):\n%s", diff)
		}
		found, _, err := forgets.Plainly(t.Context(), inv)
		if diff := cmp.Diff(found, want.Vulnerabilities); err != nil || diff != "" {
			t.Fatalf("%v (-at once +by packages):\n%s", err, diff)
		}
		findings += len(got.Vulnerabilities)
	}
	if findings < 100 {
		t.Errorf("%d findings: the test says little", findings)
	}
	if n := len(slices.Collect(maps.Keys(data.rows))); n < 20 {
		t.Errorf("%d rows", n)
	}
}
