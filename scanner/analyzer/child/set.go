//go:build goexperiment.jsonv2

package child

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"runtime/debug"
	"slices"
	"strings"

	"github.com/digestgate/digestgate/scanner/analyzer/child/trivy/analyzer"
	"github.com/digestgate/digestgate/scanner/analyzer/child/trivy/secret"
)

// ownVersion is raised when the same bytes would give another result because of
// a change in this program. Every layer is then analysed again.
const ownVersion = 8

// disabled are analysers that an imported package brings along and an image
// scan does not use.
var disabled = append(slices.Clone(analyzer.TypeLockfiles),
	analyzer.TypeRpmArchive, // single .rpm files lying about are not installed
	analyzer.TypeApkCommand, analyzer.TypeExecutable, analyzer.TypeSBOM, analyzer.TypeSecret, analyzer.TypeJar,
	analyzer.TypeUbuntu) // which distribution it is decides scanner/distribution

// versions are the analysers in use.
func versions() (analyzer.Versions, error) {
	g, err := analyzer.NewAnalyzerGroup(analyzer.AnalyzerOptions{DisabledAnalyzers: disabled})
	if err != nil {
		return analyzer.Versions{}, fmt.Errorf("preparing the analysers: %w", err)
	}
	return g.AnalyzerVersions(), nil
}

// identity names everything in this program that a result depends on: Trivy's
// version, the analysers with theirs, the rules for secrets and our own.
func identity() string {
	trivy := "unknown"
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, m := range info.Deps {
			if m.Path == "github.com/aquasecurity/trivy" {
				trivy = strings.TrimPrefix(m.Version, "v")
			}
		}
	}
	v, err := versions()
	if err != nil {
		return "broken: " + err.Error()
	}
	h := sha256.New()
	if err := json.NewEncoder(h).Encode(map[string]any{"own": ownVersion, "files": v.Analyzers, "post": v.PostAnalyzers}); err != nil {
		return "broken: " + err.Error()
	}
	for _, r := range secret.GetBuiltinRules() {
		regex := ""
		if r.Regex != nil {
			regex = r.Regex.String()
		}
		fmt.Fprintf(h, "%s\x00%s\x00%s\n", r.ID, r.Severity, regex)
	}
	return fmt.Sprintf("trivy-%s.%d-%x", trivy, ownVersion, h.Sum(nil)[:6])
}
