package match_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/digestgate/digestgate/gate"
)

// pkg is a package as an inventory has it: "name version-release (origin)".
func pkg(manager, name, version, release, origin string) gate.Package {
	p := gate.Package{Name: name, Version: version, Release: release, SrcName: name, SrcVersion: version, SrcRelease: release, Arch: "x86_64",
		AnalyzedBy: manager, ID: name + "@" + version + "-" + release}
	if origin != "" {
		p.Repository = &gate.PackageOrigin{Class: "official", Name: origin}
	}
	return p
}

func third(p gate.Package) gate.Package {
	name := ""
	if p.Repository != nil {
		name = p.Repository.Name
	}
	p.Repository = &gate.PackageOrigin{Class: "third-party", Name: name}
	return p
}

func many(n int, make func(i int) gate.Package) []gate.Package {
	var out []gate.Package
	for i := range n {
		out = append(out, make(i))
	}
	return out
}

func named(i int) string { return fmt.Sprintf("lib%02d", i) }

// TestMatch_contents: os-release and its helpers may lie together; what is
// installed tells.
func TestMatch_contents(t *testing.T) {
	m := everyRelease(t)
	deb := func(name, version, release, host string) gate.Package {
		return pkg("dpkg", name, version, release, host)
	}
	rpm := func(name, version, release, vendor string) gate.Package {
		return pkg("rpm", name, version, release, vendor)
	}
	apk := func(name, version, host string) gate.Package { return pkg("apk", name, version, "", host) }
	debian, ubuntu, alpine := gate.OS{Family: "debian", Name: "12.4"}, gate.OS{Family: "ubuntu", Name: "22.04"}, gate.OS{Family: "alpine", Name: "3.18.4"}
	redHat, rocky, amazon := gate.OS{Family: "redhat", Name: "8.9"}, gate.OS{Family: "rocky", Name: "9.3"}, gate.OS{Family: "amazon", Name: "2 (Karoo)"}
	for name, c := range map[string]struct {
		os   gate.OS
		pkgs []gate.Package
		dbs  []gate.PackageDatabase
		want string // in the reason, "" when the image is assessed
		gaps int
	}{
		"debian": {os: debian, pkgs: []gate.Package{deb("base-files", "12.4+deb12u11", "", "debian.org"), deb("bash", "5.2.15", "2+b7", "debian.org"),
			deb("tzdata", "2024a", "0+deb12u1", "lists.debian.org"), deb("old", "1", "2+deb11u1", "debian.org")}},
		"debian_of_before": {os: gate.OS{Family: "debian", Name: "11.9"}, pkgs: []gate.Package{deb("base-files", "11.1+deb11u9", "", "debian.org")}},
		"debian_with_a_third_party": {os: debian, pkgs: []gate.Package{deb("base-files", "12.4", "", "debian.org"), third(deb("docker-ce", "24.0", "1", "docker.com"))},
			gaps: 1},
		"debian_mostly_third_parties": {os: debian, pkgs: []gate.Package{deb("base-files", "12.4", "", "debian.org"), third(deb("docker-ce", "24.0", "1", "docker.com")), third(deb("containerd.io", "1", "1", "docker.com"))},
			want: "2 of 3 are gaps", gaps: 2},
		"debian_is_ubuntu":       {os: debian, pkgs: []gate.Package{deb("base-files", "12ubuntu4.6", "", "lists.ubuntu.com")}, want: "base-files 12ubuntu4.6 is not Debian's"},
		"debian_is_kali":         {os: debian, pkgs: []gate.Package{{Name: "base-files", Version: "2024.1.0", Epoch: 1, AnalyzedBy: "dpkg"}}, want: "not Debian's"},
		"debian_is_deepin":       {os: debian, pkgs: many(5, func(i int) gate.Package { return deb(named(i), "1.2", "3deepin1", "deepin.com") }), want: "5 of 5 are gaps", gaps: 5},
		"debian_is_another":      {os: gate.OS{Family: "debian", Name: "11.9"}, pkgs: []gate.Package{deb("base-files", "12.4+deb12u5", "", "debian.org")}, want: "of Debian 12"},
		"debian_marks_say_other": {os: gate.OS{Family: "debian", Name: "11.9"}, pkgs: []gate.Package{deb("a", "1", "1+deb12u1", ""), deb("b", "1", "1~deb12u2", ""), deb("c", "1", "1+deb11u1", "")}, want: "2 packages (such as a 1-1+deb12u1) were built for another release"},
		"debian_backports":       {os: gate.OS{Family: "debian", Name: "11.9"}, pkgs: []gate.Package{deb("a", "1", "1+deb12u1~bpo11+1", "")}},
		"ubuntu": {os: ubuntu, pkgs: []gate.Package{deb("base-files", "12ubuntu4.6", "", "lists.ubuntu.com"), deb("libacl1", "2.3.1", "1", "lists.ubuntu.com"),
			deb("ubuntu-keyring", "2021.03.26", "", "canonical.com"), deb("libpcre3", "8.39", "13ubuntu0.22.04.1", "lists.ubuntu.com")}},
		"ubuntu_with_one_of_debian": {os: ubuntu, pkgs: []gate.Package{deb("base-files", "12ubuntu4.6", "", "lists.ubuntu.com"), deb("tool", "1", "1", "tracker.debian.org"), deb("our-tool", "1", "1", "example.com")}, gaps: 1},
		"ubuntu_is_debian":          {os: ubuntu, pkgs: []gate.Package{deb("base-files", "12.4+deb12u5", "", "debian.org")}, want: "not Ubuntu's"},
		"ubuntu_is_debian_without_base": {os: ubuntu, pkgs: many(4, func(i int) gate.Package { return deb(named(i), "1", "2", "lists.debian.org") }),
			want: "4 of 4 are gaps", gaps: 4},
		"ubuntu_is_another":       {os: ubuntu, pkgs: []gate.Package{deb("a", "1", "1ubuntu0.24.04.1", "lists.ubuntu.com")}, want: "built for another release of Ubuntu"},
		"echo":                    {os: gate.OS{Family: "echo", Name: "1"}, pkgs: []gate.Package{deb("base-files", "12.4+deb12u5", "", "debian.org"), deb("openssl", "3.0.16", "1~deb12u1+e2", "")}},
		"echo_is_debian":          {os: gate.OS{Family: "echo", Name: "1"}, pkgs: []gate.Package{deb("base-files", "12.4+deb12u5", "", "debian.org"), deb("openssl", "3.0.16", "1~deb12u1", "")}, want: "but no package does"},
		"alpine":                  {os: alpine, pkgs: []gate.Package{apk("alpine-baselayout", "3.4.3-r1", "alpinelinux.org"), apk("musl", "1.2.4-r2", "iki.fi")}},
		"alpine_is_wolfi":         {os: alpine, pkgs: []gate.Package{apk("wolfi-baselayout", "20230201-r7", "")}, want: "wolfi-baselayout 20230201-r7 brings the release files of another distribution"},
		"wolfi_is_alpine":         {os: gate.OS{Family: "wolfi"}, pkgs: []gate.Package{apk("alpine-release", "3.18.4-r0", "")}, want: "another distribution"},
		"wolfi_is_stripped":       {os: gate.OS{Family: "wolfi"}, pkgs: many(3, func(i int) gate.Package { return apk(named(i), "1-r0", "alpinelinux.org") }), want: "3 of 3 are gaps", gaps: 3},
		"chainguard_is_wolfi_too": {os: gate.OS{Family: "chainguard"}, pkgs: []gate.Package{apk("wolfi-baselayout", "20230201-r7", "")}},
		"red_hat": {os: redHat, pkgs: []gate.Package{rpm("redhat-release", "8.9", "0.1.el8", "Red Hat, Inc."), rpm("zlib", "1.2.11", "25.el8", "Red Hat, Inc."),
			rpm("nodejs", "18", "1.module+el8.9.0+123+abc", "Red Hat, Inc."), {Name: "gpg-pubkey", Version: "fd431d51", AnalyzedBy: "rpm"}}},
		"red_hat_with_epel": {os: redHat, pkgs: []gate.Package{rpm("redhat-release", "8.9", "0.1.el8", "Red Hat, Inc."), rpm("htop", "3.2.1", "1.el8", "Fedora Project")}, gaps: 1},
		"red_hat_is_rocky":  {os: redHat, pkgs: []gate.Package{rpm("rocky-release", "8.9", "1.el8", "Rocky Enterprise Software Foundation")}, want: "rocky-release 8.9-1.el8 brings the release files of another distribution"},
		"red_hat_is_kylin":  {os: redHat, pkgs: many(3, func(i int) gate.Package { return third(rpm(named(i), "1", "1.ky10", "KylinSoft")) }), want: "3 packages (such as lib00 1-1.ky10) were built for Kylin (ky10)"},
		"red_hat_is_anolis": {os: redHat, pkgs: many(3, func(i int) gate.Package { return rpm(named(i), "1", "1.an8", "") }), want: "were built for Anolis OS (an8), but the release files say Red Hat Enterprise Linux 8.9"},
		"red_hat_is_another": {os: gate.OS{Family: "redhat", Name: "7.9"}, pkgs: many(3, func(i int) gate.Package { return rpm(named(i), "1", "1.el8_9", "Red Hat, Inc.") }),
			want: "3 packages (such as lib00 1-1.el8_9) were built for another release of Red Hat Enterprise Linux than 7.9"},
		"rocky":          {os: rocky, pkgs: []gate.Package{rpm("rocky-release", "9.3", "1.3.el9", "Rocky Enterprise Software Foundation"), rpm("bash", "5.1.8", "6.el9_1", "Rocky Enterprise Software Foundation")}},
		"rocky_is_alma":  {os: rocky, pkgs: many(2, func(i int) gate.Package { return rpm(named(i), "1", "1.el9", "AlmaLinux") }), want: `comes from "AlmaLinux"`, gaps: 2},
		"amazon":         {os: amazon, pkgs: []gate.Package{rpm("system-release", "2", "16.amzn2", "Amazon Linux"), rpm("bash", "4.2.46", "34.amzn2", "")}},
		"amazon_1":       {os: gate.OS{Family: "amazon", Name: "AMI release 2018.03"}, pkgs: []gate.Package{rpm("bash", "4.2.46", "34.43.amzn1", "Amazon.com")}, want: `release "amazon linux 1"`},
		"amazon_is_2023": {os: amazon, pkgs: []gate.Package{rpm("bash", "5.2.15", "1.amzn2023.0.2", "Amazon Linux")}, want: "built for another release of Amazon Linux"},
		"amazon_is_alinux": {os: amazon, pkgs: many(2, func(i int) gate.Package { return rpm(named(i), "1", "1.al8", "") }),
			want: "Alibaba Cloud Linux"},
		"photon":        {os: gate.OS{Family: "photon", Name: "4.0"}, pkgs: []gate.Package{rpm("photon-release", "4.0", "2.ph4", "VMware, Inc."), rpm("bash", "5.0", "2.ph4", "VMware, Inc.")}},
		"leap":          {os: gate.OS{Family: "opensuse-leap", Name: "15.6"}, pkgs: []gate.Package{rpm("openSUSE-release", "15.6", "lp156.414.1", "openSUSE"), rpm("bash", "4.4", "150400.27.1", "SUSE LLC <https://www.suse.com/>")}},
		"sles_is_euler": {os: gate.OS{Family: "sles", Name: "15.3"}, pkgs: many(2, func(i int) gate.Package { return rpm(named(i), "1", "33.oe2203sp3", "") }), want: "openEuler"},
		"of_two_managers": {os: debian, pkgs: []gate.Package{deb("bash", "5.2.15", "2+b7", ""), apk("musl", "1.2.4-r2", "")},
			want: "1 packages were installed by apk, but Debian installs its packages by dpkg"},
		"unread_database": {os: debian, pkgs: []gate.Package{deb("bash", "5.2.15", "2+b7", "")}, dbs: []gate.PackageDatabase{{Manager: "dpkg", Path: "var/lib/dpkg/status"}, {Manager: "nix", Path: "nix/var/nix/db/db.sqlite"}},
			want: "there are packages of nix (nix/var/nix/db/db.sqlite), whose database no analyser reads"},
		"read_databases":             {os: debian, pkgs: []gate.Package{deb("bash", "5.2.15", "2+b7", "")}, dbs: []gate.PackageDatabase{{Manager: "dpkg", Path: "var/lib/dpkg/status"}, {Manager: "dpkg", Path: "var/lib/dpkg/status.d"}, {Manager: "rpm", Path: "var/lib/rpm/rpmdb.sqlite"}}},
		"unread_of_no_one":           {dbs: []gate.PackageDatabase{{Manager: "nix", Path: "nix/var/nix/db/db.sqlite"}}, want: "packages of nix"},
		"scratch":                    {},
		"packages_of_no_one":         {pkgs: []gate.Package{deb("bash", "5.2.15", "2+b7", "")}, want: "could not be identified"},
		"activestate_with_packages":  {os: gate.OS{Family: "activestate", Name: "1.0"}, pkgs: []gate.Package{deb("bash", "5.2.15", "2+b7", "")}, want: "ActiveState has no package manager"},
		"bottlerocket_with_packages": {os: gate.OS{Family: "bottlerocket", Name: "1"}, pkgs: []gate.Package{deb("bash", "5.2.15", "2+b7", "")}, want: "Bottlerocket installs its packages by bottlerocket"},
	} {
		t.Run(name, func(t *testing.T) {
			if c.os.Family == "redhat" {
				for i := range c.pkgs {
					c.pkgs[i].BuildInfo = &gate.BuildInfo{ContentSets: []string{"rhel-8-for-x86_64-baseos-rpms"}}
				}
			}
			f := find(t, m, &gate.Inventory{Format: 1, Digest: image, OS: c.os, Distribution: &gate.Distribution{Databases: c.dbs}, Packages: c.pkgs})
			if (c.want == "") != (f.Unassessable == "") || !strings.Contains(f.Unassessable, c.want) {
				t.Errorf("Unassessable: got %q, want %q", f.Unassessable, c.want)
			}
			if len(f.Gaps) != c.gaps {
				t.Errorf("Gaps: got %+v, want %d", f.Gaps, c.gaps)
			}
		})
	}
	t.Run("rapidfort", func(t *testing.T) {
		os := gate.OS{Family: "ubuntu", Name: "22.04", Supplier: "rapidfort"}
		for version, want := range map[string]string{"2.5.2": "but no package does", "2.5.2+rf.1": "nothing of RapidFort", "2.46-10rfubu1": "nothing of RapidFort"} {
			inv := &gate.Inventory{Format: 1, Digest: image, OS: os, Packages: []gate.Package{deb("glibc", version, "1", "")}}
			if f := find(t, m, inv); !strings.Contains(f.Unassessable, want) {
				t.Errorf("%s: got %q, want %q", version, f.Unassessable, want)
			}
		}
	})
	t.Run("alpine_repository_of_before", func(t *testing.T) {
		for repository, want := range map[string]bool{"": true, "alpine 3.18": true, "alpine edge": true, "alpine 3.9": false, "alpine 3.9.1": false} {
			inv := &gate.Inventory{Format: 1, Digest: image, OS: alpine, PackageRepository: repository}
			if f := find(t, m, inv); (f.Unassessable == "") != want {
				t.Errorf("%q: got %q, want assessed %v", repository, f.Unassessable, want)
			}
		}
	})
}

// TestMatch_old_inventory: one that was made before the facts were recorded is
// judged by what it has, and is neither clean for that nor refused.
func TestMatch_old_inventory(t *testing.T) {
	m := everyRelease(t)
	old := func(os gate.OS, pkgs ...gate.Package) *gate.Inventory {
		return &gate.Inventory{Format: 1, Digest: image, OS: os, Packages: pkgs}
	}
	bash := gate.Package{Name: "bash", Version: "5.2.15", Release: "2", SrcName: "bash", SrcVersion: "5.2.15", SrcRelease: "2", AnalyzedBy: "dpkg", Repository: &gate.PackageOrigin{Class: "official"}}
	for _, family := range []gate.OS{{Family: "debian", Name: "12.4"}, {Family: "ubuntu", Name: "22.04"}} {
		if f := find(t, m, old(family, bash)); f.Unassessable != "" || len(f.Gaps) > 0 {
			t.Errorf("%s: got %q, gaps %v, want none", family.Family, f.Unassessable, f.Gaps)
		}
	}
	for _, family := range []string{"wolfi", "rocky", "alma", "oracle", "photon", "azurelinux", "sles", "bottlerocket", "activestate"} {
		if f := find(t, m, old(gate.OS{Family: family, Name: "9.3"}, bash)); f.Unassessable == "" {
			t.Errorf("%s with packages of dpkg: got no reason", family)
		}
	}
}
