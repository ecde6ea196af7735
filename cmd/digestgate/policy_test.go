package main

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/digestgate/digestgate/cmd/digestgate/app"
	"github.com/digestgate/digestgate/cmd/digestgate/local"
	"github.com/digestgate/digestgate/cmd/digestgate/show"
)

// runPolicy runs `digestgate policy …`.
func runPolicy(t *testing.T, stdin []byte, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	cmd := local.NewPolicyCommand(&app.Options{})
	cmd.SilenceErrors, cmd.SilenceUsage = true, true
	cmd.SetArgs(args)
	cmd.SetIn(bytes.NewReader(stdin))
	cmd.SetOut(&out)
	cmd.SetErr(&errs)
	err := cmd.ExecuteContext(context.Background())
	if err != nil {
		errs.WriteString(err.Error())
	}
	return show.ExitCode(err), out.String(), errs.String()
}

func TestPolicyCommands(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "policies")
	code, out, errs := runPolicy(t, nil, "init", dir)
	if code != 0 || strings.Count(out, "\n") < 8 {
		t.Fatalf("init: got %d %q %q", code, out, errs)
	}
	if code, _, errs = runPolicy(t, nil, "init", dir); code != 1 || !strings.Contains(errs, "exists already") {
		t.Errorf("init again: got %d %q", code, errs)
	}
	if code, out, errs = runPolicy(t, nil, "test", dir); code != 0 || !strings.Contains(out, " passed, 0 failed") {
		t.Errorf("test: got %d %q %q", code, out, errs)
	}
	_, input, note := runPolicy(t, nil, "input")
	if !strings.Contains(note, "not filled by this version") || !strings.Contains(note, "input.findings.malware") || strings.Contains(input, "metadata.name") {
		t.Errorf("input: the note is %q", note)
	}
	if code, out, errs = runPolicy(t, []byte(input), "eval", "--input", "-", dir); code != 2 || !strings.Contains(out, `"decision": "deny"`) {
		t.Errorf("eval of the sample: got %d %q %q", code, out, errs)
	}
	lenient := filepath.Join(t.TempDir(), "lenient.rego")
	if err := os.WriteFile(lenient, []byte("package digestgate\n\nwarn contains \"careful\" if {\n\tprint(\"seen\", input.image.digest)\n\tinput.image.size > 0\n}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	code, out, errs = runPolicy(t, []byte(input), "eval", "--input", "-", lenient)
	if code != 0 || !strings.Contains(out, `"decision": "warn"`) || !strings.Contains(errs, "seen sha256:") {
		t.Errorf("eval with a warning: got %d %q %q", code, out, errs)
	}
	if code, _, errs = runPolicy(t, []byte("{}"), "eval", "--input", "-", dir); code != 1 || !strings.Contains(errs, "missing propert") {
		t.Errorf("eval of an incomplete input: got %d %q", code, errs)
	}
	if code, out, _ = runPolicy(t, nil, "schema"); code != 0 || !strings.Contains(out, "json-schema.org") {
		t.Errorf("schema: got %d %q", code, out)
	}
}

func TestPolicyTestFails(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"a.rego":      "package digestgate\n\ndeny contains \"x\" if input.image.size > 5\n",
		"a_test.rego": "package digestgate_test\n\nimport data.digestgate.deny\n\ntest_wrong if {\n\tprint(\"here\")\n\tcount(deny) == 7 with input as {}\n}\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	code, out, _ := runPolicy(t, nil, "test", dir)
	if code != 1 || !strings.Contains(out, "a_test.rego:5: digestgate_test.test_wrong") || !strings.Contains(out, "    here") || !strings.Contains(out, "0 passed, 1 failed") ||
		!strings.Contains(out, "line 7 does not hold: count(deny) == 7") || !strings.Contains(out, "    input: {}") {
		t.Errorf("got %d %q", code, out)
	}
	if err := os.WriteFile(filepath.Join(dir, "a.rego"), []byte("package digestgate\n\ndeny contains \"x\" if input.nonsense\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if code, _, errs := runPolicy(t, nil, "test", dir); code != 1 || !strings.Contains(errs, "a.rego:3:") {
		t.Errorf("broken set: got %d %q", code, errs)
	}
}

func TestPolicyTestThatSkipsEverything(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"a.rego":      "package digestgate\n\ndeny contains \"x\" if input.image.size > 5\n",
		"a_test.rego": "package digestgate_test\n\ntodo_test_later if false\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	code, out, errs := runPolicy(t, nil, "test", dir)
	if code != 1 || !strings.Contains(out, "0 passed, 0 failed, 1 skipped") || !strings.Contains(errs, "nothing was tested") {
		t.Errorf("got %d %q %q", code, out, errs)
	}
}

func TestExitCode(t *testing.T) {
	if got := show.ExitCode(nil); got != 0 {
		t.Errorf("no error: got %d", got)
	}
	if got := show.ExitCode(os.ErrNotExist); got != 1 {
		t.Errorf("an error: got %d", got)
	}
	if got := show.ExitCode(show.ExitError{Code: show.ExitNoVerdict}); got != 3 {
		t.Errorf("exitError: got %d", got)
	}
}
