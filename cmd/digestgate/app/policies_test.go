package app

import (
	"os"
	"path/filepath"
	"testing"
)

// Two policies: under the second nothing may run.
const (
	some = `package digestgate

deny contains {"rule": "fixable-critical", "msg": v.id} if {
	some v in input.findings.vulnerabilities
	v.severity == "CRITICAL"
	v.fixedVersion != ""
}
`
	all = some + "\ndeny contains {\"rule\": \"all\", \"msg\": \"nothing may run\"}\n"
)

// TestPoliciesOfOneProcess: on SQLite the files are in force, whatever was.
func TestPoliciesOfOneProcess(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "policy.rego")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	start := func() *App {
		t.Helper()
		return bareApp(t, func(c *Config) {
			c.DataDir, c.Store.URL = dir, "sqlite://"+filepath.Join(dir, "store.db")
			c.Roles, c.Policy.Paths = []string{RoleAdmission, roleScheduler}, []string{file}
		})
	}
	write(some)
	a := start()
	revisions := map[string]string{some: a.policies.Revision()}
	for i, step := range []struct {
		text    string
		restart bool
	}{{all, false}, {some, true}, {all, true}, {some, false}, {some, true}} {
		write(step.text)
		if step.restart {
			if err := a.Close(); err != nil {
				t.Fatal(err)
			}
			a = start()
		} else if err := a.policies.Reload(t.Context()); err != nil {
			t.Fatal(err)
		}
		st := a.policies.Status()
		if want, ok := revisions[step.text]; ok && want != st.Revision {
			t.Errorf("step %d: revision %s, want %s", i, st.Revision, want)
		}
		revisions[step.text] = st.Revision
		if want := int64(min(i+2, 5)); st.Activation != want || st.Differs != "" {
			t.Errorf("step %d: activation %d, want %d; differs %q", i, st.Activation, want, st.Differs)
		}
	}
	if len(revisions) != 2 || revisions[some] == revisions[all] {
		t.Errorf("revisions: %v", revisions)
	}
	if _, err := os.Stat(filepath.Join(dir, "policies")); err == nil {
		t.Error("what is in force is remembered beside the store of one process")
	}
}
