package match_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/scanner/advisory"
	"github.com/digestgate/digestgate/scanner/advisory/javaindex"
	"github.com/digestgate/digestgate/scanner/advisory/javaindex/javaindextest"
	"github.com/digestgate/digestgate/scanner/match"
)

// mavenSources are advisories for each of the packages, "group:artifact fixed".
func mavenSources(pkgs ...string) fstest.MapFS {
	files := fstest.MapFS{}
	for i, p := range pkgs {
		name, fixed, _ := strings.Cut(p, " ")
		files[fmt.Sprintf("osv/GHSA-%d.json", i)] = &fstest.MapFile{Data: fmt.Appendf(nil, `{"id":"GHSA-aaaa-bbbb-%04d","aliases":["CVE-2026-%04d"],"modified":"2026-11-01T00:00:00Z",
			"affected":[{"package":{"ecosystem":"Maven","name":%q},"ranges":[{"type":"ECOSYSTEM","events":[{"introduced":"0"},{"fixed":%q}]}]}]}`, i, i, name, fixed)}
	}
	return files
}

// withJava makes a generation of a database and an index of Java archives.
func withJava(t testing.TB, database string, g gate.Generation, index string) (dir string, with gate.Generation) {
	t.Helper()
	root := t.TempDir()
	x, err := os.Stat(filepath.Join(index, javaindex.File))
	if err != nil {
		t.Fatal(err)
	}
	java := gate.Digest("sha256:" + strings.Repeat("7", 64))
	m := advisory.Manifest{Composer: 1, Sources: []advisory.Source{{Kind: advisory.KindTrivyDB, Digest: g.Content}},
		Java: &advisory.JavaSource{Digest: java, Bytes: x.Size()}}
	text, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	g.Content = m.Digest()
	dir = filepath.Join(root, g.Content.Hex())
	if err := os.CopyFS(dir, os.DirFS(database)); err != nil {
		t.Fatal(err)
	}
	if err := os.CopyFS(filepath.Join(root, "java", java.Hex()), os.DirFS(index)); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "generation.json"), text, 0o600); err != nil {
		t.Fatal(err)
	}
	return dir, g
}

func sha1Of(n int) string { return fmt.Sprintf("%040x", n+1) }

// jars is an inventory with archives.
func jars(archives ...gate.JavaArchive) *gate.Inventory {
	inv := app("jar", "")
	inv.Archives = archives
	for i := range archives {
		if archives[i].SHA1 == "" {
			archives[i].SHA1 = sha1Of(500 + i)
		}
		archives[i].Unnamed = archives[i].By != gate.ArchiveByPom
	}
	return inv
}

// TestMatch_archives: archives that do not name themselves are named by the index of the
// generation, in the order of what counts, and matched; without an index, and for what it
// does not know, nothing is found.
func TestMatch_archives(t *testing.T) {
	database, g := build(t, mavenSources("org.apache.logging.log4j:log4j-core 2.17.1", "com.alibaba:fastjson 1.2.83", "commons-lang:commons-lang 3.0", "org.liar:harmless 9"))
	row := func(group, artifact, version string, sha1 string) javaindextest.Row {
		return javaindextest.Row{Group: group, Artifact: artifact, Version: version, SHA1: sha1}
	}
	index := javaindextest.Make(t, clock,
		row("org.apache.logging.log4j", "log4j-core", "2.14.1", sha1Of(0)), row("com.alibaba", "fastjson", "1.2.24", sha1Of(1)),
		row("commons-lang", "commons-lang", "2.6", sha1Of(900)), row("commons-lang", "commons-lang", "2.5", sha1Of(901)),
		row("com.else", "commons-lang", "2.6", sha1Of(902)), row("org.liar", "harmless", "10", sha1Of(903)))
	const (
		log4j    = "CVE-2026-0000 org.apache.logging.log4j:log4j-core 2.14.1"
		fastjson = "CVE-2026-0001 com.alibaba:fastjson 1.2.24"
		lang     = "CVE-2026-0002 commons-lang:commons-lang 2.6"
	)
	tests := map[string]struct {
		archive gate.JavaArchive
		want    []string // findings
		by      []string
	}{
		"by_sha1":             {gate.JavaArchive{File: "app/x.jar", SHA1: sha1Of(0)}, []string{log4j + " app/x.jar"}, []string{"sha1"}},
		"nested":              {gate.JavaArchive{File: "app/x.war", Inside: "WEB-INF/lib/x.jar", SHA1: sha1Of(1)}, []string{fastjson + " app/x.war/WEB-INF/lib/x.jar"}, []string{"sha1"}},
		"manifest_confirmed":  {gate.JavaArchive{File: "app/x.jar", Group: "com.alibaba", Artifact: "fastjson", Version: "1.2.24", By: "manifest"}, []string{fastjson + " app/x.jar"}, []string{"manifest"}},
		"manifest_of_nothing": {gate.JavaArchive{File: "app/x.jar", Group: "com.alibaba", Artifact: "nothing", Version: "1", By: "manifest"}, nil, nil},
		"manifest_lies":       {gate.JavaArchive{File: "app/x.jar", SHA1: sha1Of(0), Group: "org.liar", Artifact: "harmless", Version: "10", By: "manifest"}, []string{log4j + " app/x.jar"}, []string{"manifest", "sha1"}},
		"manifest_and_sha1":   {gate.JavaArchive{File: "app/x.jar", SHA1: sha1Of(1), Group: "com.alibaba", Artifact: "fastjson", Version: "1.2.24", By: "manifest"}, []string{fastjson + " app/x.jar"}, []string{"manifest"}},
		"guess":               {gate.JavaArchive{File: "app/commons-lang-2.6.jar"}, []string{lang + " app/commons-lang-2.6.jar"}, []string{"fileName"}},
		"guess_other_version": {gate.JavaArchive{File: "app/commons-lang-2.4.jar"}, nil, nil},
		"sha1_before_guess":   {gate.JavaArchive{File: "app/commons-lang-2.6.jar", SHA1: sha1Of(0)}, []string{log4j + " app/commons-lang-2.6.jar"}, []string{"sha1"}},
		"names_itself":        {gate.JavaArchive{File: "app/fastjson-1.2.99.jar", SHA1: sha1Of(0), Group: "com.alibaba", Artifact: "fastjson", Version: "1.2.99", By: "pom.properties"}, nil, nil},
		"pom_of_another":      {gate.JavaArchive{File: "app/x.jar", SHA1: sha1Of(0), Group: "com.alibaba", Artifact: "fastjson", Version: "1.2.99", By: "pom.properties"}, []string{log4j + " app/x.jar"}, []string{"sha1"}},
		"unknown":             {gate.JavaArchive{File: "app/x.jar", SHA1: sha1Of(77)}, nil, nil},
	}
	with, without := match.New(nil, now), match.New(nil, now)
	t.Cleanup(func() { with.Close(); without.Close() })
	if err := without.Load(t.Context(), database, g); err != nil {
		t.Fatal(err)
	}
	dir, generation := withJava(t, database, g, index)
	if err := with.Load(t.Context(), dir, generation); err != nil {
		t.Fatal(err)
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			inv := jars(tt.archive)
			for range 2 { // the second time it is remembered
				f := find(t, with, inv)
				var got, by []string
				for _, v := range f.Vulnerabilities {
					got = append(got, fmt.Sprintf("%s %s %s %s", v.ID, v.Package, v.InstalledVersion, v.Path))
				}
				if f.Archives != nil {
					for _, n := range f.Archives.Named {
						by = append(by, n.By)
					}
				}
				if diff := cmp.Diff(tt.want, got); diff != "" {
					t.Errorf("findings (-want +got):\n%s", diff)
				}
				if diff := cmp.Diff(tt.by, by); diff != "" {
					t.Errorf("named by (-want +got):\n%s", diff)
				}
			}
			if f := find(t, without, inv); len(f.Vulnerabilities) > 0 || f.Archives != nil {
				t.Errorf("without an index: %+v", f)
			}
		})
	}
}

// TestTouchedArchives: another index touches the images with archives that it names
// otherwise, or no more, and no others. All other images are found again as they were.
func TestTouchedArchives(t *testing.T) {
	database, g := build(t, mavenSources("g:a 9", "g:b 9", "g:c 9"))
	row := func(artifact, version string, sha1 int) javaindextest.Row {
		return javaindextest.Row{Group: "g", Artifact: artifact, Version: version, SHA1: sha1Of(sha1)}
	}
	indices := map[string]string{
		"former":  javaindextest.Make(t, clock, row("a", "1", 0), row("c", "1", 50)),
		"more":    javaindextest.Make(t, clock, row("a", "1", 0), row("b", "1", 1), row("c", "1", 50)),
		"less":    javaindextest.Make(t, clock, row("c", "1", 50)),
		"another": javaindextest.Make(t, clock, row("b", "1", 0), row("c", "1", 50)),
		"same":    javaindextest.Make(t, clock, row("a", "1", 0), row("c", "1", 50), row("z", "1", 99)),
		"none":    "",
	}
	images := map[string]*gate.Inventory{
		"named":      jars(gate.JavaArchive{File: "x.jar", SHA1: sha1Of(0)}),
		"unknown":    jars(gate.JavaArchive{File: "x.jar", SHA1: sha1Of(1)}),
		"by_pom":     jars(gate.JavaArchive{File: "a-1.jar", SHA1: sha1Of(0), Group: "g", Artifact: "a", Version: "1", By: gate.ArchiveByPom}),
		"without":    app("jar", "", gate.Package{Name: "g:a", Version: "1"}),
		"manifest":   jars(gate.JavaArchive{File: "x.jar", SHA1: sha1Of(70), Group: "g", Artifact: "b", Version: "3", By: gate.ArchiveByManifest}),
		"a_guess":    jars(gate.JavaArchive{File: "b-1.jar", SHA1: sha1Of(71)}),
		"something":  jars(gate.JavaArchive{File: "x.jar", SHA1: sha1Of(72)}),
		"named_also": jars(gate.JavaArchive{File: "x.jar", SHA1: sha1Of(72)}, gate.JavaArchive{File: "y.jar", SHA1: sha1Of(0)}),
	}
	want := map[string][]string{
		"more":    {"a_guess", "manifest", "unknown"},
		"less":    {"named", "named_also"},
		"another": {"a_guess", "manifest", "named", "named_also"},
		"same":    nil,
		"none":    {"a_guess", "manifest", "named", "named_also", "something", "unknown"},
	}
	open := func(dir string) *javaindex.Index {
		if dir == "" {
			return nil
		}
		x, err := javaindex.Open(dir)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = x.Close() })
		return x
	}
	matcher := func(index string) *match.Matcher {
		m := match.New(nil, now)
		t.Cleanup(func() { m.Close() })
		dir, generation := database, g
		if index != "" {
			dir, generation = withJava(t, database, g, index)
		}
		if err := m.Load(context.Background(), dir, generation); err != nil {
			t.Fatal(err)
		}
		return m
	}
	former := matcher(indices["former"])
	for to, touched := range want {
		hit := match.TouchedArchives(t.Context(), open(indices["former"]), open(indices[to]))
		now := matcher(indices[to])
		var got []string
		for name, inv := range images {
			before := find(t, former, inv)
			l := former.Lookups(inv, before)
			if strings.Contains(l.Class, "always") {
				t.Fatalf("%s is touched by everything: %s", name, l.Class)
			}
			if slices.ContainsFunc(l.Libraries, hit) {
				got = append(got, name)
				continue
			}
			after := find(t, now, inv)
			before.Advisories, after.Advisories = "", ""
			if diff := cmp.Diff(before, after); diff != "" {
				t.Errorf("%s: untouched by %s, and found otherwise:\n%s", name, to, diff)
			}
		}
		slices.Sort(got)
		if diff := cmp.Diff(touched, got); diff != "" {
			t.Errorf("touched by %s (-want +got):\n%s", to, diff)
		}
	}
}

// TestMatch_index_is_replaced: a new generation with the same index, another one and none
// serves matches that run at the same time.
func TestMatch_index_is_replaced(t *testing.T) {
	database, g := build(t, mavenSources("g:a 9"))
	index := javaindextest.Make(t, clock, javaindextest.Row{Group: "g", Artifact: "a", Version: "1", SHA1: sha1Of(0)})
	m := match.New(nil, now)
	t.Cleanup(func() { m.Close() })
	load := func(n int64, dir string, g gate.Generation) {
		g.Number = n
		if err := m.Load(t.Context(), dir, g); err != nil {
			t.Fatal(err)
		}
	}
	with, generation := withJava(t, database, g, index)
	load(1, with, generation)
	done := make(chan error)
	go func() {
		for i := range 300 {
			f, err := m.Match(t.Context(), jars(gate.JavaArchive{File: fmt.Sprintf("%d.jar", i), SHA1: sha1Of(0)}))
			if err == nil && (f.Archives != nil) != (len(f.Vulnerabilities) == 1) {
				err = fmt.Errorf("got %+v", f)
			}
			if err != nil {
				done <- err
				return
			}
		}
		done <- nil
	}()
	for n := int64(2); ; n++ {
		if n%2 == 0 {
			load(n, database, g)
		} else {
			load(n, with, generation)
		}
		select {
		case err := <-done:
			if err != nil {
				t.Fatal(err)
			}
			return
		default:
		}
	}
}
