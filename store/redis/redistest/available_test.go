package redistest

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

// verdict is a test that only notes how it would have ended.
type verdict struct {
	testing.TB
	skipped, failed string
}

func (v *verdict) Helper()                           {}
func (v *verdict) Skip(args ...any)                  { v.skipped = fmt.Sprint(args...); runtime.Goexit() }
func (v *verdict) Fatal(args ...any)                 { v.failed = fmt.Sprint(args...); runtime.Goexit() }
func (v *verdict) Fatalf(format string, args ...any) { v.Fatal(fmt.Sprintf(format, args...)) }
func (v *verdict) of(f func()) *verdict {
	done := make(chan struct{})
	go func() {
		defer close(done)
		f()
	}()
	<-done
	return v
}

func TestAvailable(t *testing.T) {
	old := t.TempDir()
	must(t, os.WriteFile(filepath.Join(old, program), []byte("#!/bin/sh\necho 'Redis server v=6.0.16 sha=00000000:0 malloc=jemalloc-5.2.1 bits=64'\n"), 0o700))
	valkey := t.TempDir()
	must(t, os.WriteFile(filepath.Join(valkey, program), []byte("#!/bin/sh\necho 'Valkey server v=8.1.1 sha=00000000:0 malloc=jemalloc-5.3.0 bits=64'\n"), 0o700))
	broken := t.TempDir()
	must(t, os.WriteFile(filepath.Join(broken, program), []byte("#!/bin/sh\nexit 1\n"), 0o700))
	tests := map[string]struct {
		path, ci, named string
		skips, fails    string // "" does not
	}{
		"missing":       {path: t.TempDir(), skips: install},
		"missing_in_ci": {path: t.TempDir(), ci: "true", fails: install},
		"old":           {path: old, skips: "6.0.16"},
		"old_in_ci":     {path: old, ci: "true", fails: "6.0.16"},
		"valkey":        {path: valkey, ci: "true"},
		"broken":        {path: broken, fails: "exit status 1"},
		"named":         {path: old, named: filepath.Join(valkey, program), ci: "true"},
		"named_missing": {path: valkey, named: filepath.Join(t.TempDir(), program), fails: serverEnv},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Setenv("PATH", tt.path)
			t.Setenv("CI", tt.ci)
			t.Setenv(serverEnv, tt.named)
			requires(t, tt.skips, tt.fails)
			v := &verdict{TB: t}
			v.of(func() { Available(v) })
			if !matches(v.skipped, tt.skips) || !matches(v.failed, tt.fails) {
				t.Errorf("skipped %q, failed %q", v.skipped, v.failed)
			}
			if tt.skips+tt.fails == "" {
				return
			}
			var shared Shared
			for range 2 { // all tests, not only the first
				v = &verdict{TB: t}
				v.of(func() { shared.Cluster(v) })
				if !matches(v.skipped, tt.skips) || !matches(v.failed, tt.fails) {
					t.Errorf("shared: skipped %q, failed %q", v.skipped, v.failed)
				}
			}
			must(t, shared.end())
		})
	}
}

// counted are the tests of a package.
type counted int

func (c *counted) Run() int { *c++; return 7 }

// requires plays the TestMain of a package that is nothing without servers.
func requires(t *testing.T, skips, fails string) {
	t.Helper()
	var tests counted
	var out strings.Builder
	code := required{&tests, &out}.Run()
	// The last line is what the go command looks for, in front of its own.
	none := strings.HasSuffix(out.String(), "\ntesting: warning: no tests to run\n")
	switch {
	case fails != "":
		if code != 1 || tests != 0 || none || !strings.Contains(out.String(), fails) {
			t.Errorf("want a failure, got %d after %d runs: %s", code, tests, out.String())
		}
	case skips != "":
		if code != 0 || tests != 0 || !none || !strings.Contains(out.String(), skips) {
			t.Errorf("want no tests to run, got %d after %d runs: %s", code, tests, out.String())
		}
	case code != 7 || tests != 1 || out.Len() > 0:
		t.Errorf("want the tests, got %d after %d runs: %s", code, tests, out.String())
	}
}

// matches tells whether a text has a part, or is "" as wanted.
func matches(text, part string) bool {
	return (text == "") == (part == "") && strings.Contains(text, part)
}
