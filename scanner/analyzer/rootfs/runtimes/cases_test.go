package runtimes

import (
	"flag"
	"os"
	"path/filepath"
	"testing"
)

var updateFlag = flag.Bool("update", false, "write what the rigs show into testdata/cases")

// TestCases runs every case that once was answered wrongly, and those of the
// kinds that the rules are about.
func TestCases(t *testing.T) {
	files, err := filepath.Glob("testdata/cases/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("got %d cases, %v", len(files), err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) { testCase(t, file) })
	}
}

func testCase(t *testing.T, file string) {
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	c, err := ParseCase(string(text))
	if err != nil {
		t.Fatal(err)
	}
	var o outcome
	if err := With(func(b *Bench) (err error) { o, err = b.try(c.Stack); return err }); err != nil {
		t.Fatal(err)
	}
	for _, v := range o.violations {
		t.Errorf("%s\n%s", v, table(o.shown))
	}
	want := c.record(o.shown).String()
	if want == string(text) {
		return
	}
	if *updateFlag {
		if err := os.WriteFile(file, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	t.Errorf("the rigs show something else than is written; with -update this gets written:\n%s\n%s", want, table(o.shown))
}
