package policy

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/digestgate/digestgate/gate"
)

func TestRead(t *testing.T) {
	dir := t.TempDir()
	// A ConfigMap as kubelet mounts it.
	mount := filepath.Join(dir, "mount")
	data := filepath.Join(mount, "..2026_11_02")
	for _, d := range []string{data, filepath.Join(dir, "sub", "deep"), filepath.Join(dir, ".git")} {
		if err := os.MkdirAll(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for name, text := range map[string]string{
		filepath.Join(data, "a.rego"):                 "a",
		filepath.Join(dir, "sub", "deep", "b.rego"):   "b",
		filepath.Join(dir, "sub", "c_test.rego"):      "c",
		filepath.Join(dir, "sub", "readme.md"):        "no",
		filepath.Join(dir, ".git", "x.rego"):          "no",
		filepath.Join(dir, "sub", ".b.rego.swp.rego"): "no",
	} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for link, target := range map[string]string{"..data": "..2026_11_02", "a.rego": "..data/a.rego"} {
		if err := os.Symlink(target, filepath.Join(mount, link)); err != nil {
			t.Fatal(err)
		}
	}
	files, err := Read([]string{dir, filepath.Join(dir, "sub", "deep", "b.rego")})
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for _, f := range files {
		got[strings.TrimPrefix(f.Name, filepath.ToSlash(dir)+"/")] = f.Text
	}
	want := map[string]string{"mount/a.rego": "a", "sub/deep/b.rego": "b", "sub/c_test.rego": "c"}
	if diff := cmp.Diff(want, got); diff != "" || len(files) != 3 {
		t.Errorf("%d files; want (-), got (+):\n%s", len(files), diff)
	}
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(dir, link); err != nil {
		t.Fatal(err)
	}
	if linked, err := Read([]string{link}); err != nil || len(linked) != 3 {
		t.Errorf("link to a directory: %d files, %v", len(linked), err)
	}
	if n := len(live(files)); n != 2 {
		t.Errorf("%d files without tests, want 2", n)
	}
}

func TestReadIsBounded(t *testing.T) {
	dir := t.TempDir()
	big := filepath.Join(dir, "big.rego")
	if err := os.WriteFile(big, make([]byte, maxFileBytes+1), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Read([]string{big}); !errors.Is(err, gate.ErrTooLarge) {
		t.Errorf("large file: got %v, want gate.ErrTooLarge", err)
	}
	many := t.TempDir()
	for i := range 9 {
		write(t, many, File{Name: strings.Repeat("x", i+1) + ".rego", Text: strings.Repeat("#", maxFileBytes)})
	}
	if _, err := Read([]string{many}); !errors.Is(err, gate.ErrTooLarge) {
		t.Errorf("large set: got %v, want gate.ErrTooLarge", err)
	}
}

func TestWriteStarter(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "policies")
	names, err := WriteStarter(dir)
	if err != nil || len(names) != len(Starter()) {
		t.Fatalf("got %v, %v", names, err)
	}
	files, err := Read([]string{dir})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Compile(files); err != nil {
		t.Error(err)
	}
	if err := os.WriteFile(names[0], []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := WriteStarter(dir); !errors.Is(err, gate.ErrInvalid) {
		t.Errorf("second time: got %v, want gate.ErrInvalid", err)
	}
	if data, _ := os.ReadFile(names[0]); string(data) != "mine" {
		t.Error("a file was overwritten")
	}
}

func TestConfigValidate(t *testing.T) {
	if err := Default().Validate(); err != nil {
		t.Errorf("Default: %v", err)
	}
	bad := Config{
		Paths: []string{" "}, Bundles: []string{"x"}, Data: "x", Exceptions: "x",
		AllowIncomplete: []string{
			"secrets", "packageDatabase", "distributionRelease", "vulnerabilities/jar-without-coordinates", "secrets/unreadable-file",
			"vulnerabilities:opt/vendor/**", "secrets:/srv/a:b/*", // these are possible
			"everything", "malware", "malware/unreadable-file", "vulnerabilities/jar", "secrets/jar-without-coordinates", "vulnerabilities/opt/vendor/**",
			"vulnerabilities:", "vulnerabilities:/", "vulnerabilities:[", "everything:x", "packageDatabase:x", "", "Secrets",
		},
	}
	err := bad.Validate()
	if !errors.Is(err, gate.ErrInvalid) {
		t.Fatalf("got %v, want gate.ErrInvalid", err)
	}
	lines := strings.Split(err.Error(), "\n")
	for i, want := range []string{
		"policy.paths[0]: ", "policy.bundles: not supported yet", "policy.data: not supported yet",
		"policy.exceptions: not supported yet", `policy.allowIncomplete[7]: "everything" is not one of vulnerabilities, secrets, packageDatabase, distributionRelease, nor`,
		`policy.allowIncomplete[8]: "malware" names a risk that is not supported by this version yet`,
		`policy.allowIncomplete[9]: "malware/unreadable-file" names a risk that is not supported by this version yet`,
		`policy.allowIncomplete[10]: "vulnerabilities/jar" names no kind of gap of vulnerabilities; the kinds are unreadable-file, `,
		`policy.allowIncomplete[11]: "secrets/jar-without-coordinates" names no kind of gap of secrets; the kinds are unreadable-file, too-large-file, analyzer-failed;`,
		`policy.allowIncomplete[12]: "vulnerabilities/opt/vendor/**" names no kind`,
		`policy.allowIncomplete[13]: "vulnerabilities:" has no valid pattern`, `policy.allowIncomplete[14]: "vulnerabilities:/" has no valid pattern`,
		`policy.allowIncomplete[15]: "vulnerabilities:[" has no valid pattern`, `policy.allowIncomplete[16]: "everything:x" is not one of`,
		`policy.allowIncomplete[17]: "packageDatabase:x" is not one of`, `policy.allowIncomplete[18]: "" is not one of`,
		`policy.allowIncomplete[19]: "Secrets" is not one of`,
	} {
		if i >= len(lines) || !strings.HasPrefix(lines[i], want) {
			t.Errorf("line %d: got %q, want %q", i, lines, want)
		}
	}
	if len(lines) != 17 {
		t.Errorf("got %d problems, want 17:\n%v", len(lines), err)
	}
}
