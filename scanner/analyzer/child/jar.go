//go:build goexperiment.jsonv2

package child

import (
	"archive/zip"
	"context"
	"fmt"
	"io"
	"log/slog"
	"path"
	"strings"
	"sync"

	"github.com/aquasecurity/trivy/pkg/dependency/parser/java/jar"
	ftypes "github.com/aquasecurity/trivy/pkg/fanal/types"
	"github.com/digestgate/digestgate/scanner/analyzer/child/trivy/analyzer"
	"github.com/digestgate/digestgate/scanner/analyzer/child/trivy/analyzer/language"

	"github.com/digestgate/digestgate/gate"
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

// noIndex stands in for the index of Java archives, which a later version may
// be configured with. Trivy's own analyser ends the whole scan without one.
// What names itself in a pom.properties file needs no index; a name in a
// manifest is taken for what it is worth.
type noIndex struct {
	mu    sync.Mutex
	asked bool
}

func (n *noIndex) ask() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.asked = true
}

func (n *noIndex) Exists(string, string) (bool, error) {
	n.ask()
	return true, nil
}

func (n *noIndex) SearchBySHA1(string) (jar.Properties, error) {
	n.ask()
	return jar.Properties{}, jar.ArtifactNotFoundErr
}

func (n *noIndex) SearchByArtifactID(string, string) (string, error) {
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
	before := slog.Default()
	f.bench.listen(analyzer.TypeJar, func() string { return j.name })
	index := &noIndex{}
	p := jar.NewParser(index, jar.WithSize(j.content.size), jar.WithFilePath(j.name))
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
	if index.asked {
		// Some archive has another name than its file, or none.
		f.jarGap(j.name, r, j.content.size)
	}
}

// jarGap notes the archives that do not name themselves: nobody can tell what
// is in them.
func (f *files) jarGap(name string, r io.ReaderAt, size int64) {
	unnamed, err := f.spool.unnamed(r, size)
	if err != nil {
		f.notes.fail(gate.RiskVulnerabilities, analyzerJar, name, err.Error())
		return
	}
	if len(unnamed) == 0 {
		return
	}
	n := note{AnalyzerError: gate.AnalyzerError{
		Risk: gate.RiskVulnerabilities, Kind: gate.GapJarWithoutCoordinates, Analyzer: analyzerJar, Path: name,
		Message: "it does not name itself (pom.properties) and no Java index is configured",
	}}
	if len(unnamed) == 1 && unnamed[0] == "" {
		if archive, err := zip.NewReader(r, size); err == nil {
			n.homes = runtimeHomes(name, archive)
		}
	} else {
		first := unnamed[0]
		if first == "" {
			first = path.Base(name)
		}
		n.Message = fmt.Sprintf("%d archives in it do not name themselves (pom.properties), the first is %s, and no Java index is configured",
			len(unnamed), gate.Quoted(first, 100))
	}
	f.notes.add(n)
}
