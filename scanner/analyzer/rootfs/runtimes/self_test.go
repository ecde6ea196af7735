package runtimes

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// The tests in this file are of the test bench itself.

func TestDrawnStacks(t *testing.T) {
	for n := range 300 {
		s := Draw(7, n)
		if diff := cmp.Diff(s, Draw(7, n)); diff != "" {
			t.Fatalf("stack %d is drawn differently (-first +second):\n%s", n, diff)
		}
		read, err := Parse(s.String())
		if err != nil {
			t.Fatalf("stack %d: %v\n%s", n, err, s)
		}
		if diff := cmp.Diff(s, read); diff != "" {
			t.Fatalf("stack %d is read differently (-drawn +read):\n%s", n, diff)
		}
	}
}

// TestCompareNotices spoils a judgement: a property that cannot fail proves
// nothing.
func TestCompareNotices(t *testing.T) {
	parse := func(text string) Stack {
		t.Helper()
		s, err := Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	plain := parse("layer\n file a\n file d/x\n symlink l -> d\nlayer\n file a")
	shown := func(s Stack) (out map[string]Shown) {
		t.Helper()
		archives, err := s.Archives()
		if err != nil {
			t.Fatal(err)
		}
		if err := With(func(b *Bench) (err error) { out, err = b.show(s, archives); return err }); err != nil {
			t.Fatal(err)
		}
		return out
	}
	judged := func(s Stack) Judgement {
		t.Helper()
		archives, err := s.Archives()
		if err != nil {
			t.Fatal(err)
		}
		j, err := Judge(archives)
		if err != nil {
			t.Fatal(err)
		}
		return j
	}
	tests := map[string]struct {
		stack Stack
		judge Judgement
		want  []string // beginnings of the violations
	}{
		"right":              {plain, judged(plain), nil},
		"a_file_is_missing":  {plain, judged(parse("layer\n file x\n file y\n symlink l -> d\nlayer\n file a")), []string{"missing: file d/x", "too much: file x", "too much: file y", "missing: opening d/x", "missing: opening l/x"}},
		"another_content":    {plain, judged(parse("layer\n file a\n file d/x\n symlink l -> d")), []string{"missing: file a with content 1.0", "too much: file a with content 0.0", "missing: opening a", "too much: opening a"}},
		"a_link_is_missing":  {plain, judged(parse("layer\n file a\n file d/x\nlayer\n file a")), []string{"missing: opening l/x"}},
		"without_reason":     {plain, Judgement{Unassessable: "why"}, []string{"all rigs show the same"}},
		"runtimes_differ":    {parse("layer\n file a\nlayer\n file .wh..wh..opq"), Judgement{Unassessable: "why"}, nil},
		"nobody_unpacks_it":  {parse("layer\n file a\n link b -> c"), judged(plain), nil},
		"removed_everywhere": {parse("layer\n file a\nlayer\n file .wh.a"), judged(parse("layer\n file a")), []string{"too much: file a"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got := Compare(tt.stack, shown(tt.stack), nil, tt.judge)
			match := slices.EqualFunc(tt.want, got, func(want, got string) bool { return strings.HasPrefix(got, want) })
			if !match {
				t.Errorf("got %q, want those that begin with %q", got, tt.want)
			}
		})
	}
}

// TestShrink: a counter-example keeps what makes it one.
func TestShrink(t *testing.T) {
	var found Stack
	for n := 0; found == nil; n++ {
		if s := Draw(3, n); hasLink(s) && len(s) > 2 {
			found = s
		}
	}
	small := Shrink(found, func(s Stack) bool { return hasLink(s) })
	if len(small) != 1 || len(small[0]) != 1 || !hasLink(small) {
		t.Errorf("got\n%sof\n%s", small, found)
	}
}

// hasLink says whether a stack has a hard link.
func hasLink(s Stack) bool {
	return slices.ContainsFunc(s, func(l Layer) bool { return slices.ContainsFunc(l, func(e Entry) bool { return e.Type == '1' }) })
}
