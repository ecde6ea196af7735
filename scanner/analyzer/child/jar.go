//go:build goexperiment.jsonv2

package child

import (
	"archive/zip"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"path"
	"strings"

	"github.com/aquasecurity/trivy/pkg/dependency/parser/java/jar"
	ftypes "github.com/aquasecurity/trivy/pkg/fanal/types"

	"github.com/digestgate/digestgate/scanner/analyzer/child/trivy/analyzer"
	"github.com/digestgate/digestgate/scanner/analyzer/child/trivy/analyzer/language"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/scanner/analyzer/protocol"
)

const analyzerJar = "jar"

// isJar has the names of Java archives. An empty file is none: no Java runtime
// opens it.
func isJar(name string, size int64) bool {
	if size == 0 {
		return false
	}
	switch strings.ToLower(path.Ext(name)) {
	case ".jar", ".war", ".ear", ".par":
		return true
	}
	return false
}

// noIndex stands in for the index of Java archives. Trivy's own analyser ends the whole
// scan without one. What names itself in a pom.properties file needs none; a name in a
// manifest is taken for what it is worth. What the archives are is looked up when the
// image is matched, with the index of the generation in force, by what is recorded of
// them here.
type noIndex struct{}

func (noIndex) Exists(string, string) (bool, error) { return true, nil }

func (noIndex) SearchBySHA1(string) (jar.Properties, error) {
	return jar.Properties{}, jar.ArtifactNotFoundErr
}

func (noIndex) SearchByArtifactID(string, string) (string, error) {
	return "", jar.ArtifactNotFoundErr
}

// jar lists the packages in one archive, nested ones included. One archive at a
// time: unpacking nested ones takes memory, and the parser takes its logger
// from a global.
func (f *files) jar(j *job) {
	f.jars.Lock()
	defer f.jars.Unlock()
	r, err := j.content.open()
	if err != nil {
		f.notes.fail(gate.RiskVulnerabilities, analyzerJar, j.name, err.Error())
		return
	}
	defer r.Close()
	if !f.recordArchives(j.name, r, j.content.size) {
		return
	}
	before := slog.Default()
	f.bench.listen(analyzer.TypeJar, func() string { return j.name })
	p := jar.NewParser(noIndex{}, jar.WithSize(j.content.size), jar.WithFilePath(j.name))
	slog.SetDefault(before)
	app, err := language.ParsePackage(context.Background(), ftypes.Jar, j.name, r, p, false)
	if err != nil {
		f.notes.fail(gate.RiskVulnerabilities, analyzerJar, j.name, err.Error())
		return
	}
	if app != nil {
		for i := range app.Packages {
			app.Packages[i].AnalyzedBy = analyzer.TypeJar
		}
		f.result.Merge(&analyzer.AnalysisResult{Applications: []ftypes.Application{*app}})
	}
}

// recordArchives notes a file's archives, and as a gap those that do not name themselves:
// nothing in the image tells what is in them. It reports whether the packages may be
// looked for, which takes archives in archives without a limit.
func (f *files) recordArchives(name string, r io.ReaderAt, size int64) (parse bool) {
	found, err := f.spool.archives(name, r, size)
	if err != nil {
		if !errors.Is(err, zip.ErrFormat) { // the parser says that
			f.notes.fail(gate.RiskVulnerabilities, analyzerJar, name, err.Error())
		}
		return !errors.Is(err, errNested)
	}
	var unnamed []string
	for i := range found {
		if found[i].Unnamed {
			unnamed = append(unnamed, found[i].Inside)
		}
	}
	f.noteUnnamed(name, unnamed, found, r, size)
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.archives)+len(found) > protocol.MaxArchives {
		// Those that name themselves are listed as packages; the others stay a gap.
		return true
	}
	f.archives = append(f.archives, found...)
	return true
}

// noteUnnamed notes the gap of a file.
func (f *files) noteUnnamed(name string, unnamed []string, found []archive, r io.ReaderAt, size int64) {
	if len(unnamed) == 0 {
		return
	}
	n := note{AnalyzerError: gate.AnalyzerError{
		Risk: gate.RiskVulnerabilities, Kind: gate.GapJarWithoutCoordinates, Analyzer: analyzerJar, Path: name,
		Message: "it does not name itself (pom.properties)",
	}}
	if len(unnamed) == 1 && unnamed[0] == "" {
		if archive, err := zip.NewReader(r, size); err == nil {
			n.homes = runtimeHomes(name, archive)
			found[0].Homes = n.homes
		}
	} else {
		first := unnamed[0]
		if first == "" {
			first = path.Base(name)
		}
		n.Message = fmt.Sprintf("%d archives in it do not name themselves (pom.properties), the first is %s", len(unnamed), gate.Quoted(first, 100))
	}
	f.notes.add(n)
}
