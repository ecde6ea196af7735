package analyzer_test

import (
	"archive/tar"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/scanner/analyzer"
)

// The tests in this file run the real child on layers in which what a container
// sees is not what stands in the archive under the same name.

func symlink(name, target string) entry {
	return entry{name: name, kind: tar.TypeSymlink, link: target}
}
func hardlink(name, target string) entry { return entry{name: name, kind: tar.TypeLink, link: target} }
func directory(name string) entry        { return entry{name: name, kind: tar.TypeDir, mode: 0o755} }

func npm(name, version string) string {
	return fmt.Sprintf(`{"name":%q,"version":%q}`, name, version)
}

// lodash is a package.json at its place below app.
func lodash(version string) entry {
	return file("app/node_modules/lodash/package.json", npm("lodash", version))
}

const (
	lodashPlace = "app/node_modules/lodash/package.json"
	old, fixed  = "4.17.20", "4.17.21"
	oldLodash   = "node-pkg:lodash@4.17.20"
	newLodash   = "node-pkg:lodash@4.17.21"
)

func attribute(e entry, name, value string) entry {
	e.pax = map[string]string{"SCHILY.xattr." + name: value}
	return e
}

func TestRealLinks(t *testing.T) {
	debian := []string{"libc6@2.36-9+deb12u4", "openssl@3.0.11-1~deb12u1"}
	release := []entry{file("etc/os-release", debianRelease), file("etc/debian_version", "12.4\n")}
	tests := map[string]struct {
		layers [][]entry
		want   []string
		again  int // layers that are pulled twice
	}{
		// Hard links: a file under each of its names, with the content that the
		// target had.
		"hardlink":                      {[][]entry{{file("store/1", npm("lodash", old)), hardlink(lodashPlace, "store/1")}}, []string{oldLodash}, 1},
		"hardlink_target_removed":       {[][]entry{{file("store/1", npm("lodash", old)), hardlink(lodashPlace, "store/1")}, {file("store/.wh.1", "")}}, []string{oldLodash}, 1},
		"hardlink_target_replaced":      {[][]entry{{file("store/1", npm("lodash", old)), hardlink(lodashPlace, "store/1"), file("store/1", npm("lodash", fixed))}}, []string{oldLodash}, 1},
		"hardlink_to_lower_layer":       {[][]entry{{file("store/1", npm("lodash", old))}, {hardlink(lodashPlace, "store/1")}}, []string{oldLodash}, 1},
		"hardlink_over_good_file":       {[][]entry{{lodash(fixed)}, {file("store/1", npm("lodash", old)), hardlink(lodashPlace, "store/1")}}, []string{oldLodash}, 1},
		"hardlink_of_hardlink":          {[][]entry{{file("store/1", npm("lodash", old)), hardlink("store/2", "store/1"), hardlink(lodashPlace, "./store/2")}}, []string{oldLodash}, 1},
		"hardlink_between_places":       {[][]entry{{lodash(old), hardlink("b/node_modules/lodash/package.json", lodashPlace)}}, []string{oldLodash, oldLodash}, 0},
		"hardlink_removed":              {[][]entry{{file("store/1", npm("lodash", old)), hardlink(lodashPlace, "store/1")}, {file("app/node_modules/.wh.lodash", "")}}, nil, 0},
		"database_is_hardlink":          {[][]entry{slices.Concat(release, []entry{file("ostree/repo/objects/aa/bb.file", dpkgStatus), hardlink("var/lib/dpkg/status", "ostree/repo/objects/aa/bb.file")})}, debian, 1},
		"everything_is_hardlink":        {[][]entry{{file("ostree/1", debianRelease), file("ostree/2", dpkgStatus), hardlink("usr/lib/os-release", "ostree/1"), symlink("etc/os-release", "../usr/lib/os-release"), hardlink("var/lib/dpkg/status", "ostree/2")}}, debian, 1},
		"database_linked_over_good_one": {[][]entry{slices.Concat(release, []entry{file("opt/old", dpkgStatus), file("var/lib/dpkg/status", "Package: base-files\nStatus: install ok installed\nArchitecture: amd64\nVersion: 12.4\n\n")}), {hardlink("var/lib/dpkg/status", "opt/old")}}, debian, 1},
		"in_two_layers":                 {[][]entry{{file("store/1", npm("lodash", old)), hardlink(lodashPlace, "store/1")}, {file("store/2", npm("a", "1.0.0")), hardlink("app/node_modules/a/package.json", "store/2")}}, []string{"node-pkg:a@1.0.0", oldLodash}, 2},
		// Symbolic links.
		"symlink_to_file":            {[][]entry{{file("store/1", npm("lodash", old)), symlink(lodashPlace, "../../../store/1")}}, []string{oldLodash}, 1},
		"symlink_to_directory_of_db": {[][]entry{slices.Concat(release, []entry{file("opt/dpkg/status", dpkgStatus), symlink("var/lib/dpkg", "/opt/dpkg")})}, debian, 1},
		"symlink_to_status_d":        {[][]entry{slices.Concat(release, []entry{file("opt/d/libc6", strings.Split(dpkgStatus, "\n\n")[0]+"\n"), symlink("var/lib/dpkg/status.d", "/opt/d")})}, debian[:1], 1},
		"symlink_to_node_modules":    {[][]entry{{file("deps/lodash/package.json", npm("lodash", old)), symlink("app/node_modules", "/deps")}}, []string{oldLodash}, 0},
		"symlink_in_node_modules":    {[][]entry{{file("store/lodash@4.17.20/node_modules/lodash/package.json", npm("lodash", old)), symlink("app/node_modules/lodash", "/store/lodash@4.17.20/node_modules/lodash")}}, []string{oldLodash}, 0},
		"symlink_that_leads_nowhere": {[][]entry{{symlink(lodashPlace, "/nowhere"), symlink("a", "b"), symlink("b", "a")}}, nil, 0},
		"written_through_a_link":     {[][]entry{{directory("real/lodash"), symlink("app/node_modules", "/real")}, {lodash(old)}}, []string{oldLodash, oldLodash}, 1},
		"whiteout_of_the_link_only":  {[][]entry{{file("real/node_modules/lodash/package.json", npm("lodash", old)), symlink("app", "real")}, {file(".wh.app", "")}}, []string{oldLodash}, 0},
		// The same path twice.
		"twice_the_last_counts": {[][]entry{{lodash(old), lodash(fixed)}}, []string{newLodash}, 0},
		"twice_the_last_is_bad": {[][]entry{{lodash(fixed), lodash(old)}}, []string{oldLodash}, 0},
		"seven_times":           {[][]entry{{lodash(fixed), lodash(fixed), lodash(fixed), lodash(fixed), lodash(fixed), lodash(fixed), lodash(old)}}, []string{oldLodash}, 1},
		"twice_the_database":    {[][]entry{slices.Concat(release, []entry{file("var/lib/dpkg/status", "Package: a\nStatus: install ok installed\nArchitecture: all\nVersion: 1\n\n"), file("var/lib/dpkg/status", dpkgStatus)})}, debian, 0},
		"two_spellings":         {[][]entry{{lodash(fixed), file("./app/x/../node_modules//lodash/package.json", npm("lodash", old))}}, []string{oldLodash}, 0},
		// Replaced by another type.
		"file_replaced_by_symlink":      {[][]entry{{lodash(old)}, {symlink(lodashPlace, "x")}}, nil, 0},
		"directory_replaced_by_symlink": {[][]entry{{lodash(old)}, {symlink("app/node_modules", "/x")}}, nil, 0},
		"directory_replaced_by_file":    {[][]entry{{lodash(old)}, {file("app", "x")}}, nil, 0},
		"file_replaced_by_directory":    {[][]entry{{lodash(old)}, {directory(lodashPlace)}}, nil, 0},
		"file_replaced_by_device":       {[][]entry{{lodash(old)}, {{name: lodashPlace, kind: tar.TypeFifo}}}, nil, 0},
		"link_replaced_by_file":         {[][]entry{{symlink(lodashPlace, "/x")}, {lodash(old)}}, []string{oldLodash}, 0},
		// Opaque markers and what only hides in an overlay.
		"opaque_directory":               {[][]entry{{lodash(old)}, {directory("app"), file("app/.wh..wh..opq", ""), file("app/x", "")}}, nil, 0},
		"opaque_root_other_spelling":     {[][]entry{{lodash(old)}, {file("x/../.wh..wh..opq", "")}}, []string{oldLodash}, 0},
		"null_device_removes_nothing":    {[][]entry{{lodash(old)}, {{name: lodashPlace, kind: tar.TypeChar}}}, []string{oldLodash}, 0},
		"opaque_attribute_hides_nothing": {[][]entry{{lodash(old)}, {attribute(directory("app"), "trusted.overlay.opaque", "y")}}, []string{oldLodash}, 0},
		// Runtimes differ: each content counts.
		"both_contents":               {[][]entry{{lodash(fixed)}, {file("app/node_modules/.wh.lodash", ""), directory("app/node_modules/lodash")}}, []string{newLodash}, 0},
		"made_executable_by_its_link": {[][]entry{{file("store/1", npm("x", "1.0.0")), {name: "bin/app", kind: tar.TypeLink, link: "store/1", mode: 0o755}}}, nil, 1},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			src := &source{}
			layers := tarLayers(t, tt.layers)
			inv := analyze(t, withRealChild(t, src, nil), src.add(layers, nil))
			if diff := cmp.Diff(tt.want, names(inv)); diff != "" {
				t.Errorf("packages (-want +got):\n%s", diff)
			}
			if got := len(src.pulls) - len(layers); got != tt.again {
				t.Errorf("%d layers were pulled once more, want %d", got, tt.again)
			}
			wantCoverage(t, inv, gate.RiskVulnerabilities, "")
		})
	}
}

// TestRealLinks_a_pnpm_layer: pnpm keeps every file once, under its hash, and
// links it to where it belongs.
func TestRealLinks_a_pnpm_layer(t *testing.T) {
	var entries []entry
	var want []string
	for i := range 40 {
		name := fmt.Sprintf("pkg%02d", i)
		stored := fmt.Sprintf("root/.local/share/pnpm/store/v10/files/%02x/%060x", i, i)
		place := fmt.Sprintf("app/node_modules/.pnpm/%s@1.0.0/node_modules/%s", name, name)
		entries = append(entries, file(stored, npm(name, "1.0.0")), hardlink(place+"/package.json", stored), symlink("app/node_modules/"+name, "../../"+place))
		want = append(want, "node-pkg:"+name+"@1.0.0")
	}
	src := &source{}
	inv := analyze(t, withRealChild(t, src, nil), src.add([]layer{tarLayer(t, entries...)}, nil))
	if diff := cmp.Diff(want, names(inv)); diff != "" {
		t.Errorf("packages (-want +got):\n%s", diff)
	}
	if len(src.pulls) != 2 {
		t.Errorf("the layer was pulled %d times, want 2", len(src.pulls))
	}
}

// TestRealLinks_nobody_can_tell: what must not read as clean.
func TestRealLinks_nobody_can_tell(t *testing.T) {
	for name, tt := range map[string]struct {
		layers [][]entry
		text   string
	}{
		"redirect":            {[][]entry{debianFiles, {attribute(directory("var/lib/dpkg"), "trusted.overlay.redirect", "/opt/dpkg")}}, `extended attribute "trusted.overlay.redirect"`},
		"metacopy":            {[][]entry{debianFiles, {attribute(file("app", "x"), "trusted.overlay.metacopy", "")}}, `"trusted.overlay.metacopy"`},
		"user_attribute":      {[][]entry{debianFiles, {attribute(directory("var"), "user.overlay.redirect", "x")}}, `"user.overlay.redirect"`},
		"unknown_attribute":   {[][]entry{debianFiles, {attribute(directory("var"), "trusted.overlay.invented", "x")}}, `"trusted.overlay.invented"`},
		"whiteout_of_nothing": {[][]entry{debianFiles, {file("app/.wh.", "")}}, `"app/.wh."`},
		"whiteout_of_itself":  {[][]entry{debianFiles, {file("app/.wh..", "")}}, `"app/.wh.."`},
		"whiteout_of_parent":  {[][]entry{debianFiles, {file("app/.wh...", "")}}, `"app/.wh..."`},
		"unknown_type":        {[][]entry{debianFiles, {{name: "x", kind: 'D'}}}, "no container runtime unpacks it"},
		"two_databases":       {[][]entry{slices.Concat(debianFiles, []entry{symlink("l", "var/lib/dpkg")}), {file("l/status", dpkgStatus[:len(dpkgStatus)/2])}}, `different contents of "var/lib/dpkg/status"`},
	} {
		t.Run(name, func(t *testing.T) {
			src := &source{}
			layers := tarLayers(t, tt.layers)
			wantError(t, withRealChild(t, src, nil), src.add(layers, nil), gate.ErrUnassessable, tt.text)
		})
	}
}

// TestRealLinks_limits: what is pulled twice counts twice.
func TestRealLinks_limits(t *testing.T) {
	src := &source{}
	l := tarLayer(t, file("noise", noise(4000)), file("store/1", npm("lodash", old)), hardlink(lodashPlace, "store/1"))
	a := withRealChild(t, src, func(o *analyzer.Options) { o.Config.MaxImageBytes = gate.ByteSize(len(l.blob) + 10) })
	wantError(t, a, src.add([]layer{l}, nil), gate.ErrUnassessable, "more than scan.maxImageBytes")
}

// TestRealLinks_cache: the second reading is kept like the first, under the
// names that were wanted.
func TestRealLinks_cache(t *testing.T) {
	src := &source{}
	a := withRealChild(t, src, nil)
	base := largeLayer(t, file("store/1", npm("lodash", old)))
	top := largeLayer(t, hardlink(lodashPlace, "store/1"))
	other := largeLayer(t, hardlink("b/node_modules/lodash/package.json", "store/1"))
	for _, layers := range [][]layer{{base, top}, {base, top}, {base, other}, {base}} {
		analyze(t, a, src.add(layers, map[string]any{"author": fmt.Sprint(len(src.pulls))}))
	}
	if got := len(src.pulls); got != 5 { // base, top, base for top, other, base for other
		t.Errorf("%d pulls, want 5", got)
	}
}

// noise is text that does not compress to less than half of its n bytes.
func noise(n int) string {
	r := rand.New(rand.NewPCG(1, 2))
	b := make([]byte, n)
	for i := range b {
		b[i] = byte('!' + r.IntN(90))
	}
	return string(b)
}
