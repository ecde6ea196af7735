package analyzer_test

import (
	"archive/tar"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/digestgate/digestgate/gate"
)

// tree reads a recorded tree: lines "-- path --", each followed by the file.
func tree(t *testing.T, name string) []entry {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join("testdata", "trees", name+".txt"))
	if err != nil {
		t.Fatal(err)
	}
	var out []entry
	for line := range strings.Lines(string(raw)) {
		if path, ok := strings.CutPrefix(strings.TrimSpace(line), "-- "); ok && strings.HasSuffix(path, " --") {
			out = append(out, file(strings.TrimSuffix(path, " --"), ""))
		} else if len(out) > 0 {
			out[len(out)-1].body += line
		}
	}
	return out
}

// fromStore is the same tree as pnpm leaves it in a layer when its store comes
// first in the archive: each file is a hard link into the store.
func fromStore(files []entry) []entry {
	var out []entry
	for i, f := range files {
		stored := "pnpm/store/v3/files/00/" + string(rune('a'+i/26)) + string(rune('a'+i%26))
		out = append(out, file(stored, f.body))
		files[i] = entry{name: f.name, kind: tar.TypeLink, link: stored}
	}
	return append(out, files...)
}

// TestRealTrees: what package managers really install is found, and is complete.
func TestRealTrees(t *testing.T) {
	npm := []string{
		"node-pkg:@angular/core@16.2.12", "node-pkg:@babel/runtime@7.22.5", "node-pkg:@babel/runtime@7.29.15", "node-pkg:lodash@4.17.20", "node-pkg:rxjs@6.6.7",
		"node-pkg:base-64@1.0.0", "node-pkg:tslib@2.8.1", "node-pkg:preact@", "node-pkg:npm@", "node-pkg:tar@",
	}
	few := []string{"node-pkg:@babel/runtime@7.22.5", "node-pkg:@babel/runtime@7.29.15", "node-pkg:lodash@4.17.20", "node-pkg:rxjs@6.6.7"}
	tests := map[string]struct {
		files []entry
		want  []string // among what is found; ends with "@" for any version
		not   []string
		gaps  []string
	}{
		"npm":               {files: tree(t, "npm"), want: npm, not: []string{"node-pkg:rxjs/ajax@", "node-pkg:zod@", "node-pkg:.prisma/client@"}},
		"pnpm":              {files: tree(t, "pnpm"), want: few},
		"pnpm_from_store":   {files: fromStore(tree(t, "pnpm")), want: few},
		"yarn_classic":      {files: tree(t, "yarn-classic"), want: few},
		"yarn_node_modules": {files: tree(t, "yarn-node-modules"), want: few},
		"yarn_pnpm":         {files: tree(t, "yarn-pnpm"), want: []string{"node-pkg:@babel/runtime@7.29.15", "node-pkg:lodash@4.17.20", "node-pkg:rxjs@6.6.7"}, not: []string{"node-pkg:fsevents@"}},
		"yarn_pnp":          {files: tree(t, "yarn-pnp"), want: []string{"node-pkg:node-gyp@13.1.0"}, gaps: []string{"yarn-plug-and-play app/.pnp.cjs"}},
		"python":            {files: tree(t, "python"), want: []string{"python-pkg:Flask@3.1.3", "python-pkg:pip@23.0.1", "python-pkg:setuptools@66.1.1", "python-pkg:cryptography@48.0.0"}},
		"ruby":              {files: tree(t, "ruby"), want: []string{"gemspec:rake@13.0.6", "gemspec:json@2.6.1", "gemspec:rbs@2.1.0", "gemspec:demo@1.2.3", "gemspec:bundler@2.3.15"}},
	}
	src := &source{}
	a := withRealChild(t, src, nil)
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			inv := analyze(t, a, src.add([]layer{tarLayer(t, tt.files...)}, nil))
			found := names(inv)
			has := func(want string) bool {
				return slices.ContainsFunc(found, func(s string) bool { return s == want || strings.HasSuffix(want, "@") && strings.HasPrefix(s, want) })
			}
			for _, p := range tt.want {
				if !has(p) {
					t.Errorf("%s is not among %q", p, found)
				}
			}
			for _, p := range tt.not {
				if has(p) {
					t.Errorf("%s is no package", p)
				}
			}
			if diff := cmp.Diff(tt.gaps, gaps(inv)); diff != "" {
				t.Errorf("gaps (-want +got):\n%s", diff)
			}
			if got := inv.Risks[gate.RiskVulnerabilities]; tt.gaps == nil && got.Coverage != gate.Complete {
				t.Errorf("vulnerabilities are %+v", got)
			}
		})
	}
}
