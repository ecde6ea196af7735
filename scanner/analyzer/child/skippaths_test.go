//go:build goexperiment.jsonv2

package child

import (
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/bmatcuk/doublestar/v4"
	"github.com/digestgate/digestgate/scanner/analyzer/child/trivy/secret"

	"github.com/digestgate/digestgate/scanner/analyzer"
)

// The words of which paths are made.
var (
	pathDirs = strings.Fields(`usr share lib include local go python3.11 python vendor test Tests my-test foo.test attest latest a_TEST example examples counterexample
		locale locales node_modules .git a.dist-info opt yarn-v1.22 src wordpress var log anaconda gems etc app vendored sharex usr2 x.md`)
	pathFiles = strings.Fields(`README.md a.MD x.jpg a.png go.mod go.sum go.sums yarn.lock x.tar.gz key.pem settings.xml conf test.txt testing x_test.go contest.txt best-test
		an-example.yaml .bin .md a.tar.xz`)
)

func somePath(r *rand.Rand) string {
	var parts []string
	for range r.IntN(5) {
		parts = append(parts, pathDirs[r.IntN(len(pathDirs))])
	}
	return strings.Join(append(parts, pathFiles[r.IntN(len(pathFiles))]), "/")
}

// TestDefaultSkipPaths: the default leaves out what Trivy's built-in rules and
// patterns leave out by path, no more and no less.
func TestDefaultSkipPaths(t *testing.T) {
	seed := rand.Uint64()
	r := rand.New(rand.NewPCG(seed, 0))
	patterns := skipPaths(analyzer.DefaultSkipPaths())
	trivy := secret.NewScanner(&secret.Config{})
	skipped := 0
	for range 200_000 {
		name := somePath(r)
		// Trivy looks at paths with and without a leading slash.
		want := trivy.IsSkipped(name) || trivy.AllowPath(name) || trivy.AllowPath("/"+name)
		if got := firstMatch(patterns, name); (got != "") != want {
			t.Fatalf("seed %d: %q: skipped by %q, Trivy skips it: %t", seed, name, got, want)
		}
		if want {
			skipped++
		}
	}
	if skipped < 1000 || skipped > 199_000 {
		t.Errorf("%d of 200000 paths are skipped, which proves little", skipped)
	}
}

// TestMatcher_is_doublestar: the fast ways match as the slow one does.
func TestMatcher_is_doublestar(t *testing.T) {
	patterns := append(analyzer.DefaultSkipPaths(), "**", "**/**", "a/**", "/**", "**/", "*/**", "**/a*/**", "**/*/**", "**/**/x", "**/a/b", "**/a/b/**", "**/go*", "**/*a*",
		"usr/**/share", "usr/*/share", "**/{go.mod,go.sum}", "**/test?", "app", "**/.*", "**/*", "*.md", "usr/share", "**/**test*/**", "**/[a-z]*.md", "**/[^t]est*", "**/*.[mM][dD]", "**/[tT]est\\.txt", "usr/*/p[y]thon*/**", "**/[!a]*")
	seed := rand.Uint64()
	r := rand.New(rand.NewPCG(seed, 0))
	for _, p := range patterns {
		match := skipPaths([]string{p})
		for range 3000 {
			name := somePath(r)
			if r.IntN(4) == 0 {
				name = strings.TrimSuffix(name, "/"+pathFiles[0])
				name = name[:max(1, strings.LastIndexByte(name, '/'))]
			}
			want, err := doublestar.Match(strings.TrimPrefix(p, "/"), name)
			if err != nil {
				t.Fatal(err)
			}
			if got := firstMatch(match, name) != ""; got != want {
				t.Fatalf("seed %d: pattern %q, path %q: got %t, doublestar says %t", seed, p, name, got, want)
			}
		}
	}
}

// BenchmarkSkipPaths is the cost for one file, ours and that of Trivy's own
// exceptions.
func BenchmarkSkipPaths(b *testing.B) {
	const name = "opt/application/lib/some/deeper/directory/configuration.yaml"
	b.Run("default", func(b *testing.B) {
		patterns := skipPaths(analyzer.DefaultSkipPaths())
		for b.Loop() {
			firstMatch(patterns, name)
		}
	})
	b.Run("trivy", func(b *testing.B) {
		trivy := secret.NewScanner(&secret.Config{})
		for b.Loop() {
			_ = trivy.IsSkipped(name) || trivy.AllowPath(name)
		}
	})
}
