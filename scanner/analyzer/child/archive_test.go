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
			got, err := s.unnamed(strings.NewReader(tt.archive), int64(len(tt.archive)))
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
