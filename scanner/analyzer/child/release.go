//go:build goexperiment.jsonv2

package child

import (
	"cmp"
	"io"
	"slices"
	"strings"

	ftypes "github.com/aquasecurity/trivy/pkg/fanal/types"
	"github.com/digestgate/digestgate/scanner/analyzer/child/trivy/analyzer"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/scanner/analyzer/rootfs"
	"github.com/digestgate/digestgate/scanner/distribution"
)

// typeRelease is the reader of release files among Trivy's analysers.
const typeRelease analyzer.Type = "release-file"

// readRelease keeps the beginning of a release file.
func (j *job) readRelease() error {
	content, err := j.open()
	if err != nil {
		return err
	}
	defer content.Close()
	text, err := io.ReadAll(io.LimitReader(content, distribution.MaxText+1))
	if err != nil {
		return err
	}
	f := gate.ReleaseFile{Path: j.name, Cut: len(text) > distribution.MaxText}
	f.Text = string(text[:min(len(text), distribution.MaxText)])
	j.files.mu.Lock()
	defer j.files.mu.Unlock()
	j.files.release = append(j.files.release, f)
	return nil
}

// distributionFacts are the release files and package databases that a container
// sees, with every link followed. Where runtimes differ, each content counts.
func (img *image) distributionFacts() *gate.Distribution {
	facts := &gate.Distribution{Files: []gate.ReleaseFile{}, Databases: []gate.PackageDatabase{}}
	for _, v := range img.views {
		for _, p := range distribution.ReleaseFiles() {
			real, n, ok := v.Lookup(p)
			if !ok || n.Kind != rootfs.File {
				continue
			}
			if f := img.releaseFile(p, real, n); !slices.Contains(facts.Files, f) {
				facts.Files = append(facts.Files, f)
			}
		}
		for _, place := range distribution.DatabasePlaces() {
			img.databases(v, place, facts)
		}
	}
	slices.SortFunc(facts.Files, func(a, b gate.ReleaseFile) int {
		return cmp.Or(strings.Compare(a.Path, b.Path), strings.Compare(a.Text, b.Text))
	})
	slices.SortFunc(facts.Databases, func(a, b gate.PackageDatabase) int {
		return cmp.Or(strings.Compare(a.Path, b.Path), strings.Compare(a.Manager, b.Manager))
	})
	return facts
}

// releaseFile is what the path shows, by whichever name its content was read.
func (img *image) releaseFile(p, real string, n rootfs.Node) gate.ReleaseFile {
	own, _ := ownName(img.entry(n.Content))
	readings := map[string]*reading{own: img.byPart[partKey{n.Content.Layer, img.order[n.Content.Layer][n.Content.Entry]}]}
	for _, name := range []string{p, real} {
		if r := img.readAgain[wish{n.Content, name, n.Mode}]; r != nil {
			readings[name] = r
		}
	}
	for _, name := range []string{p, real, own} {
		if r := readings[name]; r != nil {
			for _, f := range r.found.Release {
				if f.Path == name {
					f.Path = p
					return f
				}
			}
		}
	}
	return gate.ReleaseFile{Path: p, Link: real} // a name that is not text, or too many of one name
}

// databases notes the package databases at a place that are not empty.
func (img *image) databases(v *rootfs.View, place string, facts *gate.Distribution) {
	note := func(p string, n rootfs.Node) {
		if n.Kind != rootfs.File || img.entry(n.Content).Size == 0 {
			return
		}
		if db, ok := distribution.Database(p); ok && !slices.Contains(facts.Databases, db) {
			facts.Databases = append(facts.Databases, db)
		}
	}
	real, n, ok := v.Lookup(place)
	switch {
	case !ok:
	case n.Kind == rootfs.File:
		note(place, n)
	case n.Kind == rootfs.Directory:
		v.Walk(real, func(at string, n rootfs.Node) bool {
			note(place+strings.TrimPrefix(at, real), n)
			return true
		})
	}
}

// setDistribution writes the decision where Trivy's applier looks for it.
func setDistribution(os *ftypes.OS, d distribution.Decision) {
	os.Extended = os.Extended && d.Family == "ubuntu" // Trivy looks for Ubuntu's status file in any image
	os.Family, os.Name = "", ""
	if d.Known { // for a family that it does not know, Trivy logs an error for every package
		os.Family, os.Name = ftypes.OSType(d.Family), d.Name
	}
}
