package match_test

import (
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	bolt "go.etcd.io/bbolt"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/scanner/distribution"
	"github.com/digestgate/digestgate/scanner/match"
)

// everyRelease is a matcher whose data knows the releases below, so that only
// what the image says of its distribution can make it unassessable.
func everyRelease(t *testing.T) *match.Matcher {
	t.Helper()
	dir := t.TempDir()
	db, err := bolt.Open(filepath.Join(dir, "trivy.db"), 0o600, nil)
	if err != nil {
		t.Fatal(err)
	}
	err = db.Update(func(tx *bolt.Tx) error {
		for _, name := range []string{
			"vulnerability", "data-source", "debian 12", "debian 11", "ubuntu 22.04", "alpine 3.18", "alpine 3.9", "alpine edge", "alma 8", "amazon linux 2", "Azure Linux 3.0",
			"CBL-Mariner 2.0", "openSUSE Leap 15.6", "openSUSE Tumbleweed", "Oracle Linux 8", "Photon OS 4.0", "rocky 9", "SUSE Linux Enterprise 15.3",
			"SUSE Linux Enterprise Micro 6.0", "wolfi", "chainguard", "minimos", "echo", "bottlerocket", "Red Hat", "Red Hat CPE",
			"openEuler 22.03-LTS-SP3", "EulerOS 2.0-SP9", "HCE 2.0", "Kylin V10-SP3", "UnionTech OS 20-1060e", "UnionTech OS 20-1060d", "Alibaba Cloud Linux 3", "Anolis OS 8",
			"TencentOS Server 3", "OpenCloudOS 8",
		} {
			if _, err := tx.CreateBucket([]byte(name)); err != nil {
				return err
			}
		}
		repositories, err := tx.Bucket([]byte("Red Hat CPE")).CreateBucket([]byte("repository"))
		if err != nil {
			return err
		}
		for _, r := range []string{"rhel-8-for-x86_64-baseos-rpms", "rhel-7-server-rpms"} {
			if err := repositories.Put([]byte(r), []byte("[1]")); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	m := match.New(slog.New(slog.DiscardHandler), now)
	if err := m.Load(t.Context(), dir, gate.Generation{Number: 1, Content: image}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = m.Close() })
	return m
}

// known are the values of ID that have advisories, with a release that the data
// knows and what agrees with it.
var known = map[string]struct {
	version string
	manager string   // of the packages
	files   []string // the release files, by their names in releaseFiles, that agree
}{
	"debian": {"12", "dpkg", []string{"debian_version"}}, "ubuntu": {"22.04", "dpkg", []string{"ubuntu", "sid"}},
	"echo":   {"1", "dpkg", []string{"debian_version", "sid"}},
	"alpine": {"3.18.4", "apk", []string{"alpine-release"}}, "wolfi": {"20230201", "apk", nil}, "chainguard": {"20230214", "apk", nil}, "minimos": {"20241031", "apk", nil},
	"rhel": {"8.9", "rpm", []string{"redhat-release"}}, "centos": {"7", "rpm", []string{"centos-release"}}, "rocky": {"9.3", "rpm", []string{"rocky-release"}},
	"almalinux": {"8.4", "rpm", []string{"almalinux-release"}}, "ol": {"8.10", "rpm", []string{"redhat-release", "oracle-release"}},
	"amzn": {"2", "rpm", []string{"amazon"}}, "photon": {"4.0", "rpm", []string{"photon-release"}}, "mariner": {"2.0", "rpm", []string{"mariner-release"}},
	"azurelinux": {"3.0", "rpm", []string{"azurelinux"}}, "sles": {"15.3", "rpm", nil}, "sl-micro": {"6.0", "rpm", nil}, "sle-micro": {"6.0", "rpm", nil},
	"opensuse-leap": {"15.6", "rpm", nil}, "opensuse-tumbleweed": {"20240607", "rpm", nil}, "bottlerocket": {"1.34.0", "bottlerocket-inventory", nil},
	"openEuler": {"22.03-LTS-SP3", "rpm", nil}, "euleros": {"2.0 (SP9)", "rpm", nil}, "hce": {"2.0", "rpm", nil}, "kylin": {"V10 (Lance)", "rpm", []string{"kylin"}},
	"uos": {"20-1060e", "rpm", []string{"redhat-release", "centos-release", "debian_version", "sid"}}, "UOS": {"20-1060d", "dpkg", []string{"redhat-release", "centos-release", "debian_version", "sid"}},
	"alinux": {"3", "rpm", []string{"redhat-release", "centos-release"}}, "anolis": {"8.8", "rpm", []string{"redhat-release", "centos-release", "anolis"}},
	"tencentos": {"3.1", "rpm", []string{"redhat-release", "centos-release", "tencent"}}, "opencloudos": {"8.6", "rpm", []string{"redhat-release", "centos-release"}},
}

// strangers are values of ID without advisories.
var strangers = []string{
	"Deepin", "deepin", "openkylin", "alios", "bclinux",
	"nixos", "arch", "archarm", "manjaro", "gentoo", "void", "clear-linux-os", "slackware", "solus", "mageia", "openmandriva", "altlinux", "rosa", "guix",
	"raspbian", "linuxmint", "kali", "parrot", "devuan", "pureos", "pop", "elementary", "zorin", "neon", "proxmox", "steamos",
	"fedora", "coreos", "rhcos", "flatcar", "cos", "activestate", "scientific", "cloudlinux", "eurolinux", "virtuozzo", "xenenterprise", "miraclelinux", "sled", "opensuse-microos",
	"openwrt", "buildroot", "poky", "talos", "busybox", "postmarketos", "linux", "distroless", "x",
}

var releaseFiles = map[string][2]string{
	"debian_version":    {"etc/debian_version", "12.4\n"},
	"sid":               {"etc/debian_version", "bookworm/sid\n"},
	"ubuntu":            {"etc/lsb-release", "DISTRIB_ID=Ubuntu\nDISTRIB_RELEASE=22.04\n"},
	"mint":              {"etc/lsb-release", "DISTRIB_ID=LinuxMint\nDISTRIB_RELEASE=21.3\n"},
	"alpine-release":    {"etc/alpine-release", "3.18.4\n"},
	"redhat-release":    {"etc/redhat-release", "Red Hat Enterprise Linux release 8.9 (Ootpa)\n"},
	"centos-release":    {"etc/centos-release", "CentOS Linux release 7.9.2009 (Core)\n"},
	"rocky-release":     {"etc/rocky-release", "Rocky Linux release 9.3 (Blue Onyx)\n"},
	"almalinux-release": {"etc/redhat-release", "AlmaLinux release 8.4 (Electric Cheetah)\n"},
	"oracle-release":    {"etc/oracle-release", "Oracle Linux Server release 8.10\n"},
	"fedora-release":    {"usr/lib/fedora-release", "Fedora release 39 (Thirty Nine)\n"},
	"amazon":            {"etc/system-release", "Amazon Linux release 2 (Karoo)\n"},
	"photon-release":    {"etc/photon-release", "VMware Photon OS 4.0\n"},
	"mariner-release":   {"etc/mariner-release", "CBL-Mariner 2.0.20240112\n"},
	"azurelinux":        {"etc/lsb-release", "DISTRIB_ID=\"azurelinux\"\nDISTRIB_RELEASE=\"3.0.20240624\"\n"},
	"anolis":            {"etc/redhat-release", "Anolis OS release 8.8\n"},
	"kylin":             {"etc/redhat-release", "Kylin Linux Advanced Server release V10 (Lance)\n"},
	"tencent":           {"etc/system-release", "TencentOS Server release 3.1 (Final)\n"},
	"deepin":            {"etc/os-version", "[Version]\nSystemName=Deepin\n"},
	"arch-release":      {"etc/arch-release", ""},
}

// suffixes are those of the packages of distributions that show themselves by them.
var suffixes = map[string]string{
	"openEuler": ".oe2203sp3", "euleros": ".eulerosv2r9", "hce": ".hce2", "kylin": ".ky10", "uos": ".uel20", "UOS": "+uos1", "alinux": ".al8", "anolis": ".an8",
	"tencentos": ".tl3", "opencloudos": ".oc8",
}

var managers = map[string]bool{"rpm": true, "dpkg": true}

// contents are packages of each manager as its analyser reports them, the
// vendor left out so that nothing but the manager speaks.
var contents = map[string][]gate.Package{
	"dpkg":                   {{Name: "zlib1g", Version: "1.2.13.dfsg", Release: "1", SrcName: "zlib", SrcVersion: "1.2.13.dfsg", SrcRelease: "1", AnalyzedBy: "dpkg"}},
	"apk":                    {{Name: "zlib", Version: "1.2.13-r1", SrcName: "zlib", SrcVersion: "1.2.13-r1", AnalyzedBy: "apk"}},
	"rpm":                    {{Name: "zlib", Version: "1.2.11", Release: "1", SrcName: "zlib", SrcVersion: "1.2.11", SrcRelease: "1", Arch: "x86_64", AnalyzedBy: "rpm"}},
	"bottlerocket-inventory": {{Name: "zlib", Version: "1.2.11", Release: "1", AnalyzedBy: "bottlerocket-inventory"}},
	"none":                   nil,
	"pacman":                 nil,
}

// TestMatch_every_distribution goes through all values of ID, package databases
// and release files: an image is assessed where all three agree, and nowhere
// else.
func TestMatch_every_distribution(t *testing.T) {
	m := everyRelease(t)
	ids := slices.Clone(strangers)
	for id := range known {
		ids = append(ids, id)
	}
	assessed := map[string]int{}
	for _, id := range ids {
		for manager, pkgs := range contents {
			if suffix := suffixes[id]; suffix != "" && len(pkgs) == 1 && managers[manager] {
				own := pkgs[0]
				own.Release = "1" + suffix
				pkgs = []gate.Package{own}
			}
			for name, file := range releaseFiles {
				for _, with := range []bool{true, false} {
					k, isKnown := known[id]
					facts := &gate.Distribution{Files: []gate.ReleaseFile{{Path: "etc/os-release", Text: fmt.Sprintf("ID=%q\nVERSION_ID=%q\nPRETTY_NAME=\"The %s\"\n", id, k.version, id)}}}
					if with {
						facts.Files = append(facts.Files, gate.ReleaseFile{Path: file[0], Text: file[1]})
					}
					if manager == "pacman" {
						facts.Databases = []gate.PackageDatabase{{Manager: "pacman", Path: "var/lib/pacman/local"}}
					}
					d := distribution.Decide(facts)
					if id == "echo" && manager == "dpkg" {
						pkgs = []gate.Package{pkg("dpkg", "zlib1g", "1.2.13.dfsg", "1+e1", "")}
					}
					f := find(t, m, &gate.Inventory{Format: 1, Digest: image, OS: gate.OS{Family: d.Family, Name: d.Name}, Distribution: facts, Packages: pkgs})
					want := isKnown && (manager == k.manager || manager == "none") && (!with || slices.Contains(k.files, name))
					if got := f.Unassessable == ""; got != want {
						t.Errorf("ID=%s, %s, %s %v: got unassessable %q, want assessed %v", id, manager, name, with, f.Unassessable, want)
					}
					if f.Unassessable == "" {
						assessed[id]++
					} else if !strings.Contains(f.Unassessable, "needed") {
						t.Errorf("ID=%s, %s, %s: the reason does not say what is needed: %q", id, manager, name, f.Unassessable)
					}
					if !isKnown && !strings.Contains(f.Unassessable, fmt.Sprintf("says ID=%q", id)) {
						t.Errorf("ID=%s: the reason does not say what os-release says: %q", id, f.Unassessable)
					}
				}
			}
		}
	}
	for id := range known {
		if assessed[id] == 0 {
			t.Errorf("ID=%s is assessed in no combination", id)
		}
	}
}
