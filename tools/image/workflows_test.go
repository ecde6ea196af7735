package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestWorkflows: an action is named by its commit, because a tag can be moved, and a make
// target that a workflow needs exists.
func TestWorkflows(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("../../.github/workflows/*.yml")
	if err != nil || len(files) < 2 {
		t.Fatalf("got %q, %v, want the workflows", files, err)
	}
	makefile, err := os.ReadFile("../../Makefile")
	if err != nil {
		t.Fatal(err)
	}
	pinned := regexp.MustCompile(`^[\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+$`)
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		used := regexp.MustCompile(`(?m)uses: (.*)$`).FindAllStringSubmatch(string(text), -1)
		if len(used) == 0 {
			t.Errorf("%s uses no action", file)
		}
		for _, m := range used {
			if !pinned.MatchString(m[1]) {
				t.Errorf("%s: %q is not an action by its commit with its version in a comment", file, m[1])
			}
		}
		for _, m := range regexp.MustCompile(`\bmake ([a-z-]+)`).FindAllStringSubmatch(string(text), -1) {
			if !strings.Contains(string(makefile), "\n"+m[1]+": ") {
				t.Errorf("%s runs make %s, which the Makefile does not have", file, m[1])
			}
		}
		if !strings.Contains(string(text), "\npermissions:\n  contents: read\n") {
			t.Errorf("%s does not begin with the least permissions", file)
		}
	}
}
