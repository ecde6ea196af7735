//go:build goexperiment.jsonv2

package child

import (
	"archive/zip"
	"crypto/sha1" //nolint:gosec // what Java archives are known by
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"path"
	"strings"

	"github.com/digestgate/digestgate/gate"
)

const (
	// maxArchiveDepth bounds archives in archives. An EAR with a WAR with
	// libraries that hold an agent has four.
	maxArchiveDepth = 8
	// maxInside bounds the archives in one file, and maxInsideBytes what they have
	// unpacked, each counted as often as it is in another: the largest applications known
	// have 1,500 libraries of 1 GB.
	maxInside      = 10_000
	maxInsideBytes = 8 << 30
)

// errNested means that archives are inside each other so that no end is in sight.
var errNested = errors.New("archives are inside each other")

// archive is a Java archive of a layer.
type archive struct {
	gate.JavaArchive
	// Homes are the directories of which one is that of a Java runtime, if the archive is
	// the runtime's own.
	Homes []string `json:"homes,omitempty"`
}

// archives are the Java archives of one file: itself, and those inside. An archive names
// itself by a pom.properties with group, artifact and version, which Maven writes; a
// manifest's titles are nobody's coordinates. Archives inside that cannot be read are
// left to the parser of packages, which complains about them.
func (s *spool) archives(name string, r io.ReaderAt, size int64) ([]archive, error) {
	w := &archiveWalk{spool: s, file: name}
	outer, err := zip.NewReader(r, size)
	if err != nil {
		return nil, fmt.Errorf("reading the archive: %w", err)
	}
	if err := w.take(outer, io.NewSectionReader(r, 0, size), "", 1); err != nil {
		return nil, err
	}
	return w.found, nil
}

type archiveWalk struct {
	spool *spool
	file  string
	found []archive
	bytes int64
}

// take records an archive and those inside, outer ones first.
func (w *archiveWalk) take(z *zip.Reader, content io.Reader, inside string, depth int) error {
	if depth > maxArchiveDepth {
		return fmt.Errorf("%w more than %d deep", errNested, maxArchiveDepth)
	}
	if err := w.room(); err != nil {
		return err
	}
	h := sha1.New() //nolint:gosec // see the import
	if _, err := io.Copy(h, content); err != nil {
		return fmt.Errorf("reading the archive: %w", err)
	}
	a := archive{JavaArchive: gate.JavaArchive{File: w.file, Inside: inside, SHA1: hex.EncodeToString(h.Sum(nil))}}
	say(&a.JavaArchive, z)
	a.Unnamed = a.By != gate.ArchiveByPom
	w.found = append(w.found, a)
	for _, f := range z.File {
		if !isInnerArchive(f.Name) {
			if isJar(f.Name, 1) {
				if err := w.foreign(f, path.Join(inside, f.Name)); err != nil {
					return err
				}
			}
			continue
		}
		if err := w.inside(f, path.Join(inside, f.Name), depth+1); err != nil {
			return err
		}
	}
	return nil
}

// isInnerArchive has the names that the parser of packages looks into.
func isInnerArchive(name string) bool {
	switch path.Ext(name) {
	case ".jar", ".war", ".ear":
		return true
	}
	return false
}

// foreign records an archive inside that the parser of packages passes over, by its name
// in capitals or that of a persistence archive. What is inside it is not known.
func (w *archiveWalk) foreign(f *zip.File, inside string) error {
	r, err := f.Open()
	if err != nil {
		return nil //nolint:nilerr // see archives
	}
	defer r.Close()
	h := sha1.New() //nolint:gosec // see the import
	n, err := io.Copy(h, io.LimitReader(r, maxInsideBytes-w.bytes+1))
	if w.bytes += n; err != nil || n == 0 {
		return nil //nolint:nilerr // see archives
	}
	if err := w.room(); err != nil {
		return err
	}
	w.found = append(w.found, archive{JavaArchive: gate.JavaArchive{
		File: w.file, Inside: inside, SHA1: hex.EncodeToString(h.Sum(nil)), Unnamed: true,
	}})
	return nil
}

// room says that there is too much in one file to be looked at.
func (w *archiveWalk) room() error {
	switch {
	case len(w.found) > maxInside:
		return fmt.Errorf("%w: there are more than %d in all", errNested, maxInside)
	case w.bytes > maxInsideBytes:
		return fmt.Errorf("%w: they have more than %s in all", errNested, gate.ByteSize(maxInsideBytes))
	}
	return nil
}

func (w *archiveWalk) inside(f *zip.File, inside string, depth int) error {
	size := f.UncompressedSize64
	w.bytes += int64(min(size, maxInsideBytes+1))
	if err := w.room(); err != nil {
		return err
	}
	r, err := f.Open()
	if err != nil {
		return nil //nolint:nilerr // see archives
	}
	defer r.Close()
	c, err := w.spool.keep(r, int64(size))
	if errors.Is(err, errOverLimit) || diskFull(err) {
		return fmt.Errorf("%s inside it has %d bytes: %w", inside, size, err)
	} else if err != nil {
		return nil //nolint:nilerr // see archives
	}
	defer c.drop()
	opened, err := c.open()
	if err != nil {
		return err
	}
	defer opened.Close()
	z, err := zip.NewReader(opened, c.size)
	if err != nil {
		return nil //nolint:nilerr // see archives
	}
	return w.take(z, io.NewSectionReader(opened, 0, c.size), inside, depth)
}

// say notes what an archive says of itself: by pom.properties, of which that with the
// name of the file counts, or the only one; else by its manifest, if that has group,
// artifact and version.
func say(a *gate.JavaArchive, z *zip.Reader) {
	file := path.Base(a.Path())
	var poms []coordinates
	var manifest coordinates
	for _, f := range z.File {
		switch path.Base(f.Name) {
		case "pom.properties":
			if c := pomCoordinates(f); c.complete() {
				poms = append(poms, c)
			}
		case "MANIFEST.MF":
			if f.Name == "META-INF/MANIFEST.MF" || manifest == (coordinates{}) {
				manifest = manifestCoordinates(f)
			}
		}
	}
	set := func(c coordinates, by string) {
		a.Group, a.Artifact, a.Version, a.By = c.group, c.artifact, c.version, by
	}
	for _, c := range poms {
		if strings.HasPrefix(file, c.artifact+"-"+c.version+".") {
			set(c, gate.ArchiveByPom)
			return
		}
	}
	switch {
	case len(poms) == 1:
		set(poms[0], gate.ArchiveByPom)
	case len(poms) > 1: // of what was put together
		a.By = gate.ArchiveByPom
	case manifest.complete():
		set(manifest, gate.ArchiveByManifest)
	default:
		set(manifest, "")
	}
}
