//go:build goexperiment.jsonv2

package main

import (
	"context"
	"crypto/sha1" //nolint:gosec // how Maven Central names files
	"encoding/hex"
	"fmt"
	"io"
	"log/slog"
	"path"
	"strings"
	"sync"

	"github.com/aquasecurity/trivy/pkg/dependency/parser/java/jar"
	"github.com/aquasecurity/trivy/pkg/fanal/analyzer"
	"github.com/aquasecurity/trivy/pkg/fanal/analyzer/language"
	ftypes "github.com/aquasecurity/trivy/pkg/fanal/types"

	"github.com/digestgate/digestgate/gate"
)

const analyzerJar = "jar"

func isJar(name string) bool {
	switch strings.ToLower(path.Ext(name)) {
	case ".jar", ".war", ".ear", ".par":
		return true
	}
	return false
}

// noIndex stands in for the index of Java archives, which a later version may
// be configured with. Trivy's own analyser ends the whole scan without one.
// What names itself in a pom.properties file needs no index; the rest is
// counted, and a name in a manifest is taken for what it is worth.
type noIndex struct {
	mu       sync.Mutex
	guessed  int
	searched map[string]bool // SHA-1
}

func (n *noIndex) Exists(string, string) (bool, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.guessed++
	return true, nil
}

func (n *noIndex) SearchBySHA1(sum string) (jar.Properties, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.searched[sum] = true
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
	f.listen(analyzer.TypeJar, func() string { return j.name })
	index := &noIndex{searched: map[string]bool{}}
	p := jar.NewParser(index, jar.WithSize(j.content.size), jar.WithFilePath(j.name))
	slog.SetDefault(before)
	app, err := language.ParsePackage(context.Background(), ftypes.Jar, j.name, r, p, false)
	if err != nil {
		f.notes.fail(gate.RiskVulnerabilities, analyzerJar, j.name, err.Error())
		return
	}
	named := false
	if app != nil {
		for i := range app.Packages {
			app.Packages[i].AnalyzedBy = analyzer.TypeJar
			named = named || app.Packages[i].FilePath == j.name
		}
		f.result.Merge(&analyzer.AnalysisResult{Applications: []ftypes.Application{*app}})
	}
	if named && len(index.searched) > 0 {
		// The archive's own name is known from its pom.properties although its
		// file has another one.
		if sum, err := sha1Of(r); err == nil {
			delete(index.searched, sum)
		}
	}
	if unknown := index.guessed + len(index.searched); unknown > 0 {
		f.notes.failKind(gate.RiskVulnerabilities, gate.GapJarWithoutCoordinates, analyzerJar, j.name,
			fmt.Sprintf("%d archives in it do not name themselves (pom.properties) and no Java index is configured", unknown))
	}
}

func sha1Of(r io.ReadSeeker) (string, error) {
	if _, err := r.Seek(0, io.SeekStart); err != nil {
		return "", err
	}
	h := sha1.New() //nolint:gosec // as above
	if _, err := io.Copy(h, r); err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}
