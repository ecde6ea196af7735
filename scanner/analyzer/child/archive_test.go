//go:build goexperiment.jsonv2

package child

import (
	"archive/zip"
	"bytes"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const pomProperties = "groupId=g\nartifactId=a\nversion=1\n"

// zipped makes an archive of pairs of name and content.
func zipped(t *testing.T, pairs ...string) string {
	t.Helper()
	var buf bytes.Buffer
	w := zip.NewWriter(&buf)
	for i := 0; i < len(pairs); i += 2 {
		f, err := w.Create(pairs[i])
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.Write([]byte(pairs[i+1])); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return buf.String()
}

func TestUnnamed(t *testing.T) {
	const pom = "META-INF/maven/g/a/pom.properties"
	named, bare := zipped(t, pom, pomProperties), zipped(t, "A.class", "x")
	deep := bare
	for range maxArchiveDepth {
		deep = zipped(t, "in.jar", deep)
	}
	tests := map[string]struct {
		archive string
		want    []string
		err     string
	}{
		"named":              {archive: named},
		"bare":               {archive: bare, want: []string{""}},
		"properties_cut":     {archive: zipped(t, pom, "groupId=g\nartifactId=a\n"), want: []string{""}},
		"properties_empty":   {archive: zipped(t, pom, "groupId=\nartifactId=a\nversion=1\n"), want: []string{""}},
		"manifest_only":      {archive: zipped(t, "META-INF/MANIFEST.MF", "Implementation-Title: a\nImplementation-Version: 1\nImplementation-Vendor-Id: g\n"), want: []string{""}},
		"inside":             {archive: zipped(t, pom, pomProperties, "lib/x.jar", bare, "lib/y.jar", named), want: []string{"lib/x.jar"}},
		"name_inside_is_its": {archive: zipped(t, "lib/y.jar", named), want: []string{""}},
		"two_deep":           {archive: zipped(t, pom, pomProperties, "x.war", zipped(t, "WEB-INF/lib/x.jar", bare)), want: []string{"x.war", "x.war/WEB-INF/lib/x.jar"}},
		"broken_inside":      {archive: zipped(t, pom, pomProperties, "lib/x.jar", "nonsense")},
		"too_deep":           {archive: deep, err: "archives are inside each other"},
		"too_large_inside":   {archive: zipped(t, pom, pomProperties, "lib/x.jar", strings.Repeat("x", inMemory+1)), err: "over the limit"},
		"broken":             {archive: "nonsense", err: "not a valid zip"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			s := &spool{maxFile: inMemory}
			archives, err := s.archives("app.jar", strings.NewReader(tt.archive), int64(len(tt.archive)))
			var got []string
			for _, a := range archives {
				if a.Unnamed {
					got = append(got, a.Inside)
				}
			}
			if tt.err != "" {
				if err == nil || !strings.Contains(err.Error(), tt.err) {
					t.Fatalf("got %q, %v, want the error %q", got, err, tt.err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("unnamed (-want +got):\n%s", diff)
			}
		})
	}
}

// TestArchives: what is recorded of archives, and of those inside.
func TestArchives(t *testing.T) {
	const manifest = "META-INF/MANIFEST.MF"
	lib := zipped(t, manifest, "Manifest-Version: 1.0\r\nBundle-SymbolicName: com.fasterxml.jackson.core.jackson-\r\n databind\r\nBundle-Name: Jackson-databind\r\nBundle-Version: 2.9.1\r\n\r\nName: x\r\nImplementation-Title: not of the archive\r\n")
	tests := map[string]struct {
		file, archive string
		want          []string // path inside, by, group, artifact, version
	}{
		"pom":             {"a-1.jar", zipped(t, "META-INF/maven/g/a/pom.properties", pomProperties), []string{"|pom.properties|g|a|1"}},
		"pom_of_the_file": {"b-2.jar", zipped(t, "x/pom.properties", pomProperties, "y/pom.properties", "groupId=h\nartifactId=b\nversion=2\n"), []string{"|pom.properties|h|b|2"}},
		"poms_of_others":  {"c-2.jar", zipped(t, "x/pom.properties", pomProperties, "y/pom.properties", "groupId=h\nartifactId=b\nversion=2\n"), []string{"|pom.properties|||"}},
		"pom_wins":        {"a.jar", zipped(t, manifest, "Implementation-Vendor-Id: x\nImplementation-Title: y\nImplementation-Version: 3\n", "x/pom.properties", pomProperties), []string{"|pom.properties|g|a|1"}},
		"manifest":        {"a.jar", zipped(t, manifest, "Implementation-Vendor-Id: org.apache\nImplementation-Title: Commons Lang\nImplementation-Version: 2.6\nSpecification-Title: other\n"), []string{"|manifest|org.apache|Commons Lang|2.6"}},
		"folded_manifest": {"a.jar", lib, []string{"|manifest|com.fasterxml.jackson.core|Jackson-databind|2.9.1"}},
		"some_of_it":      {"a.jar", zipped(t, manifest, "Implementation-Title: spring-core\nImplementation-Version: 5.3.17\n"), []string{"|||spring-core|5.3.17"}},
		"variables":       {"a.jar", zipped(t, manifest, "Implementation-Title: %title\nImplementation-Version: 5\n"), []string{"||||5"}},
		"long":            {"a.jar", zipped(t, manifest, "Implementation-Title: "+strings.Repeat("x", 1000)+"\nImplementation-Version: \xff\n"), []string{"||||"}},
		"nothing":         {"a.jar", zipped(t, "A.class", "x"), []string{"||||"}},
		"inside":          {"a.war", zipped(t, "WEB-INF/lib/j.jar", lib), []string{"||||", "WEB-INF/lib/j.jar|manifest|com.fasterxml.jackson.core|Jackson-databind|2.9.1"}},
		"foreign_inside":  {"a.ear", zipped(t, "x/pom.properties", pomProperties, "J.JAR", lib, "p.par", lib), []string{"|pom.properties|g|a|1", "J.JAR||||", "p.par||||"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			found, err := (&spool{}).archives(tt.file, strings.NewReader(tt.archive), int64(len(tt.archive)))
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, a := range found {
				got = append(got, strings.Join([]string{a.Inside, a.By, a.Group, a.Artifact, a.Version}, "|"))
				if a.File != tt.file || len(a.SHA1) != 40 || a.Unnamed != (a.By != "pom.properties") {
					t.Errorf("got %+v", a)
				}
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("archives (-want +got):\n%s", diff)
			}
		})
	}
}

// FuzzArchives: no archive breaks what records it.
func FuzzArchives(f *testing.F) {
	var buf bytes.Buffer
	w := zip.NewWriter(&buf)
	for name, body := range map[string]string{"META-INF/MANIFEST.MF": "Implementation-Title: a\r\n b\r\n", "x/pom.properties": pomProperties, "lib/x.jar": "PK", "P.PAR": "x"} {
		e, err := w.Create(name)
		if err != nil {
			f.Fatal(err)
		}
		if _, err := e.Write([]byte(body)); err != nil {
			f.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		f.Fatal(err)
	}
	f.Add(buf.Bytes())
	f.Add([]byte("PK\x05\x06"))
	f.Fuzz(func(t *testing.T, data []byte) {
		found, err := (&spool{maxFile: 1 << 20, maxTemp: 1 << 22}).archives("a.jar", bytes.NewReader(data), int64(len(data)))
		for _, a := range found {
			if err == nil && (len(a.SHA1) != 40 || len(a.Group)+len(a.Artifact)+len(a.Version) > 3*maxCoordinate) {
				t.Errorf("got %+v", a)
			}
		}
	})
}
