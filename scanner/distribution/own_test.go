package distribution_test

import (
	"strings"
	"testing"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/scanner/distribution"
)

const uosServerE = "[Version]\nSystemName=UOS Server\nSystemName[zh_CN]=UOS\nProductType=Server\nEditionName=e\nMajorVersion=20\nMinorVersion=1060\nOsBuild=12018.100.100\n"

func uosServer20(platform, codename string) string {
	return "PRETTY_NAME=\"UnionTech OS Server 20\"\nNAME=\"UnionTech OS Server 20\"\nVERSION_ID=\"20\"\nVERSION=\"20\"\nID=uos\n" + platform + "VERSION_CODENAME=" + codename + "\n"
}

// TestDecide_own: the distributions that Trivy has no detector for, by their own files,
// most of which Trivy's analysers take for Red Hat, CentOS or Debian, or for nothing.
func TestDecide_own(t *testing.T) {
	redhat := "etc/redhat-release"
	for name, c := range map[string]struct {
		facts          *gate.Distribution
		family, bucket string
	}{
		"openeuler_sp3": {files("etc/os-release", "NAME=\"openEuler\"\nVERSION=\"22.03 (LTS-SP3)\"\nID=\"openEuler\"\nVERSION_ID=\"22.03\"\nPRETTY_NAME=\"openEuler 22.03 (LTS-SP3)\"\n",
			"etc/openEuler-release", "openEuler release 22.03 (LTS-SP3)\n", "etc/system-release", "openEuler release 22.03 (LTS-SP3)\n"), "openeuler", "openEuler 22.03-LTS-SP3"},
		"openeuler_lts":          {files("etc/os-release", "VERSION=\"22.03 LTS\"\nID=\"openEuler\"\nVERSION_ID=\"22.03\"\n", "etc/openEuler-release", "openEuler release 22.03 LTS\n"), "openeuler", "openEuler 22.03-LTS"},
		"openeuler_poor_version": {files("etc/os-release", "VERSION=\"24.03\"\nID=\"openEuler\"\nVERSION_ID=\"24.03\"\n", "etc/openEuler-release", "openEuler release 24.03 (LTS-SP1)\n"), "openeuler", "openEuler 24.03-LTS-SP1"},
		"openeuler_innovation":   {files("etc/os-release", "VERSION=\"23.09\"\nID=\"openEuler\"\nVERSION_ID=\"23.09\"\n"), "openeuler", "openEuler 23.09"},
		"openeuler_no_file":      {files("etc/openEuler-release", "openEuler release 20.03 (LTS-SP1)\n"), "openeuler", "openEuler 20.03-LTS-SP1"},
		"euleros_sp9": {files("etc/os-release", "NAME=\"EulerOS\"\nVERSION=\"2.0 (SP9x86_64)\"\nID=\"euleros\"\nID_LIKE=\"rhel fedora centos\"\nVERSION_ID=\"2.0\"\n",
			redhat, "EulerOS release 2.0 (SP9x86_64)\n", "etc/euleros-release", "EulerOS release 2.0 (SP9x86_64)\n"), "euleros", "EulerOS 2.0-SP9"},
		"euleros_wrong_version": {files("etc/os-release", "VERSION=\"2.0 (SP5)\"\nID=\"euleros\"\nVERSION_ID=\"2.0\"\n", "etc/euleros-release", "EulerOS release 2.0 (SP8)\n"), "euleros", "EulerOS 2.0-SP8"},
		"euleros_os_release":    {files("etc/os-release", "VERSION=\"2.0 (SP2)\"\nID=\"euleros\"\nVERSION_ID=\"2.0\"\n"), "euleros", "EulerOS 2.0-SP2"},
		"euleros_only_redhat":   {files(redhat, "EulerOS release 2.0 (SP3)\n"), "euleros", "EulerOS 2.0-SP3"},
		"euleros_sp12":          {files("etc/os-release", "VERSION=\"2.0 (SP12)\"\nID=\"euleros\"\nVERSION_ID=\"2.0\"\n", "etc/euleros-release", "EulerOS release 2.0 (SP12)\n"), "euleros", "EulerOS 2.0-SP12"},
		"hce_2":                 {files("etc/os-release", "NAME=\"Huawei Cloud EulerOS\"\nVERSION=\"2.0 (x86_64)\"\nID=\"hce\"\nVERSION_ID=\"2.0\"\n", "etc/hce-release", "Huawei Cloud EulerOS release 2.0 (x86_64)\n"), "hce", "HCE 2.0"},
		"hce_1":                 {files("etc/os-release", "NAME=\"Huawei Cloud EulerOS\"\nVERSION=\"1.1\"\nID=\"hce\"\nVERSION_ID=\"1.1\"\n"), "hce", "HCE 1.1"},
		"kylin_sword":           {files("etc/os-release", "NAME=\"Kylin Linux Advanced Server\"\nVERSION=\"V10 (Sword)\"\nID=\"kylin\"\nVERSION_ID=\"V10\"\n", "etc/kylin-release", "Kylin Linux Advanced Server release V10 (Sword)\n"), "kylin", "Kylin V10-SP2"},
		"kylin_tercel":          {files("etc/os-release", "VERSION=\"V10 (Tercel)\"\nID=\"kylin\"\nVERSION_ID=\"V10\"\n", "etc/.kyinfo", "[dist]\nname=Kylin\n"), "kylin", "Kylin V10-SP1"},
		"kylin_halberd":         {files("etc/os-release", "VERSION=\"V10 (Halberd)\"\nID=\"kylin\"\nVERSION_ID=\"V10\"\n"), "kylin", "Kylin V10-SP3"},
		"kylin_productinfo":     {files("etc/os-release", "VERSION=\"V10\"\nID=\"kylin\"\nVERSION_ID=\"V10\"\n", "etc/.productinfo", "Kylin Linux Advanced Server\nrelease V10 (SP3) /(Lance)-x86_64-Build23/20230324\n"), "kylin", "Kylin V10-SP3"},
		"uos_e":                 {files("etc/os-release", uosServer20("PLATFORM_ID=\"platform:uel20\"\n", "fuyu"), "etc/os-version", uosServerE, "etc/uos-release", "UnionTech OS Server release 20 (fuyu)\n"), "uniontech", "UnionTech OS 20-1060e"},
		"uos_a":                 {files("etc/os-release", uosServer20("PLATFORM_ID=\"platform:uelc20\"\n", "kongzi"), redhat, "UnionTech OS Server release 20 (kongzi)\n", "etc/os-version", strings.ReplaceAll(uosServerE, "EditionName=e", "EditionName=a")), "uniontech", "UnionTech OS 20-1060a"},
		"uos_d":                 {files("etc/os-release", uosServer20("", "fou"), "etc/debian_version", "10.10\n", "etc/os-version", strings.ReplaceAll(uosServerE, "EditionName=e", "EditionName=d")), "uniontech", "UnionTech OS 20-1060d"},
		"alinux_3":              {files("etc/os-release", "NAME=\"Alibaba Cloud Linux\"\nVERSION=\"3 (Soaring Falcon)\"\nID=\"alinux\"\nID_LIKE=\"rhel fedora centos anolis\"\nVERSION_ID=\"3\"\nPLATFORM_ID=\"platform:al8\"\nALINUX_MINOR_ID=\"2104\"\n", redhat, "Alibaba Cloud Linux release 3 (Soaring Falcon)\n"), "alinux", "Alibaba Cloud Linux 3"},
		"alinux_2":              {files("etc/os-release", "ID=\"alinux\"\nVERSION_ID=\"2.1903\"\n", redhat, "Alibaba Cloud Linux (Aliyun Linux) release 2.1903 LTS (Hunting Beagle)\n"), "alinux", "Alibaba Cloud Linux 2"},
		"alinux_4":              {files("etc/os-release", "ID=\"alinux\"\nVERSION_ID=\"4\"\n"), "alinux", "Alibaba Cloud Linux 4"},
		"anolis_7":              {files("etc/os-release", "ID=\"anolis\"\nVERSION_ID=\"7.9\"\n", redhat, "Anolis OS release 7.9\n"), "anolis", "Anolis OS 7"},
		"anolis_8":              {files("etc/os-release", "ID=\"anolis\"\nVERSION_ID=\"8.8\"\nID_LIKE=\"rhel fedora centos\"\nPLATFORM_ID=\"platform:an8\"\n", redhat, "Anolis OS release 8.8\n", "etc/anolis-release", "Anolis OS release 8.8\n"), "anolis", "Anolis OS 8"},
		"anolis_23":             {files("etc/os-release", "ID=\"anolis\"\nVERSION_ID=\"23\"\n"), "anolis", "Anolis OS 23"},
		"tencentos_2":           {files("etc/os-release", "NAME=\"TencentOS Server\"\nVERSION=\"2.4\"\nID=\"tencentos\"\nVERSION_ID=\"2.4\"\n", "etc/tlinux-release", "Tencent tlinux release 2.4\n"), "tencentos", "TencentOS Server 2"},
		"tencentos_3":           {files("etc/os-release", "NAME=\"TencentOS Server\"\nVERSION=\"3.1 (Final)\"\nID=\"tencentos\"\nVERSION_ID=\"3.1\"\n", redhat, "CentOS Linux release 8.3.2011 (Core)\n", "etc/tencentos-release", "TencentOS Server release 3.1 (Final)\n"), "tencentos", "TencentOS Server 3"},
		"tencentos_4":           {files("etc/os-release", "ID=\"tencentos\"\nVERSION_ID=\"4.2\"\n", redhat, "TencentOS Server release 4.2\n"), "tencentos", "TencentOS Server 4"},
		"opencloudos_8":         {files("etc/os-release", "NAME=\"OpenCloudOS\"\nID=\"opencloudos\"\nVERSION_ID=\"8.6\"\n", redhat, "OpenCloudOS release 8.6\n"), "opencloudos", "OpenCloudOS 8"},
		"opencloudos_9":         {files("etc/os-release", "NAME=\"OpenCloudOS\"\nID=\"opencloudos\"\nVERSION_ID=\"9.0\"\n"), "opencloudos", "OpenCloudOS 9"},
		"opencloudos_stream":    {files("etc/os-release", "NAME=\"OpenCloudOS Stream\"\nID=\"opencloudos\"\nVERSION_ID=\"23\"\n", "etc/opencloudos-stream-release", "OpenCloudOS Stream release 23\n"), "opencloudos", "OpenCloudOS Stream 23"},
	} {
		t.Run(name, func(t *testing.T) {
			d := distribution.Decide(c.facts)
			bucket, ok := distribution.Bucket(d.Family, d.Name)
			if d.Family != c.family || bucket != c.bucket || !ok || d.Problem != "" || !d.Known {
				t.Errorf("Decide: got %+v, bucket %q, want %s %q without a problem", d, bucket, c.family, c.bucket)
			}
		})
	}
}

// TestDecide_own_problems: release files that contradict each other, or do not tell which
// release it is, choose no advisories.
func TestDecide_own_problems(t *testing.T) {
	for name, c := range map[string]struct {
		facts *gate.Distribution
		says  string
	}{
		"two_packs":         {files("etc/os-release", "VERSION=\"22.03 (LTS-SP3)\"\nID=\"openEuler\"\nVERSION_ID=\"22.03\"\n", "etc/openEuler-release", "openEuler release 22.03 (LTS-SP1)"), `etc/openEuler-release says release "22.03 (LTS-SP1)"`},
		"pack_missing":      {files("etc/os-release", "VERSION=\"2.0\"\nID=\"euleros\"\nVERSION_ID=\"2.0\"\n"), "which release of EulerOS"},
		"two_kylins":        {files("etc/os-release", "VERSION=\"V10 (Sword)\"\nID=\"kylin\"\nVERSION_ID=\"V10\"\n", "etc/.productinfo", "Kylin Linux Advanced Server\nrelease V10 (SP1) /(Tercel)-x86_64"), "etc/.productinfo says release"},
		"kylin_without":     {files("etc/os-release", "VERSION=\"V10\"\nID=\"kylin\"\nVERSION_ID=\"V10\"\n"), "which release of Kylin"},
		"uos_desktop":       {files("etc/os-release", "ID=uos\nVERSION_ID=\"20\"\n", "etc/debian_version", "10.10", "etc/os-version", "[Version]\nSystemName=UnionTech OS Desktop\nProductType=Desktop\nEditionName=E\nMajorVersion=20\nMinorVersion=1050\n"), "etc/os-version of a server"},
		"tencentos_centos":  {files("usr/lib/os-release", "NAME=\"CentOS Linux\"\nID=\"centos\"\nVERSION_ID=\"8\"\n", "etc/tencentos-release", "TencentOS Server release 3.1 (Final)"), "etc/tencentos-release says"},
		"anolis_says_rocky": {files("etc/os-release", "ID=\"anolis\"\nVERSION_ID=\"8.8\"\n", "etc/redhat-release", "Rocky Linux release 8.8 (Green Obsidian)"), "Rocky Linux release 8.8"},
		"anolis_is_alinux":  {files("etc/os-release", "ID=\"anolis\"\nVERSION_ID=\"8.8\"\n", "etc/redhat-release", "Alibaba Cloud Linux release 3 (Soaring Falcon)"), "Alibaba Cloud Linux release 3"},
		"wrong_file":        {files("etc/os-release", "ID=\"hce\"\nVERSION_ID=\"2.0\"\n", "etc/openEuler-release", "openEuler release 22.03 LTS"), "etc/openEuler-release says"},
		"rhel_is_euleros":   {files("etc/os-release", "ID=\"rhel\"\nVERSION_ID=\"7.9\"\n", "etc/redhat-release", "EulerOS release 2.0 (SP5)"), "EulerOS release 2.0 (SP5)"},
		"other_major":       {files("etc/os-release", "ID=\"anolis\"\nVERSION_ID=\"8.8\"\n", "etc/anolis-release", "Anolis OS release 7.9"), `etc/anolis-release says release "7.9"`},
	} {
		t.Run(name, func(t *testing.T) {
			if d := distribution.Decide(c.facts); !strings.Contains(d.Problem, c.says) || !strings.Contains(d.Problem, "needed") {
				t.Errorf("Problem: got %q, want %q in it", d.Problem, c.says)
			}
		})
	}
}

// TestContents_suffix: the suffix of a package's release says which distribution built
// it, whatever the release files say.
func TestContents_suffix(t *testing.T) {
	p := func(name, release string) gate.Package {
		return gate.Package{Name: name, Version: "1", Release: release, AnalyzedBy: "rpm", Repository: &gate.PackageOrigin{}}
	}
	by := func(p gate.Package, vendor string) gate.Package {
		p.Repository = &gate.PackageOrigin{Class: "third-party", Name: vendor}
		return p
	}
	for name, c := range map[string]struct {
		family, release string
		pkgs            []gate.Package
		says            string // "" when they agree
	}{
		"rhel_with_an8":      {"redhat", "8.8", []gate.Package{p("bash", "1.el8"), p("zlib", "1.el8"), p("kernel", "13.an8")}, "the package kernel 1-13.an8 was built for Anolis OS (an8), but the release files say Red Hat Enterprise Linux 8.8"},
		"centos_with_tl3":    {"centos", "8", []gate.Package{p("bash", "1.el8"), p("zlib", "1.el8"), p("kernel", "19.0009.tl3")}, "was built for TencentOS (tl3)"},
		"rhel_with_hce":      {"redhat", "8.8", []gate.Package{p("bash", "1.el8"), p("openssl", "1.r2.hce2")}, "Huawei Cloud EulerOS (hce2)"},
		"rocky_with_al8":     {"rocky", "8.8", []gate.Package{p("bash", "1.el8"), p("zlib", "1.al8")}, "was built for Alibaba Cloud Linux (al8)"},
		"amazon_with_al2023": {"amazon", "2023", []gate.Package{p("bash", "1.amzn2023"), p("arkime", "1.al2023")}, ""},
		"amazon_with_al2":    {"amazon", "2 (Karoo)", []gate.Package{p("bash", "1.amzn2"), p("agent", "1.al2")}, ""},
		"rhel_with_epel":     {"redhat", "8.8", []gate.Package{p("bash", "1.el8"), p("htop", "1.fc38")}, ""},
		"anolis":             {"anolis", "8.8", []gate.Package{p("bash", "1.an8"), p("zlib", "1.0.1.an8"), p("acl", "1.el8")}, ""},
		"anolis_with_oe":     {"anolis", "8.8", []gate.Package{p("bash", "1.an8"), p("zlib", "1.oe2203")}, "was built for openEuler (oe2203)"},
		"anolis_7":           {"anolis", "8.8", []gate.Package{p("bash", "1.an7"), p("zlib", "1.an8"), p("acl", "1.an7")}, "were built for another release of Anolis OS"},
		"anolis_is_rhel":     {"anolis", "8.8", []gate.Package{by(p("bash", "1.el8"), "Red Hat, Inc."), by(p("zlib", "1.el8"), "Red Hat, Inc.")}, "no package was built for it"},
		"openeuler":          {"openeuler", "22.03-LTS-SP3", []gate.Package{p("bash", "1.oe2203sp3"), p("zlib", "1.oe2203sp1"), p("acl", "1.oe2203sp3")}, ""},
		"openeuler_other":    {"openeuler", "22.03-LTS-SP3", []gate.Package{p("bash", "1.oe2203sp1"), p("zlib", "1.oe2203sp1"), p("acl", "1.oe2203sp3")}, "were built for another release of openEuler than 22.03-LTS-SP3"},
		"openeuler_20":       {"openeuler", "20.03-LTS-SP1", []gate.Package{p("bash", "1.oe1")}, ""},
		"openeuler_20_sp4":   {"openeuler", "20.03-LTS-SP4", []gate.Package{p("bash", "1.oe1")}, "were built for another release"},
		"openeuler_lts":      {"openeuler", "24.03-LTS", []gate.Package{p("bash", "1.oe2403")}, ""},
		"euleros_9":          {"euleros", "2.0-SP9", []gate.Package{p("kernel", "h805.eulerosv2r9")}, ""},
		"euleros_5":          {"euleros", "2.0-SP5", []gate.Package{p("vim", "4.h26.eulerosv2r7")}, ""},
		"euleros_other":      {"euleros", "2.0-SP8", []gate.Package{p("kernel", "h805.eulerosv2r9")}, "were built for another release of EulerOS"},
		"euleros_2":          {"euleros", "2.0-SP2", []gate.Package{by(p("openssl", "51.1.h8"), "Huawei Technologies Co., Ltd")}, ""},
		"kylin":              {"kylin", "V10-SP2", []gate.Package{p("bash", "31.p23.ky10"), p("acl", "4.oe1")}, ""},
		"kylin_is_openeuler": {"kylin", "V10-SP2", []gate.Package{p("bash", "31.oe1")}, "no package was built for it"},
		"uos_e":              {"uniontech", "20-1060e", []gate.Package{p("bash", "3.uel20.01")}, ""},
		"uos_a":              {"uniontech", "20-1060a", []gate.Package{p("bash", "3.uelc20.1"), p("python36", "2.module+uelc20+36+6174170c")}, ""},
		"uos_a_is_e":         {"uniontech", "20-1060a", []gate.Package{p("bash", "3.uel20.01")}, "were built for another release of UnionTech OS"},
		"uos_d":              {"uniontech", "20-1060d", []gate.Package{{Name: "bash", Version: "5.0.uos1", AnalyzedBy: "dpkg"}, {Name: "base-files", Version: "10.3+deb10u10", AnalyzedBy: "dpkg"}}, ""},
		"uos_d_is_debian":    {"uniontech", "20-1060d", []gate.Package{{Name: "bash", Version: "5.0-4", AnalyzedBy: "dpkg"}}, "no package was built for it"},
		"uos_e_of_dpkg":      {"uniontech", "20-1060e", []gate.Package{{Name: "bash", Version: "5.0.uos1", AnalyzedBy: "dpkg"}}, "UnionTech OS 20-1060e installs its packages by rpm"},
		"uos_d_of_rpm":       {"uniontech", "20-1060d", []gate.Package{p("bash", "3.uel20.01")}, "installs its packages by dpkg"},
		"alinux_2":           {"alinux", "2.1903", []gate.Package{p("bash", "34.1.al7"), by(p("acl", "14.el7"), "CentOS")}, ""},
		"alinux_3":           {"alinux", "3", []gate.Package{p("bash", "2.2.al8"), p("zlib", "1.an8")}, ""},
		"alinux_3_is_2":      {"alinux", "3", []gate.Package{p("bash", "34.1.al7")}, "were built for another release of Alibaba Cloud Linux"},
		"alinux_4":           {"alinux", "4", []gate.Package{p("kernel", "5.3.1.alnx4")}, ""},
		"tencentos":          {"tencentos", "3.1", []gate.Package{p("bash", "1.tl3.2"), p("acl", "1.el8"), p("kernel", "19.0009.tl3")}, ""},
		"tencentos_base":     {"tencentos", "3.1", []gate.Package{p("centos-release", "1.el8"), p("bash", "1.tl3.2")}, ""},
		"opencloudos":        {"opencloudos", "8.6", []gate.Package{p("bash", "1.oc8")}, ""},
		"opencloudos_stream": {"opencloudos", "Stream 23", []gate.Package{p("bash", "1.ocs23")}, ""},
		"hce_1":              {"hce", "1.1", []gate.Package{p("kernel", "1160.hce1c")}, ""},
		"release_package":    {"openeuler", "22.03-LTS-SP3", []gate.Package{{Name: "openEuler-release", Version: "22.03LTS_SP1", Release: "63.oe2203sp3", AnalyzedBy: "rpm"}}, "the package openEuler-release is of release 22.03-LTS-SP1"},
	} {
		t.Run(name, func(t *testing.T) {
			got := distribution.Contents(c.family, c.release, nil, c.pkgs, false)
			if (got == "") != (c.says == "") || !strings.Contains(got, c.says) {
				t.Errorf("got %q, want %q", got, c.says)
			}
		})
	}
}

// TestForeign_own: a package is the distribution's by its suffix or its vendor; what a
// third party built is not covered.
func TestForeign_own(t *testing.T) {
	for name, c := range map[string]struct {
		family, release, vendor string
		foreign                 bool
	}{
		"suffix":         {"openeuler", "1.oe2203sp3", "http://openeuler.org", false},
		"any_vendor":     {"kylin", "1.ky10", "Some Builder", false},
		"no_vendor":      {"anolis", "1.an8", "", false},
		"red_hat":        {"anolis", "1.el8", "Red Hat, Inc.", true},
		"docker":         {"anolis", "3.el8", "Docker", true},
		"epel":           {"alinux", "1.el8", "Fedora Project", true},
		"centos_rebuilt": {"tencentos", "1.el7", "CentOS", false},
		"no_suffix":      {"euleros", "51.1.h8", "Huawei Technologies Co., Ltd", false},
		"third_party":    {"euleros", "1", "Datadog", true},
		"relative":       {"alinux", "1.an8", "OpenAnolis Community", true},
		"other":          {"openeuler", "1.fc38", "", true},
	} {
		got := distribution.Foreign(c.family, gate.Package{Name: "x", Version: "1", Release: c.release, AnalyzedBy: "rpm", Repository: &gate.PackageOrigin{Class: "third-party", Name: c.vendor}})
		if (got != "") != c.foreign {
			t.Errorf("%s: got %q, want foreign %v", name, got, c.foreign)
		}
	}
}
