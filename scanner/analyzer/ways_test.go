package analyzer

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// TestWays: each way of starting a child isolates it where it is permitted, not
// only the strongest one that New would choose here.
func TestWays(t *testing.T) {
	child := os.Getenv("DIGESTGATE_ANALYZER")
	if child == "" {
		t.Skip("needs DIGESTGATE_ANALYZER; the chosen way is tested by TestRealIsolation")
	}
	child, err := filepath.Abs(child)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	secret := filepath.Join(dir, "secret")
	if err := os.WriteFile(secret, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	// As in a deployment: the directory of the data is not passable to others,
	// but the children's is below it.
	work, err := openWorkDir(filepath.Join(dir, "analysis"))
	if err != nil {
		t.Fatal(err)
	}
	defer work.close()
	for name, way := range map[string]namespaces{"plain": plainSpaces, "root": rootSpaces, "user": userSpaces} {
		t.Run(name, func(t *testing.T) {
			l := &launcher{path: child, dir: work.path, memory: Default().ChildMemory, spaces: way}
			r, set, err := l.probe(t.Context(), []string{secret})
			if way != plainSpaces && notPermitted(err) {
				t.Skipf("not permitted here: %v", err)
			}
			if err != nil {
				t.Fatal(err)
			}
			t.Logf("set %s, missing %q", set, r.Missing)
			if len(r.Reached) > 0 {
				t.Errorf("the child could %q", r.Reached)
			}
			if slices.Contains(r.Missing, spacesMissing) != (way == plainSpaces) {
				t.Errorf("missing: %q", r.Missing)
			}
		})
	}
}
