//go:build goexperiment.jsonv2

package child

import (
	"archive/zip"
	"bufio"
	"errors"
	"fmt"
	"io"
	"path"
	"strings"
)

// maxArchiveDepth bounds archives in archives. An EAR with a WAR with
// libraries that hold an agent has four.
const maxArchiveDepth = 8

// unnamed finds the archives that do not name themselves: the outer one and
// those inside, by their path in it ("" is the outer one). An archive names
// itself by a pom.properties with group, artifact and version, which Maven
// writes; a manifest's titles are nobody's coordinates. Archives that cannot be
// read are left to the parser of packages, which complains about them.
func (s *spool) unnamed(r io.ReaderAt, size int64) ([]string, error) {
	archive, err := zip.NewReader(r, size)
	if err != nil {
		return nil, fmt.Errorf("reading the archive: %w", err)
	}
	return s.unnamedIn(archive, "", 1)
}

func (s *spool) unnamedIn(archive *zip.Reader, name string, depth int) ([]string, error) {
	if depth > maxArchiveDepth {
		return nil, fmt.Errorf("archives are inside each other more than %d deep", maxArchiveDepth)
	}
	var found []string
	named := false
	for _, f := range archive.File {
		switch {
		case path.Base(f.Name) == "pom.properties":
			named = named || hasCoordinates(f)
		case isInnerArchive(f.Name):
			inner, err := s.unnamedInside(f, path.Join(name, f.Name), depth+1)
			if err != nil {
				return nil, err
			}
			found = append(found, inner...)
		}
	}
	if !named {
		found = append([]string{name}, found...)
	}
	return found, nil
}

// isInnerArchive has the names that the parser of packages looks into.
func isInnerArchive(name string) bool {
	switch path.Ext(name) {
	case ".jar", ".war", ".ear":
		return true
	}
	return false
}

func (s *spool) unnamedInside(f *zip.File, name string, depth int) ([]string, error) {
	r, err := f.Open()
	if err != nil {
		return nil, nil //nolint:nilerr // see unnamed
	}
	defer r.Close()
	c, err := s.keep(r, int64(f.UncompressedSize64))
	if errors.Is(err, errOverLimit) || diskFull(err) {
		return nil, fmt.Errorf("%s inside it has %d bytes: %w", name, f.UncompressedSize64, err)
	} else if err != nil {
		return nil, nil //nolint:nilerr // see unnamed
	}
	defer c.drop()
	opened, err := c.open()
	if err != nil {
		return nil, err
	}
	defer opened.Close()
	archive, err := zip.NewReader(opened, c.size)
	if err != nil {
		return nil, nil //nolint:nilerr // see unnamed
	}
	return s.unnamedIn(archive, name, depth)
}

// maxProperties bounds what is read of a pom.properties; Maven writes 0.1 kB.
const maxProperties = 1 << 20

func hasCoordinates(f *zip.File) bool {
	r, err := f.Open()
	if err != nil {
		return false
	}
	defer r.Close()
	var have [3]bool
	lines := bufio.NewScanner(io.LimitReader(r, maxProperties))
	for lines.Scan() {
		for i, key := range []string{"groupId=", "artifactId=", "version="} {
			v, ok := strings.CutPrefix(strings.TrimSpace(lines.Text()), key)
			have[i] = have[i] || ok && v != ""
		}
	}
	return have == [3]bool{true, true, true}
}
