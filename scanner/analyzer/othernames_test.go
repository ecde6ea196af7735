package analyzer_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/scanner/analyzer/protocol"
)

// TestRealLinks_a_name_that_looks_like_another: results name files by text in
// which bytes that are none are replaced, and notes cut and escape long or
// strange names. A removed file that really has such a name takes nothing away;
// since nobody can tell the two apart, it counts as well.
func TestRealLinks_a_name_that_looks_like_another(t *testing.T) {
	const place = "/node_modules/lodash/package.json"
	long := "srv/" + strings.Repeat(strings.Repeat("d", 200)+"/", 12) + "node_modules/x/package.json"
	for name, tt := range map[string]struct {
		file, twin string // twin is what a result calls file
		content    string
		want       []string
		gap        bool
	}{
		"no_text":     {"a\xff" + place, "a\ufffd" + place, npm("lodash", old), []string{"node-pkg:a@1.0.0", oldLodash}, false},
		"no_text_gap": {"a\xff" + place, `a\xff` + place, `{"name":"lodash"}`, []string{"node-pkg:a@1.0.0"}, true},
		"escaped_gap": {"a\u00e9" + place, `a\u00e9` + place, `{"name":"lodash"}`, []string{"node-pkg:a@1.0.0"}, true},
		"cut_gap":     {long, gate.Printable(long, protocol.MaxNoteText), `{"name":"x"}`, nil, true},
	} {
		t.Run(name, func(t *testing.T) {
			if tt.file == tt.twin {
				t.Fatal("the names are equal")
			}
			src := &source{}
			layers := []layer{tarLayer(t, file(tt.file, tt.content), file(tt.twin, npm("a", "1.0.0")))}
			dir, base := tt.twin[:strings.LastIndex(tt.twin, "/")+1], tt.twin[strings.LastIndex(tt.twin, "/")+1:]
			layers = append(layers, tarLayer(t, file(dir+".wh."+base, "")))
			inv := analyze(t, withRealChild(t, src, nil), src.add(layers, nil))
			if diff := cmp.Diff(tt.want, names(inv)); diff != "" {
				t.Errorf("packages (-want +got):\n%s", diff)
			}
			if got := inv.Risks[gate.RiskVulnerabilities].Coverage; (got == gate.Partial) != tt.gap {
				t.Errorf("coverage %s, errors %v", got, inv.Errors)
			}
		})
	}
}

// TestRealLinks_gaps_behind_a_link: a file that describes nothing where it lies
// is a gap where a link makes it a package's.
func TestRealLinks_gaps_behind_a_link(t *testing.T) {
	for name, tt := range map[string]struct {
		entries []entry
		gap     string
	}{
		"npm_directory":    {[]entry{file("srv/x/package.json", `{"name":"lodash"}`), symlink("app/node_modules/lodash", "/srv/x")}, "app/node_modules/lodash/package.json"},
		"npm_all":          {[]entry{file("srv/lodash/package.json", "{"), symlink("app/node_modules", "/srv")}, "app/node_modules/lodash/package.json"},
		"gem_home":         {[]entry{file("srv/s/x-1.gemspec", "x"), symlink("usr/lib/ruby/gems/3.1.0/specifications", "/srv/s")}, "usr/lib/ruby/gems/3.1.0/specifications/x-1.gemspec"},
		"bitnami":          {[]entry{file("srv/b/postgresql/.spdx-postgresql.spdx", "{}"), symlink("opt/bitnami", "/srv/b")}, "opt/bitnami/postgresql/.spdx-postgresql.spdx"},
		"bitnami_one":      {[]entry{file("srv/b/.spdx-postgresql.spdx", "{}"), symlink("opt/bitnami/postgresql", "/srv/b")}, "opt/bitnami/postgresql/.spdx-postgresql.spdx"},
		"gem_link_below":   {[]entry{file("srv/s/x", "x"), symlink("srv/d/x-1.gemspec", "/srv/s/x"), symlink("usr/lib/ruby/gems/3.1.0/specifications", "/srv/d")}, "usr/lib/ruby/gems/3.1.0/specifications/x-1.gemspec"},
		"npm_read":         {[]entry{file("srv/x/package.json", npm("x", "1.0.0")), symlink("app/node_modules/x", "/srv/x")}, ""},
		"owned":            {[]entry{file("usr/share/nodejs/x/package.json", npm("x", "1.0.0")), file("var/lib/dpkg/info/node-x.list", "/usr/share/nodejs/x/package.json\n"), symlink("app/node_modules/x", "/usr/share/nodejs/x")}, ""},
		"npm_without_link": {[]entry{file("srv/x/package.json", `{"name":"lodash"}`)}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			src := &source{}
			inv := analyze(t, withRealChild(t, src, nil), src.add([]layer{tarLayer(t, tt.entries...)}, nil))
			if tt.gap == "" && len(src.pulls) != 1 {
				t.Errorf("the layer was pulled %d times", len(src.pulls))
			}
			var got []string
			for _, e := range inv.Errors {
				got = append(got, e.Path)
			}
			if want := strings.Fields(tt.gap); !slices.Equal(got, want) {
				t.Errorf("gaps at %q, want %q", got, want)
			}
		})
	}
}

// TestRealLinks_rpm_manifest: the list of a distroless CBL-Mariner is found
// behind a link.
func TestRealLinks_rpm_manifest(t *testing.T) {
	src := &source{}
	inv := analyze(t, withRealChild(t, src, nil), src.add([]layer{tarLayer(t,
		file("etc/os-release", "ID=mariner\nVERSION_ID=\"2.0\"\n"),
		file("srv/m/container-manifest-2", "openssl-libs\t1.1.1k-12.cm2\t1\t1\tMicrosoft Corporation\t(none)\t1\tx86_64\t0\topenssl-1.1.1k-12.cm2.src.rpm\n"),
		symlink("var/lib/rpmmanifest", "/srv/m"))}, nil))
	if want := []string{"openssl-libs@1.1.1k-12.cm2"}; !slices.Equal(names(inv), want) {
		t.Errorf("packages %q, want %q", names(inv), want)
	}
	want := []gate.PackageDatabase{{Manager: "rpm", Path: "var/lib/rpmmanifest/container-manifest-2"}}
	if diff := cmp.Diff(want, inv.Distribution.Databases); diff != "" {
		t.Errorf("databases (-want +got):\n%s", diff)
	}
}

// TestRealLinks_a_long_path: a path that is cut in a note is still at the place
// where Node looks for packages.
func TestRealLinks_a_long_path(t *testing.T) {
	src := &source{}
	long := "srv/" + strings.Repeat("node_modules/"+strings.Repeat("d", 100)+"/", 6) + "package.json"
	inv := analyze(t, withRealChild(t, src, nil), src.add([]layer{tarLayer(t, file(long, "{"))}, nil))
	wantCoverage(t, inv, gate.RiskVulnerabilities, "one gap")
}

// TestRealLinks_many_names: a list of packages with many links costs no memory
// without bounds.
func TestRealLinks_many_names(t *testing.T) {
	var list []string
	for i := range 2000 {
		list = append(list, fmt.Sprintf(`{"name":"a/p%d","version":"1.0.0"}`, i))
	}
	entries := []entry{file("app/vendor/composer/installed.json", `{"packages":[`+strings.Join(list, ",")+`]}`)}
	for i := range 1000 {
		entries = append(entries, hardlink(fmt.Sprintf("app/%d/vendor/composer/installed.json", i), "app/vendor/composer/installed.json"))
	}
	src := &source{}
	wantError(t, withRealChild(t, src, nil), src.add([]layer{tarLayer(t, entries...)}, nil), gate.ErrUnassessable, "list more than 1000000")
}
