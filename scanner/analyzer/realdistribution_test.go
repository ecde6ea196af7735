package analyzer_test

import (
	"archive/tar"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/scanner/distribution"
)

// TestRealDistribution: which release files and databases the child records, and
// what follows from them.
func TestRealDistribution(t *testing.T) {
	const uos = "ID=uos\nVERSION_ID=\"20\"\nPRETTY_NAME=\"UnionTech OS Desktop 20 Pro\"\n"
	symlink := func(name, target string) entry { return entry{name: name, kind: tar.TypeSymlink, link: target} }
	hardlink := func(name, target string) entry { return entry{name: name, kind: tar.TypeLink, link: target} }
	os := func(family, name string) gate.OS { return gate.OS{Family: family, Name: name} }
	tests := map[string]struct {
		layers    [][]entry
		os        gate.OS
		files     []string // of the facts
		databases []string
		problem   string // part of it
	}{
		"debian": {layers: [][]entry{debianFiles}, os: os("debian", "12.4"), files: []string{"etc/debian_version", "etc/os-release"}, databases: []string{"dpkg var/lib/dpkg/status"}},
		"linked": {layers: [][]entry{{symlink("etc/os-release", "../usr/lib/os-release"), file("usr/lib/os-release", debianRelease)}},
			os: os("debian", "12"), files: []string{"etc/os-release", "usr/lib/os-release"}},
		"hard_linked": {layers: [][]entry{{file("usr/lib/os-release", debianRelease)}, {hardlink("etc/os-release", "usr/lib/os-release")}},
			os: os("debian", "12"), files: []string{"etc/os-release", "usr/lib/os-release"}},
		"linked_elsewhere": {layers: [][]entry{{file("etc/debian_version", "12.5\n"), symlink("etc/os-release", "/opt/os"), file("opt/os", uos)}},
			os: os("uniontech", "20"), files: []string{"etc/debian_version", "etc/os-release"}, problem: "which release of UnionTech OS"},
		"hard_linked_elsewhere": {layers: [][]entry{{file("opt/text", "Kylin Linux Advanced Server release V10\n"), file("etc/os-release", "ID=rhel\nVERSION_ID=8.8\n")}, {hardlink("etc/redhat-release", "opt/text")}},
			os: os("redhat", "8.8"), files: []string{"etc/os-release", "etc/redhat-release"}, problem: "Kylin"},
		"linked_directory": {layers: [][]entry{{symlink("etc", "opt/etc"), file("opt/etc/os-release", debianRelease), file("opt/etc/alpine-release", "3.18.4\n"),
			symlink("var/lib/pacman", "/opt/pacman"), file("opt/pacman/local/zlib-1/desc", "x")}},
			os: os("debian", "12"), files: []string{"etc/alpine-release", "etc/os-release"}, databases: []string{"pacman var/lib/pacman/local"}, problem: "3.18.4"},
		"dangling": {layers: [][]entry{{symlink("etc/redhat-release", "rocky-release"), file("etc/os-release", debianRelease)}},
			os: os("debian", "12"), files: []string{"etc/os-release"}},
		"unknown_family": {layers: [][]entry{{file("etc/os-release", uos), file("etc/debian_version", "12.5\n"), file("var/lib/dpkg/status", dpkgStatus)}},
			os: os("uniontech", "20"), files: []string{"etc/debian_version", "etc/os-release"}, databases: []string{"dpkg var/lib/dpkg/status"}, problem: "which release of UnionTech OS"},
		"lying": {layers: [][]entry{debianFiles, {file("etc/os-release", "ID=wolfi\nVERSION_ID=1\n")}},
			os: os("wolfi", "1"), files: []string{"etc/debian_version", "etc/os-release"}, databases: []string{"dpkg var/lib/dpkg/status"}, problem: "etc/debian_version says"},
		"replaced_above": {layers: [][]entry{{file("etc/os-release", uos)}, {file("etc/os-release", debianRelease)}}, os: os("debian", "12"), files: []string{"etc/os-release"}},
		"removed_above":  {layers: [][]entry{{file("etc/os-release", uos), file("etc/alpine-release", "3.18.4\n")}, {file("etc/.wh.os-release", "")}}, os: os("alpine", "3.18.4"), files: []string{"etc/alpine-release"}},
		"cut": {layers: [][]entry{{file("etc/os-release", debianRelease+strings.Repeat("#", distribution.MaxText))}},
			os: os("debian", "12"), files: []string{"etc/os-release"}, problem: "more than 4096 bytes"},
		"as_long_as_may_be": {layers: [][]entry{{file("etc/os-release", debianRelease+strings.Repeat("#", distribution.MaxText-len(debianRelease)))}},
			os: os("debian", "12"), files: []string{"etc/os-release"}},
		"not_a_release_file": {layers: [][]entry{{file("app/etc/os-release", uos), file("etc/os-release.d/x", uos)}}},
		"databases_that_nobody_reads": {layers: [][]entry{{file("etc/os-release", "ID=arch\n"), file("var/lib/pacman/local/zlib-1/desc", "x"), file("var/lib/pacman/local/zlib-1/files", "x"),
			file("nix/var/nix/db/db.sqlite", "x"), file("usr/lib/opkg/status", ""), file("var/lib/pacman/local/ALPM_DB_VERSION", "9")}},
			os: os("arch", ""), files: []string{"etc/os-release"}, databases: []string{"nix nix/var/nix/db/db.sqlite", "pacman var/lib/pacman/local"}, problem: `"arch"`},
		"database_removed": {layers: [][]entry{{file("etc/os-release", debianRelease), file("var/lib/pacman/local/zlib-1/desc", "x")}, {file("var/lib/.wh.pacman", "")}},
			os: os("debian", "12"), files: []string{"etc/os-release"}},
	}
	src := &source{}
	a := withRealChild(t, src, nil)
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			layers := tarLayers(t, tt.layers)
			inv := analyze(t, a, src.add(layers, nil))
			if inv.OS != tt.os {
				t.Errorf("OS: got %+v, want %+v", inv.OS, tt.os)
			}
			var files, databases []string
			for _, f := range inv.Distribution.Files {
				files = append(files, f.Path)
			}
			for _, db := range inv.Distribution.Databases {
				databases = append(databases, db.Manager+" "+db.Path)
			}
			if diff := cmp.Diff(tt.files, files) + cmp.Diff(tt.databases, databases); diff != "" {
				t.Errorf("facts (-want +got):\n%s", diff)
			}
			if p := distribution.Decide(inv.Distribution).Problem; (p == "") != (tt.problem == "") || !strings.Contains(p, tt.problem) {
				t.Errorf("Problem: got %q, want %q", p, tt.problem)
			}
			wantCoverage(t, inv, gate.RiskVulnerabilities, "")
		})
	}
	t.Run("origin_of_packages", func(t *testing.T) {
		inv := analyze(t, a, src.add([]layer{tarLayer(t, debianFiles...)}, nil))
		var got []string
		for _, p := range inv.Packages {
			got = append(got, p.Name+" "+p.Repository.Name)
		}
		if diff := cmp.Diff([]string{"libc6 lists.debian.org", "openssl alioth-lists.debian.net"}, got); diff != "" {
			t.Errorf("origins (-want +got):\n%s", diff)
		}
	})
}

// TestRealBitnami: what Bitnami compiled and nothing else finds is a gap with a
// name.
func TestRealBitnami(t *testing.T) {
	const spdx = `{"spdxVersion":"SPDX-2.3","packages":[{"name":"NAME","versionInfo":"VERSION","externalRefs":[{"referenceType":"purl","referenceLocator":"pkg:bitnami/NAME@VERSION"}]},{"name":"pcre","versionInfo":"8.45"}]}`
	component := func(name, version, dir string) entry {
		return file("opt/bitnami/"+dir+"/.spdx-"+name+".spdx", strings.NewReplacer("NAME", name, "VERSION", version).Replace(spdx))
	}
	tests := map[string]struct {
		layers [][]entry
		want   []string // the gaps
	}{
		"in_c":    {[][]entry{{component("nginx", "1.25.3", "nginx")}}, []string{"opt/bitnami/nginx/.spdx-nginx.spdx: nginx 1.25.3 of Bitnami"}},
		"no_json": {[][]entry{{file("opt/bitnami/redis/.spdx-redis.spdx", "SPDXVersion: SPDX-2.3\n")}}, []string{"opt/bitnami/redis/.spdx-redis.spdx: redis of Bitnami"}},
		"found":   {[][]entry{{component("app", "1.2.0-3", "app"), file("opt/bitnami/app/lib/node_modules/app/package.json", `{"name":"app","version":"1.2.0"}`)}}, nil},
		"not_its_version": {[][]entry{{component("app", "1.3.0-3", "app"), file("opt/bitnami/app/lib/node_modules/app/package.json", `{"name":"app","version":"1.2.0"}`)}},
			[]string{"opt/bitnami/app/.spdx-app.spdx: app 1.3.0-3 of Bitnami"}},
		"found_elsewhere": {[][]entry{{component("app", "1.2.0", "app"), file("srv/node_modules/app/package.json", `{"name":"app","version":"1.2.0"}`)}},
			[]string{"opt/bitnami/app/.spdx-app.spdx: app 1.2.0 of Bitnami"}},
		"list": {[][]entry{{file("opt/bitnami/.bitnami_components.json", `{"nginx":{"arch":"amd64","type":"NAMI","version":"1.25.3-1"},"gosu":{"version":"1.17.0-0"}}`)}},
			[]string{"opt/bitnami/.bitnami_components.json: gosu 1.17.0-0 of Bitnami", "opt/bitnami/.bitnami_components.json: nginx 1.25.3-1 of Bitnami"}},
		"broken_list":   {[][]entry{{file("opt/bitnami/.bitnami_components.json", `{"nginx":`)}}, []string{"opt/bitnami/.bitnami_components.json: reading the list of components"}},
		"removed_above": {[][]entry{{component("nginx", "1.25.3", "nginx")}, {file("opt/bitnami/.wh.nginx", "")}}, nil},
		"elsewhere":     {[][]entry{{file("srv/nginx/.spdx-nginx.spdx", spdx), file("opt/bitnami/nginx/x.spdx", spdx)}}, nil},
	}
	src := &source{}
	a := withRealChild(t, src, nil)
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			layers := tarLayers(t, tt.layers)
			inv := analyze(t, a, src.add(layers, nil))
			var got []string
			for _, e := range inv.Errors {
				got = append(got, e.Path+": "+e.Message)
				if e.Kind != gate.GapBitnamiComponent && name != "broken_list" {
					t.Errorf("Kind: got %q", e.Kind)
				}
			}
			slices.Sort(got)
			if !slices.EqualFunc(got, tt.want, strings.HasPrefix) {
				t.Errorf("gaps: got %q, want %q", got, tt.want)
			}
		})
	}
}
