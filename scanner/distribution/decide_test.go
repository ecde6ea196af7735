package distribution_test

import (
	"strings"
	"testing"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/scanner/distribution"
)

// files makes facts of pairs of path and text.
func files(pairs ...string) *gate.Distribution {
	d := &gate.Distribution{}
	for i := 0; i < len(pairs); i += 2 {
		d.Files = append(d.Files, gate.ReleaseFile{Path: pairs[i], Text: pairs[i+1]})
	}
	return d
}

const (
	debian12  = "PRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\nNAME=\"Debian GNU/Linux\"\nVERSION_ID=\"12\"\nVERSION=\"12 (bookworm)\"\nVERSION_CODENAME=bookworm\nID=debian\n"
	ubuntu22  = "PRETTY_NAME=\"Ubuntu 22.04.3 LTS\"\nNAME=\"Ubuntu\"\nVERSION_ID=\"22.04\"\nID=ubuntu\nID_LIKE=debian\n"
	lsb22     = "DISTRIB_ID=Ubuntu\nDISTRIB_RELEASE=22.04\nDISTRIB_CODENAME=jammy\nDISTRIB_DESCRIPTION=\"Ubuntu 22.04.3 LTS\"\n"
	uosServer = "PRETTY_NAME=\"UnionTech OS Server 20\"\nNAME=\"UnionTech OS Server 20\"\nVERSION_ID=\"20\"\nID=\"uos\"\nPLATFORM_ID=\"platform:uelc20\"\n"
)

// TestDecide_real has what public images of these distributions contain, and
// the family and release that Trivy's analysers make of it.
func TestDecide_real(t *testing.T) {
	for name, c := range map[string]struct {
		facts        *gate.Distribution
		family, want string
	}{
		"debian":        {files("etc/os-release", debian12, "usr/lib/os-release", debian12, "etc/debian_version", "12.4\n"), "debian", "12.4"},
		"debian_slim":   {files("usr/lib/os-release", debian12), "debian", "12"},
		"debian_sid":    {files("usr/lib/os-release", "ID=debian\nNAME=\"Debian GNU/Linux\"\n", "etc/debian_version", "trixie/sid\n"), "debian", "trixie/sid"},
		"distroless":    {files("usr/lib/os-release", "PRETTY_NAME=\"Distroless\"\nNAME=\"Debian GNU/Linux\"\nID=\"debian\"\nVERSION_ID=\"12\"\n", "etc/debian_version", "12.11\n"), "debian", "12.11"},
		"ubuntu":        {files("usr/lib/os-release", ubuntu22, "etc/lsb-release", lsb22, "etc/debian_version", "bookworm/sid\n"), "ubuntu", "22.04"},
		"chiselled":     {files("usr/lib/os-release", ubuntu22), "ubuntu", "22.04"},
		"alpine":        {files("usr/lib/os-release", "NAME=\"Alpine Linux\"\nID=alpine\nVERSION_ID=3.18.4\n", "etc/alpine-release", "3.18.4\n"), "alpine", "3.18.4"},
		"alpine_edge":   {files("etc/os-release", "ID=alpine\nVERSION_ID=3.21.0_alpha20240807\n", "etc/alpine-release", "3.21.0_alpha20240807\n"), "alpine", "3.21.0_alpha20240807"},
		"wolfi":         {files("etc/os-release", "ID=wolfi\nNAME=\"Wolfi\"\nVERSION_ID=\"20230201\"\n"), "wolfi", "20230201"},
		"chainguard":    {files("etc/os-release", "ID=chainguard\nVERSION_ID=\"20230214\"\n"), "chainguard", "20230214"},
		"minimos":       {files("etc/os-release", "ID=minimos\nVERSION_ID=\"20241031\"\n"), "minimos", "20241031"},
		"echo":          {files("etc/os-release", "ID=echo\nVERSION_ID=1"), "echo", "1"},
		"ubi8":          {files("usr/lib/os-release", "NAME=\"Red Hat Enterprise Linux\"\nID=\"rhel\"\nID_LIKE=\"fedora\"\nVERSION_ID=\"8.9\"\n", "etc/redhat-release", "Red Hat Enterprise Linux release 8.9 (Ootpa)\n"), "redhat", "8.9"},
		"rhel7":         {files("usr/lib/os-release", "ID=\"rhel\"\nVERSION_ID=\"7.9\"\n", "etc/redhat-release", "Red Hat Enterprise Linux Server release 7.9 (Maipo)\n"), "redhat", "7.9"},
		"centos6":       {files("etc/centos-release", "CentOS release 6.10 (Final)\n", "etc/redhat-release", "CentOS release 6.10 (Final)\n", "etc/system-release", "CentOS release 6.10 (Final)\n"), "centos", "6.10"},
		"centos7":       {files("usr/lib/os-release", "NAME=\"CentOS Linux\"\nID=\"centos\"\nVERSION_ID=\"7\"\n", "etc/centos-release", "CentOS Linux release 7.6.1810 (Core) \n"), "centos", "7.6.1810"},
		"rocky":         {files("usr/lib/os-release", "ID=\"rocky\"\nVERSION_ID=\"9.3\"\n", "etc/rocky-release", "Rocky Linux release 9.3 (Blue Onyx)\n", "etc/redhat-release", "Rocky Linux release 9.3 (Blue Onyx)\n"), "rocky", "9.3"},
		"alma":          {files("etc/os-release", "ID=\"almalinux\"\nVERSION_ID=\"8.4\"\n", "etc/almalinux-release", "AlmaLinux release 8.4 (Electric Cheetah)\n"), "alma", "8.4"},
		"oracle":        {files("etc/os-release", "ID=\"ol\"\nVERSION_ID=\"8.10\"\n", "etc/oracle-release", "Oracle Linux Server release 8.10\n", "etc/redhat-release", "Red Hat Enterprise Linux release 8.10 (Ootpa)\n"), "oracle", "8.10"},
		"oracle6":       {files("etc/oracle-release", "Oracle Linux Server release 6.10\n", "etc/redhat-release", "Red Hat Enterprise Linux Server release 6.10 (Santiago)\n"), "oracle", "6.10"},
		"amazon1":       {files("etc/os-release", "ID=\"amzn\"\nVERSION_ID=\"2018.03\"\n", "etc/system-release", "Amazon Linux AMI release 2018.03\n"), "amazon", "AMI release 2018.03"},
		"amazon2":       {files("etc/os-release", "ID=\"amzn\"\nVERSION_ID=\"2\"\n", "etc/system-release", "Amazon Linux release 2 (Karoo)\n"), "amazon", "2 (Karoo)"},
		"amazon2023":    {files("usr/lib/os-release", "ID=\"amzn\"\nVERSION_ID=\"2023\"\n", "usr/lib/system-release", "Amazon Linux release 2023.6.20250115 (Amazon Linux)\n"), "amazon", "2023.6.20250115 (Amazon Linux)"},
		"photon":        {files("usr/lib/os-release", "NAME=\"VMware Photon OS\"\nID=photon\nVERSION_ID=4.0\n", "etc/photon-release", "VMware Photon OS 4.0\nPHOTON_BUILD_NUMBER=2f5aad892\n", "etc/lsb-release", "DISTRIB_ID=\"VMware Photon OS\"\nDISTRIB_RELEASE=\"4.0\"\n"), "photon", "4.0"},
		"mariner":       {files("usr/lib/os-release", "ID=mariner\nVERSION_ID=\"2.0\"\n", "etc/mariner-release", "CBL-Mariner 2.0.20240112\n", "etc/lsb-release", "DISTRIB_ID=\"Mariner\"\nDISTRIB_RELEASE=\"2.0.20240112\"\n"), "cbl-mariner", "2.0"},
		"azurelinux":    {files("usr/lib/os-release", "ID=azurelinux\nVERSION_ID=\"3.0\"\n", "etc/lsb-release", "DISTRIB_ID=\"azurelinux\"\nDISTRIB_RELEASE=\"3.0.20240624\"\n"), "azurelinux", "3.0"},
		"sles":          {files("usr/lib/os-release", "NAME=\"SLES\"\nVERSION=\"15-SP3\"\nVERSION_ID=\"15.3\"\nID=\"sles\"\nID_LIKE=\"suse\"\n"), "sles", "15.3"},
		"sles12":        {files("etc/os-release", "ID=\"sles\"\nVERSION_ID=\"12.5\"\n", "etc/SuSE-release", "SUSE Linux Enterprise Server 12 (x86_64)\nVERSION = 12\nPATCHLEVEL = 5\n"), "sles", "12.5"},
		"slem":          {files("etc/os-release", "ID=\"sl-micro\"\nVERSION_ID=\"6.0\"\n"), "slem", "6.0"},
		"leap":          {files("etc/os-release", "ID=\"opensuse-leap\"\nVERSION_ID=\"15.6\"\n"), "opensuse-leap", "15.6"},
		"leap42":        {files("etc/os-release", "ID=opensuse\nVERSION_ID=\"42.3\"\n", "etc/SuSE-release", "openSUSE 42.3 (x86_64)\nVERSION = 42.3\n"), "opensuse-leap", "42.3"},
		"tumbleweed":    {files("usr/lib/os-release", "ID=\"opensuse-tumbleweed\"\nVERSION_ID=\"20240607\"\n"), "opensuse-tumbleweed", "20240607"},
		"bottlerocket":  {files("x86_64-bottlerocket-linux-gnu/sys-root/usr/lib/os-release", "NAME=Bottlerocket\nID=bottlerocket\nVERSION_ID=1.34.0\n"), "bottlerocket", "1.34.0"},
		"alpine_old":    {files("etc/alpine-release", "2.7.9\n"), "alpine", "2.7.9"},
		"no_os_release": {files("etc/debian_version", "12.4\n"), "debian", "12.4"},
		"ubuntu_10":     {files("etc/lsb-release", "DISTRIB_ID=Ubuntu\nDISTRIB_RELEASE=10.04\n", "etc/debian_version", "squeeze/sid\n"), "ubuntu", "10.04"},
		"emptied":       {files("etc/os-release", "\n# nothing\n", "etc/alpine-release", "3.18.4\n"), "alpine", "3.18.4"},
		"quoted_oddly":  {files("etc/os-release", "\ufeff# a comment\nID='debian'\r\nVERSION_ID=\"1\\2\"\r\n"), "debian", "12"},
		"last_counts":   {files("etc/os-release", "ID=wolfi\nID=debian\nVERSION_ID=12\n"), "debian", "12"},
		"nothing":       {files(), "", ""},
		"not_recorded":  {nil, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			d := distribution.Decide(c.facts)
			if d.Family != c.family || d.Name != c.want || d.Problem != "" || d.Known != (c.family != "") {
				t.Errorf("Decide: got %+v, want %s %q without a problem", d, c.family, c.want)
			}
		})
	}
}

// TestDecide_problems: no advisories can be chosen, and the text says what
// os-release says, what speaks against it, and what is needed.
func TestDecide_problems(t *testing.T) {
	long := "ID=debian\nVERSION_ID=12\n" + strings.Repeat("#\n", 2048)
	cut := files("etc/os-release", long[:distribution.MaxText])
	cut.Files[0].Cut = true
	link := &gate.Distribution{Files: []gate.ReleaseFile{{Path: "etc/os-release", Link: "opt/os"}, {Path: "etc/debian_version", Text: "12.4"}}}
	for name, c := range map[string]struct {
		facts  *gate.Distribution
		family string
		says   []string
	}{
		"uos_server":       {files("etc/os-release", uosServer, "etc/redhat-release", "UOS release 20"), "uniontech", []string{`etc/os-release says ID="uos" VERSION_ID="20" (UnionTech OS Server 20)`, "which release of UnionTech OS", "etc/os-version"}},
		"deepin":           {files("etc/os-release", "ID=Deepin\nVERSION_ID=\"23\"\nID_LIKE=debian\n", "etc/debian_version", "12.5"), "Deepin", []string{`ID="Deepin"`, "advisories of debian, its ID_LIKE, are for other packages"}},
		"raspbian":         {files("etc/os-release", "ID=raspbian\nID_LIKE=debian\nVERSION_ID=\"12\"\n", "etc/debian_version", "12.4"), "raspbian", []string{`"raspbian"`, "ID_LIKE"}},
		"linux_mint":       {files("etc/os-release", "ID=linuxmint\nID_LIKE=\"ubuntu debian\"\nVERSION_ID=\"21.3\"\n", "etc/lsb-release", lsb22), "linuxmint", []string{"ubuntu debian"}},
		"kali":             {files("etc/os-release", "ID=kali\nID_LIKE=debian\nVERSION_ID=\"2024.1\"\n", "etc/debian_version", "kali-rolling"), "kali", []string{`"kali"`}},
		"anolis_on_alma":   {files("etc/os-release", "ID=\"anolis\"\nVERSION_ID=\"8.8\"\n", "etc/redhat-release", "AlmaLinux release 8.8"), "anolis", []string{`"anolis"`, "AlmaLinux release 8.8"}},
		"fedora":           {files("etc/os-release", "ID=fedora\nVERSION_ID=39\n", "etc/fedora-release", "Fedora release 39 (Thirty Nine)"), "fedora", []string{`no advisories for the distribution "fedora"`}},
		"centos_stream":    {files("etc/os-release", "NAME=\"CentOS Stream\"\nID=\"centos\"\nVERSION_ID=\"8\"\n", "etc/centos-release", "CentOS Stream release 8"), "centos-stream", []string{`"centos-stream"`}},
		"activestate":      {files("etc/os-release", "ID=activestate\nVERSION_ID=\"1.0\"\n"), "activestate", []string{`"activestate"`}},
		"no_id":            {files("etc/os-release", "NAME=\"Some Linux\"\n", "etc/debian_version", "12.4"), "", []string{"etc/os-release has no ID"}},
		"wolfi_on_debian":  {files("etc/os-release", "ID=wolfi\nVERSION_ID=20230201\n", "etc/debian_version", "12.4"), "wolfi", []string{`ID="wolfi"`, `etc/debian_version says "12.4"`, "is needed"}},
		"ubuntu_on_debian": {files("etc/os-release", ubuntu22, "etc/lsb-release", lsb22, "etc/debian_version", "12.4"), "ubuntu", []string{`etc/debian_version says "12.4"`}},
		"debian_on_ubuntu": {files("etc/os-release", debian12, "etc/lsb-release", lsb22), "debian", []string{`etc/lsb-release says "DISTRIB_ID=Ubuntu"`}},
		"debian_on_deepin": {files("etc/os-release", debian12, "etc/debian_version", "12.4", "etc/os-version", "[Version]\nSystemName=Deepin\n"), "debian", []string{"etc/os-version"}},
		"rhel_on_kylin":    {files("etc/os-release", "ID=rhel\nVERSION_ID=8.8\n", "etc/redhat-release", "Kylin Linux Advanced Server release V10 (Lance)"), "redhat", []string{"Kylin Linux Advanced Server"}},
		"rhel_on_euler":    {files("etc/os-release", "ID=rhel\nVERSION_ID=8.8\n", "etc/openEuler-release", ""), "redhat", []string{`etc/openEuler-release says "openEuler"`}},
		"rocky_on_rhel":    {files("etc/os-release", "ID=rocky\nVERSION_ID=9.3\n", "etc/redhat-release", "Red Hat Enterprise Linux release 9.3 (Plow)"), "rocky", []string{"Red Hat Enterprise Linux release 9.3"}},
		"other_release":    {files("etc/os-release", debian12, "etc/debian_version", "11.9"), "debian", []string{`etc/debian_version says release "11.9"`}},
		"other_ubuntu":     {files("etc/os-release", ubuntu22, "etc/lsb-release", "DISTRIB_ID=Ubuntu\nDISTRIB_RELEASE=24.04\n"), "ubuntu", []string{`release "24.04"`}},
		"two_os_releases":  {files("etc/os-release", "ID=alpine\nVERSION_ID=3.18.4\n", "usr/lib/os-release", debian12), "alpine", []string{`usr/lib/os-release says ID="debian"`}},
		"two_releases":     {files("etc/os-release", "ID=debian\nVERSION_ID=13\n", "usr/lib/os-release", debian12), "debian", []string{`VERSION_ID="13"`, `VERSION_ID="12"`}},
		"two_contents":     {files("etc/os-release", debian12, "etc/os-release", "ID=wolfi\n"), "debian", []string{"container runtimes show different contents of etc/os-release"}},
		"cut":              {cut, "debian", []string{"more than 4096 bytes"}},
		"link":             {link, "debian", []string{`etc/os-release is a link to "opt/os"`}},
		"only_a_foreign":   {files("etc/redhat-release", "Kylin Linux Advanced Server release V10"), "kylin", []string{"there is no os-release", "which release of Kylin"}},
		"only_scientific":  {files("etc/redhat-release", "Scientific Linux release 7.9 (Nitrogen)"), "", []string{"Scientific Linux"}},
		"only_two":         {files("etc/alpine-release", "3.18.4", "etc/debian_version", "12.4"), "", []string{`etc/alpine-release says "3.18.4"`, "etc/debian_version", "does not fit exactly one distribution"}},
		"only_uos_debian":  {files("etc/debian_version", "10.10", "etc/os-version", "[Version]\n"), "uniontech", []string{"10.10", "which release of UnionTech OS"}},
		"only_fedora":      {files("etc/fedora-release", "Fedora release 29 (Twenty Nine)", "etc/redhat-release", "Fedora release 29 (Twenty Nine)"), "fedora", []string{`no advisories for the distribution "fedora"`}},
		"hostile":          {files("etc/os-release", "ID=\"\x00\xff\u202e"+strings.Repeat("x", 3000)+"\"\nPRETTY_NAME=\"\x1b[2J\"\n"), "", nil},
	} {
		t.Run(name, func(t *testing.T) {
			d := distribution.Decide(c.facts)
			if d.Problem == "" || (d.Family != c.family && name != "hostile") {
				t.Fatalf("Decide: got %+v, want a problem and family %q", d, c.family)
			}
			for _, s := range append(c.says, "needed") {
				if !strings.Contains(d.Problem, s) {
					t.Errorf("Problem: got %q, want %q in it", d.Problem, s)
				}
			}
			if len(d.Problem) > 500 || gate.Printable(d.Problem, 500) != d.Problem {
				t.Errorf("Problem is not printable: %q", d.Problem)
			}
		})
	}
}
