package analyzer_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/digestgate/digestgate/gate"
)

// gaps are the errors of an inventory as "kind path".
func gaps(inv *gate.Inventory) []string {
	var out []string
	for _, e := range inv.Errors {
		out = append(out, e.Kind+" "+e.Path)
	}
	slices.Sort(out)
	return out
}

// gapTest is an image of layers with the packages and gaps that it must have.
type gapTest struct {
	layers [][]entry
	want   []string
	gaps   []string
}

func runGapTests(t *testing.T, tests map[string]gapTest) {
	t.Helper()
	src := &source{}
	a := withRealChild(t, src, nil)
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			layers := tarLayers(t, tt.layers)
			inv := analyze(t, a, src.add(layers, nil))
			if diff := cmp.Diff(tt.want, names(inv)); diff != "" {
				t.Errorf("packages (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(tt.gaps, gaps(inv)); diff != "" {
				t.Errorf("gaps (-want +got):\n%s", diff)
			}
			want := gate.Complete
			if tt.gaps != nil {
				want = gate.Partial
			}
			if got := inv.Risks[gate.RiskVulnerabilities].Coverage; got != want {
				t.Errorf("vulnerabilities are %s, want %s", got, want)
			}
		})
	}
}

// TestRealNpmPlaces: what is no installed package is no gap, what Node loads by
// its directory is.
func TestRealNpmPlaces(t *testing.T) {
	rxjs := file("app/node_modules/rxjs/package.json", `{"name":"rxjs","version":"6.6.7"}`)
	runGapTests(t, map[string]gapTest{
		"subpath_marker": {layers: [][]entry{{rxjs, file("app/node_modules/rxjs/ajax/package.json", `{"name":"rxjs/ajax","main":"x"}`)}},
			want: []string{"node-pkg:rxjs@6.6.7"}},
		"fixture": {layers: [][]entry{{file("app/node_modules/resolve/test/resolver/malformed_package_json/package.json", "{\n")}}},
		"below_a_package": {layers: [][]entry{{rxjs,
			file("app/node_modules/rxjs/esm/package.json", `{"type":"module"}`), file("app/node_modules/rxjs/empty/package.json", ""),
			file("app/node_modules/rxjs/array/package.json", "[]"), file("app/node_modules/rxjs/half/package.json", `{"name":"half"}`),
			file("app/node_modules/.prisma/client/package.json", `{"name":".prisma/client","version":"1.0.0"}`)}},
			want: []string{"node-pkg:rxjs@6.6.7"}},
		"vendored_below_a_package": {layers: [][]entry{{rxjs, file("app/node_modules/rxjs/vendor/lodash/package.json", `{"name":"lodash","version":"4.17.20"}`)}},
			want: []string{"node-pkg:lodash@4.17.20", "node-pkg:rxjs@6.6.7"}},
		"application": {layers: [][]entry{{file("app/package.json", `{"name":"My App","private":true}`), file("srv/package.json", "{"), file("opt/yarn/package.json", `{"name":"yarn","version":"1.22.22"}`)}},
			want: []string{"node-pkg:yarn@1.22.22"}},
		"unreadable":        {layers: [][]entry{{file("app/node_modules/lodash/package.json", "{")}}, gaps: []string{"unreadable-file app/node_modules/lodash/package.json"}},
		"unreadable_scoped": {layers: [][]entry{{file("app/node_modules/@s/a/package.json", "")}}, gaps: []string{"unreadable-file app/node_modules/@s/a/package.json"}},
		"bad_name":          {layers: [][]entry{{file("app/node_modules/lodash/package.json", `{"name":"lodash/x","version":"4.17.20"}`)}}, gaps: []string{"unidentified-package app/node_modules/lodash/package.json"}},
		"no_version":        {layers: [][]entry{{file("app/node_modules/lodash/package.json", `{"name":"lodash"}`)}}, gaps: []string{"unidentified-package app/node_modules/lodash/package.json"}},
		"no_name":           {layers: [][]entry{{file("app/node_modules/lodash/package.json", `{"version":"4.17.20"}`)}}, gaps: []string{"unidentified-package app/node_modules/lodash/package.json"}},
		"nested": {layers: [][]entry{{rxjs, file("app/node_modules/rxjs/node_modules/tslib/package.json", `{"name":"tslib"}`)}},
			want: []string{"node-pkg:rxjs@6.6.7"}, gaps: []string{"unidentified-package app/node_modules/rxjs/node_modules/tslib/package.json"}},
		"gap_removed_above": {layers: [][]entry{{rxjs, file("app/node_modules/lodash/package.json", `{"name":"lodash"}`)}, {file("app/node_modules/.wh.lodash", "")}},
			want: []string{"node-pkg:rxjs@6.6.7"}},
		"trivy_would_panic": {layers: [][]entry{{file("app/node_modules/a/package.json", `{"name":"a","version":"1.0.0","workspaces":{"packages":"x"}}`)}},
			want: []string{"node-pkg:a@1.0.0"}},
		"plug_and_play": {layers: [][]entry{{file("app/.pnp.cjs", "#!/usr/bin/env node\n"), file("app/.yarn/cache/lodash-npm-4.17.20-c1d0.zip", "PK")}},
			gaps: []string{"yarn-plug-and-play app/.pnp.cjs"}},
		"owned_by_dpkg": {layers: [][]entry{slices.Concat(debianFiles, []entry{
			file("usr/share/nodejs/node_modules/a/package.json", `{"name":"a"}`), file("app/node_modules/b/package.json", `{"name":"b"}`),
			file("var/lib/dpkg/info/libc6.md5sums", "d41d8cd98f00b204e9800998ecf8427e  usr/share/nodejs/node_modules/a/package.json\n"+
				"d41d8cd98f00b204e9800998ecf8427e  app/node_modules/b/package.json\n"),
		})}, want: []string{"libc6@2.36-9+deb12u4", "openssl@3.0.11-1~deb12u1"}, gaps: []string{"unidentified-package app/node_modules/b/package.json"}},
	})
}

// TestRealLanguagePlaces: the same of other languages.
func TestRealLanguagePlaces(t *testing.T) {
	const site = "usr/local/lib/python3.12/site-packages/"
	runGapTests(t, map[string]gapTest{
		"python_unreadable": {layers: [][]entry{{file(site+"x-1.0.dist-info/METADATA", "")}}, gaps: []string{"unidentified-package " + site + "x-1.0.dist-info/METADATA"}},
		"python_vendored":   {layers: [][]entry{{file(site+"setuptools/_vendor/x-1.0.dist-info/METADATA", "Name: x\n")}}, gaps: []string{"unidentified-package " + site + "setuptools/_vendor/x-1.0.dist-info/METADATA"}},
		"python_target":     {layers: [][]entry{{file("var/task/x-1.0.dist-info/METADATA", "Name: x\n")}}, gaps: []string{"unidentified-package var/task/x-1.0.dist-info/METADATA"}},
		"python_fixture":    {layers: [][]entry{{file(site+"pkg/tests/data/x-1.0.dist-info/METADATA", "")}}},
		"python_egg_info":   {layers: [][]entry{{file(site+"x.egg-info/PKG-INFO", "Version: 1\n"), file(site+"y-1.0-py3.12.egg-info", "Name: y\nVersion: 1.0\n")}}, want: []string{"python-pkg:y@1.0"}, gaps: []string{"unidentified-package " + site + "x.egg-info/PKG-INFO"}},
		"python_egg_broken": {layers: [][]entry{{file(site+"x-1.0-py3.12.egg", "nonsense")}}, gaps: []string{"unreadable-file " + site + "x-1.0-py3.12.egg"}},
		"ruby_unreadable":   {layers: [][]entry{{file("usr/local/bundle/specifications/rack-3.0.9.gemspec", "# nothing\n")}}, gaps: []string{"unidentified-package usr/local/bundle/specifications/rack-3.0.9.gemspec"}},
		"ruby_in_a_gem":     {layers: [][]entry{{file("usr/local/bundle/gems/a-1.0/test/specifications/b-1.gemspec", "# nothing\n")}}},
		"composer_1":        {layers: [][]entry{{file("app/vendor/composer/installed.json", `[{"name":"a/b","version":"1.0"}]`)}}, gaps: []string{"unreadable-file app/vendor/composer/installed.json"}},
		"another_installed": {layers: [][]entry{{file("var/lib/x/installed.json", `[]`)}}},
		"dotnet":            {layers: [][]entry{{file("app/app.deps.json", "{")}}, gaps: []string{"unreadable-file app/app.deps.json"}},
		"inputs_of_a_build": {layers: [][]entry{{file("src/packages.lock.json", "{"), file("src/packages.config", "<"), file("src/Directory.Packages.props", "<"), file("src/Cargo.lock", "[")}}},
		"conda":             {layers: [][]entry{{file("opt/conda/envs/a/conda-meta/z-1-0.json", "{"), file("opt/conda/envs/a/conda-meta/x/z-1-0.json", "{")}}, gaps: []string{"unreadable-file opt/conda/envs/a/conda-meta/z-1-0.json"}},
	})
}

// javaArchive is a runtime's own archive with the classes named.
func javaArchive(t *testing.T, classes ...string) string {
	t.Helper()
	in := []entry{file("META-INF/MANIFEST.MF", "Manifest-Version: 1.0\nImplementation-Title: Java Runtime Environment\nImplementation-Version: 17.0.21\n")}
	for _, c := range classes {
		in = append(in, file(c, "x"))
	}
	return zipped(t, in...)
}

// javaRuntime has the files of a runtime since version 9, as Temurin's image,
// Debian's packages and jlink lay them out.
func javaRuntime(t *testing.T, home string) []entry {
	t.Helper()
	return []entry{
		file(home+"bin/java", "\x7fELF"),
		file(home+"lib/jrt-fs.jar", javaArchive(t, "jdk/internal/jrtfs/JrtPath.class", "jdk/internal/jimage/ImageReader.class")),
		file(home+"lib/modules", "\xda\xda\xfe\xca\x00\x00\x01\x00"),
		file(home+"release", "IMPLEMENTOR=\"Eclipse Adoptium\"\nJAVA_VERSION=\"17.0.21\"\nMODULES=\"java.base\"\n"),
	}
}

func java8(t *testing.T, lib string) []entry {
	t.Helper()
	return []entry{
		file(lib+"rt.jar", javaArchive(t, "java/lang/Object.class", "javax/swing/JTree.class", "com/sun/org/apache/xerces/internal/A.class", "org/w3c/dom/Node.class")),
		file(lib+"charsets.jar", javaArchive(t, "sun/nio/cs/ext/Big5.class")), file(lib+"jce.jar", javaArchive(t, "javax/crypto/Cipher.class")),
		file(lib+"jsse.jar", javaArchive(t, "sun/security/ssl/A.class")), file(lib+"resources.jar", javaArchive(t)),
		file(lib+"jfr.jar", javaArchive(t, "jdk/jfr/A.class")), file(lib+"management-agent.jar", javaArchive(t)),
		file(lib+"ext/nashorn.jar", javaArchive(t, "jdk/nashorn/A.class")), file(lib+"ext/sunjce_provider.jar", javaArchive(t, "com/sun/crypto/provider/A.class")),
		file(lib+"security/policy/unlimited/local_policy.jar", javaArchive(t)),
	}
}

// TestRealJavaGaps: archives of a Java runtime and of a distribution's package
// are no gap, whatever else does not name itself is.
func TestRealJavaGaps(t *testing.T) {
	log4j := zipped(t, file("META-INF/MANIFEST.MF", "Implementation-Title: Apache Log4j Core\nImplementation-Version: 2.14.1\n"), file("org/apache/logging/log4j/core/Logger.class", "x"))
	release8 := file("opt/java/openjdk/release", "JAVA_VERSION=\"1.8.0_504\"\n")
	owned := func(paths ...string) entry {
		var sums strings.Builder
		for _, p := range paths {
			fmt.Fprintf(&sums, "d41d8cd98f00b204e9800998ecf8427e  %s\n", p)
		}
		return file("var/lib/dpkg/info/libc6.md5sums", sums.String())
	}
	many := slices.Clone(debianFiles)
	var paths []string
	for i := range 300 {
		paths = append(paths, fmt.Sprintf("usr/share/java/lib%d.jar", i))
		many = append(many, file(paths[i], log4j))
	}
	debian := []string{"libc6@2.36-9+deb12u4", "openssl@3.0.11-1~deb12u1"}
	runGapTests(t, map[string]gapTest{
		"temurin":             {layers: [][]entry{javaRuntime(t, "opt/java/openjdk/")}},
		"jlink":               {layers: [][]entry{javaRuntime(t, "jre/")[:3]}},
		"inside_a_program":    {layers: [][]entry{javaRuntime(t, "usr/share/elasticsearch/jdk/")}},
		"java_8":              {layers: [][]entry{append(java8(t, "opt/java/openjdk/lib/"), release8)}},
		"java_8_jdk":          {layers: [][]entry{append(java8(t, "opt/java/openjdk/jre/lib/"), release8, file("opt/java/openjdk/lib/tools.jar", javaArchive(t, "com/sun/tools/javac/A.class")))}},
		"runtime_in_no_home":  {layers: [][]entry{javaRuntime(t, "app/")[1:2]}, gaps: []string{"jar-without-coordinates app/lib/jrt-fs.jar"}},
		"copied_out_of_home":  {layers: [][]entry{append(javaRuntime(t, "jre/"), file("app/jrt-fs.jar", javaArchive(t, "jdk/internal/jrtfs/JrtPath.class")))}, gaps: []string{"jar-without-coordinates app/jrt-fs.jar"}},
		"log4j_is_no_runtime": {layers: [][]entry{append(javaRuntime(t, "jre/")[2:], file("jre/lib/jrt-fs.jar", log4j))}, gaps: []string{"jar-without-coordinates jre/lib/jrt-fs.jar"}},
		"log4j_is_no_rt":      {layers: [][]entry{append(java8(t, "opt/java/openjdk/lib/")[1:], release8, file("opt/java/openjdk/lib/rt.jar", log4j))}, gaps: []string{"jar-without-coordinates opt/java/openjdk/lib/rt.jar"}},
		"log4j_in_ext":        {layers: [][]entry{append(java8(t, "opt/java/openjdk/lib/"), release8, file("opt/java/openjdk/lib/ext/log4j.jar", log4j))}, gaps: []string{"jar-without-coordinates opt/java/openjdk/lib/ext/log4j.jar"}},
		"named_runtime":       {layers: [][]entry{{file("app/jrt-fs.jar", log4j), file("app/release", "hello"), file("app/lib/modules", "hello")}}, gaps: []string{"jar-without-coordinates app/jrt-fs.jar"}},
		"stripped_log4j":      {layers: [][]entry{{file("app/lib/log4j-core-2.14.1.jar", log4j)}}, gaps: []string{"jar-without-coordinates app/lib/log4j-core-2.14.1.jar"}},
		"stripped_log4j_inside": {layers: [][]entry{{file("app/app.jar", zipped(t, pom("g", "app", "1"), file("BOOT-INF/lib/log4j-core-2.14.1.jar", log4j)))}},
			want: []string{"jar:g:app@1"}, gaps: []string{"jar-without-coordinates app/app.jar"}},
		"renamed_with_manifest": {layers: [][]entry{{file("app/app.jar", zipped(t, pom("g", "app", "1"), file("META-INF/MANIFEST.MF", "Implementation-Title: App\nImplementation-Version: 1\n")))}},
			want: []string{"jar:g:app@1"}},
		"empty": {layers: [][]entry{{file("app/a.jar", "")}}},
		"owned_by_dpkg": {layers: [][]entry{slices.Concat(debianFiles, []entry{file("usr/share/java/log4j-core.jar", log4j), owned("usr/share/java/log4j-core.jar")})},
			want: debian},
		"owned_outside_of_the_system": {layers: [][]entry{slices.Concat(debianFiles, []entry{file("app/log4j-core.jar", log4j), file("usr/local/a.jar", log4j), owned("app/log4j-core.jar", "usr/local/a.jar")})},
			want: debian, gaps: []string{"jar-without-coordinates app/log4j-core.jar", "jar-without-coordinates usr/local/a.jar"}},
		"replaced_above": {layers: [][]entry{slices.Concat(debianFiles, []entry{owned("usr/share/java/log4j-core.jar")}), {file("usr/share/java/log4j-core.jar", log4j)}},
			want: debian, gaps: []string{"jar-without-coordinates usr/share/java/log4j-core.jar"}},
		"many_owned": {layers: [][]entry{append(many, owned(paths...))}, want: debian},
	})
}

// TestRealManyGaps: what does not fit into the list of errors keeps its kind.
func TestRealManyGaps(t *testing.T) {
	bare := zipped(t, file("A.class", "x"))
	var in []entry
	for i := range 250 {
		in = append(in, file(fmt.Sprintf("app/%d.jar", i), bare))
	}
	in = append(in, file("app/node_modules/a/package.json", "{"))
	src := &source{}
	inv := analyze(t, withRealChild(t, src, nil), src.add([]layer{tarLayer(t, in...)}, nil))
	want := []gate.ErrorCount{
		{Risk: gate.RiskVulnerabilities, Kind: gate.GapJarWithoutCoordinates, Count: 50},
		{Risk: gate.RiskVulnerabilities, Kind: gate.GapUnreadable, Count: 1},
	}
	if diff := cmp.Diff(want, inv.MoreErrors); diff != "" || len(inv.Errors) != 200 {
		t.Errorf("%d errors are listed; the others (-want +got):\n%s", len(inv.Errors), diff)
	}
	wantCoverage(t, inv, gate.RiskVulnerabilities, "251 gaps, the first is ")
	if first := inv.Errors[0]; first.Path == "" {
		t.Errorf("the first error is %+v; it is the one that is shown", first)
	}
}
