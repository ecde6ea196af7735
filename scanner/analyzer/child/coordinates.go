//go:build goexperiment.jsonv2

package child

import (
	"archive/zip"
	"bufio"
	"cmp"
	"io"
	"strings"
	"unicode/utf8"
)

// coordinates are what Maven knows an artifact by.
type coordinates struct{ group, artifact, version string }

func (c coordinates) complete() bool { return c.group != "" && c.artifact != "" && c.version != "" }

const (
	// maxProperties bounds what is read of a pom.properties, and of the main section of a
	// manifest. Maven writes 0.1 kB, and 1 kB.
	maxProperties = 1 << 20
	// maxCoordinate bounds each text; the longest in Maven Central are below 100 bytes.
	maxCoordinate = 256
)

// coordinate is a text as it is kept: nothing of what is too long or no text.
func coordinate(s string) string {
	if s = strings.TrimSpace(s); len(s) > maxCoordinate || !utf8.ValidString(s) {
		return ""
	}
	return s
}

func pomCoordinates(f *zip.File) (c coordinates) {
	r, err := f.Open()
	if err != nil {
		return c
	}
	defer r.Close()
	lines := bufio.NewScanner(io.LimitReader(r, maxProperties))
	for lines.Scan() {
		line := strings.TrimSpace(lines.Text())
		for key, to := range map[string]*string{"groupId=": &c.group, "artifactId=": &c.artifact, "version=": &c.version} {
			if v, ok := strings.CutPrefix(line, key); ok {
				*to = coordinate(v)
			}
		}
	}
	return c
}

// manifestCoordinates are what the main section of a manifest says, from the attributes
// that Trivy takes them from, in its order (trivy's jar/parse.go, determineGroupID and
// those after it). Each may be missing.
func manifestCoordinates(f *zip.File) coordinates {
	r, err := f.Open()
	if err != nil {
		return coordinates{}
	}
	defer r.Close()
	has := mainSection(io.LimitReader(r, maxProperties))
	symbolic := has["Bundle-SymbolicName"]
	if i := strings.LastIndex(symbolic, "."); i > 0 {
		symbolic = symbolic[:i] // com.fasterxml.jackson.core of com.fasterxml.jackson.core.jackson-databind
	}
	return coordinates{
		group:    cmp.Or(has["Implementation-Vendor-Id"], symbolic, has["Implementation-Vendor"], has["Specification-Vendor"]),
		artifact: cmp.Or(has["Implementation-Title"], has["Specification-Title"], has["Bundle-Name"]),
		version:  cmp.Or(has["Implementation-Version"], has["Specification-Version"], has["Bundle-Version"]),
	}
}

// mainSection reads attributes up to the first empty line. A line that begins with a
// blank continues the one before (JAR File Specification, "Name-Value pairs and
// Sections"). Variables ("%bundleName") are left out.
func mainSection(r io.Reader) map[string]string {
	all, _ := io.ReadAll(r) // what can be read of it
	text := strings.NewReplacer("\r\n", "\n", "\r", "\n").Replace(string(all))
	text, _, _ = strings.Cut(strings.TrimPrefix(text, "\ufeff"), "\n\n")
	has := map[string]string{}
	for line := range strings.SplitSeq(strings.ReplaceAll(text, "\n ", ""), "\n") {
		key, value, ok := strings.Cut(line, ":")
		if value = coordinate(value); ok && value != "" && value[0] != '%' {
			has[key] = value
		}
	}
	return has
}
