package gate_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/digestgate/digestgate"

// leaf is the unit between which imports are forbidden: the packages below
// gate each for itself, otherwise the top-level folder. "" is no leaf.
func leaf(pkg string) string {
	parts := strings.Split(pkg, "/")
	switch parts[0] {
	case "webhooks", "policy", "scanner", "store":
		return parts[0]
	case "gate":
		if len(parts) > 1 {
			return path.Join(parts[0], parts[1])
		}
	}
	return ""
}

// ground are the packages that several leaves share; they stand on gate alone.
var ground = map[string]bool{"gate/agree": true, "gate/certificate": true, "gate/copies": true, "gate/explain": true, "gate/history": true, "gate/listener": true, "gate/outbound": true, "gate/refusal": true}

// shows are the works whose states a leaf shows to people.
var shows = map[string]map[string]bool{
	"gate/view": {"gate/intake": true, "gate/quota": true, "gate/schedule": true, "gate/sync": true},
	"gate/api":  {"gate/intake": true, "gate/quota": true, "gate/schedule": true, "gate/sync": true, "gate/view": true},
}

// program are the packages of digestgate's command line, each with those that may import
// it: what a server is wired from is everybody's, a kind of commands the root command's
// alone.
var program = map[string][]string{
	"cmd/digestgate/app":     {"digestgate", "client", "local", "demo"},
	"cmd/digestgate/show":    {"digestgate", "app", "client", "local", "demo"},
	"cmd/digestgate/connect": {"digestgate", "client", "local", "demo"},
	"cmd/digestgate/client":  {"digestgate"},
	"cmd/digestgate/local":   {"digestgate"},
	"cmd/digestgate/demo":    {"digestgate"},
}

// forbidden says why one package may not import another, "" when it may.
// Packages of one folder (scanner/…) may; a test may use real components.
func forbidden(from, to string, test bool) string {
	switch {
	case strings.HasPrefix(to, "cmd/") && path.Dir(to) != from && path.Dir(to) != path.Dir(from):
		return "cmd is wiring, of one program, and imported by nobody else"
	case strings.HasSuffix(to, "test") && !test:
		return "what is for tests is linked into no program"
	case program[to] != nil && !slices.Contains(program[to], path.Base(from)):
		return "of the program's packages, that one is imported by " + strings.Join(program[to], ", ")
	case strings.HasPrefix(from, "cmd/"):
		return ""
	case from == "gate" && !test:
		return "gate is the bottom and imports nothing of the project"
	case from == "gate/explain" && to == "gate/refusal":
		return "" // why a job waits is said in the words of refusals
	case ground[from] && to != "gate" && !test:
		return "what leaves share stands on gate alone"
	case to == "gate" || ground[to] || shows[from][to] || test:
		return "" // a test may use the real components of other folders
	case leaf(from) != leaf(to):
		return "leaves never import each other"
	}
	return ""
}

func TestImportDirections(t *testing.T) {
	root := ".."
	files := 0
	err := filepath.WalkDir(root, func(file string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := d.Name()
		if d.IsDir() {
			if name == "testdata" || (strings.HasPrefix(name, ".") && name != "..") {
				return filepath.SkipDir
			}
			if _, err := os.Stat(filepath.Join(file, "go.mod")); err == nil && file != root {
				return filepath.SkipDir // a module of its own
			}
			return nil
		}
		if !strings.HasSuffix(name, ".go") {
			return nil
		}
		files++
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		from, err := filepath.Rel(root, filepath.Dir(file))
		if err != nil {
			return err
		}
		test := strings.HasSuffix(name, "_test.go") || strings.Contains(from+"/", "test/") ||
			slices.ContainsFunc(parsed.Imports, func(s *ast.ImportSpec) bool { return s.Path.Value == `"testing"` })
		for _, spec := range parsed.Imports {
			imported, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				return err
			}
			to, ok := strings.CutPrefix(imported, module+"/")
			if !ok {
				continue
			}
			if why := forbidden(from, to, test); why != "" {
				t.Errorf("%s imports %s: %s", file, to, why)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if files < 20 {
		t.Errorf("only %d Go files were looked at; the walk is broken", files)
	}
}

// TestSmallProgramStaysSmall proves that digestgate links none of the packages
// with which Trivy analyses images (DESIGN.md §3). The list comes from the go
// command; the test above reads every source of the project, so that a cached
// result of this package never outlives a changed import.
func TestSmallProgramStaysSmall(t *testing.T) {
	cmd := exec.Command("go", "list", "-deps", "./cmd/digestgate")
	cmd.Dir = ".."
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	deps := strings.Fields(string(out))
	if len(deps) < 100 {
		t.Fatalf("go list names only %d packages", len(deps))
	}
	for _, dep := range deps {
		if strings.HasPrefix(dep, module) && strings.HasSuffix(dep, "test") {
			t.Errorf("digestgate links %s, which is for tests", dep)
		}
		sub, ok := strings.CutPrefix(dep, "github.com/aquasecurity/trivy/")
		if !ok {
			continue
		}
		for _, heavy := range []string{"pkg/fanal/artifact", "pkg/fanal/analyzer", "pkg/fanal/image", "pkg/fanal/applier", "pkg/scan/local", "pkg/commands", "pkg/cache"} {
			// pkg/fanal/image/name only parses references.
			if sub == heavy || (strings.HasPrefix(sub, heavy+"/") && sub != "pkg/fanal/image/name") {
				t.Errorf("digestgate links %s", dep)
			}
		}
		if sub == "pkg/report" {
			t.Errorf("digestgate links %s", dep)
		}
	}
}

// TestAnalyzerLinksParsers: the child links what reads the files of an image and no
// client of anything. Their initialisation would cost each child, and so each small
// layer, more than its analysis.
func TestAnalyzerLinksParsers(t *testing.T) {
	cmd := exec.Command("go", "list", "-deps", "./cmd/digestgate-analyzer")
	cmd.Dir = ".."
	cmd.Env = append(os.Environ(), "GOEXPERIMENT=jsonv2", "CGO_ENABLED=0")
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	others := 0
	for _, dep := range strings.Fields(string(out)) {
		if first, _, _ := strings.Cut(dep, "/"); strings.Contains(first, ".") {
			others++
		}
		for _, client := range []string{"k8s.io/client-go", "github.com/aws/", "cloud.google.com/", "google.golang.org/grpc", "helm.sh/",
			"github.com/open-policy-agent/", "github.com/containerd/containerd", "github.com/aquasecurity/trivy/pkg/iac", "github.com/aquasecurity/trivy/pkg/misconf"} {
			if strings.HasPrefix(dep, client) {
				t.Errorf("digestgate-analyzer links %s", dep)
			}
		}
	}
	if others < 100 || others > 300 {
		t.Errorf("digestgate-analyzer links %d packages that are not of Go's library; 246 are known to be needed", others)
	}
}

// TestWordsStaySmall: gate stands on the standard library and a few parsers, so that
// the child that parses hostile bytes, which links it, links no more of other people's
// code for it.
func TestWordsStaySmall(t *testing.T) {
	allowed := map[string]bool{
		"github.com/bmatcuk/doublestar/v4": true, "github.com/distribution/reference": true,
		"github.com/opencontainers/go-digest": true, "github.com/dustin/go-humanize": true,
	}
	for _, pkg := range []string{"./gate", "./scanner/analyzer/child"} {
		cmd := exec.Command("go", "list", "-deps", "-f", "{{with .Module}}{{.Path}}{{end}}", pkg)
		cmd.Dir = ".."
		cmd.Env = append(os.Environ(), "GOEXPERIMENT=jsonv2", "CGO_ENABLED=0")
		cmd.Stderr = os.Stderr
		out, err := cmd.Output()
		if err != nil {
			t.Fatalf("go list %s: %v", pkg, err)
		}
		modules := strings.Fields(string(out))
		if len(modules) == 0 {
			t.Fatalf("go list names no module of %s", pkg)
		}
		for _, m := range modules {
			switch {
			case m == "github.com/prometheus/client_golang", strings.HasPrefix(m, "github.com/maypok86/otter"):
				t.Errorf("%s links %s", pkg, m)
			case pkg == "./gate" && m != module && !allowed[m]:
				t.Errorf("gate links %s", m)
			}
		}
	}
}
