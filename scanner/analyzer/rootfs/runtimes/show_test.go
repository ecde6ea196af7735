package runtimes

import (
	"flag"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
)

var showFlag = flag.String("show", "", "a file with stacks of layers, blank lines between them: print what each rig shows of them")

// TestShow prints what the rigs show; it is a tool to look at a stack by hand.
func TestShow(t *testing.T) {
	if *showFlag == "" {
		t.Skip("no -show")
	}
	text, err := os.ReadFile(*showFlag)
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range strings.Split(string(text), "\n\n") {
		s, err := Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		archives, err := s.Archives()
		if err != nil {
			t.Fatal(err)
		}
		err = With(func(b *Bench) error {
			shown, err := b.show(s, archives)
			t.Logf("%s\n%s", text, table(shown))
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

// table writes what rigs show, those that show the same together.
func table(shown map[string]Shown) string {
	rigs := map[string][]string{}
	for _, name := range slices.Sorted(maps.Keys(shown)) {
		text := describe(shown[name])
		rigs[text] = append(rigs[text], name)
	}
	var out []string
	for text, names := range rigs {
		out = append(out, strings.Join(names, ", ")+":\n"+text)
	}
	slices.Sort(out)
	return strings.Join(out, "")
}

func describe(s Shown) string {
	if s.Refused != nil {
		return fmt.Sprintf("    refused: %v\n", s.Refused)
	}
	var b strings.Builder
	for _, p := range slices.Sorted(maps.Keys(s.Nodes)) {
		fmt.Fprintf(&b, "    %s %s %s\n", word(p), s.Nodes[p].Kind, s.Nodes[p].Text)
	}
	for _, p := range slices.Sorted(maps.Keys(s.Reached)) {
		if s.Nodes[p].Kind != File {
			fmt.Fprintf(&b, "    %s reaches %s\n", word(p), s.Reached[p])
		}
	}
	return b.String()
}
