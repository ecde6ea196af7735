package policy

import (
	"math/rand/v2"
	"regexp/syntax"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"github.com/gobwas/glob"
)

// pick joins up to n random pieces.
func pick(random *rand.Rand, n int, pieces ...string) string {
	var b strings.Builder
	for range random.IntN(n + 1) {
		b.WriteString(pieces[random.IntN(len(pieces))])
	}
	return b.String()
}

func seeded(t *testing.T) *rand.Rand {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	return rand.New(rand.NewPCG(seed, 1))
}

// TestGlobsMeanTheSame compares with the library behind OPA's glob.match.
func TestGlobsMeanTheSame(t *testing.T) {
	random := seeded(t)
	pieces := []string{"a", "b", "é", ".", "/", "*", "**", "?", "[", "]", "{", "}", ",", "\\", "!", "-", "[ab]", "[!a]", "[a-c]", "[!b-é]", "{a,b}", "{a*,**b}", "{,a}", "^", "$", "(", "|", "\n"}
	valid, matched := 0, 0
	for range 20_000 {
		pattern := pick(random, 6, pieces...)
		var delimiters []rune
		switch random.IntN(3) {
		case 1:
			delimiters = []rune{'.'}
		case 2:
			delimiters = []rune{'/', '.', 'é', ']', '^', '-'}
		}
		known := readGlob(pattern, delimiters)
		other, err := glob.Compile(pattern, delimiters...)
		if (err != nil) != (known.err != nil) {
			t.Fatalf("%q: got error %v, the library %v", pattern, known.err, err)
		}
		if err != nil {
			continue
		}
		valid++
		for range 5 {
			text := pick(random, 6, "a", "b", "c", "é", ".", "/", "*", "[", "\n", "-", ",")
			if want := other.Match(text); known.re.MatchString(text) != want {
				t.Errorf("%q with %q on %q: got %t, the library %t (%s)", pattern, string(delimiters), text, !want, want, known.re)
			} else if want {
				matched++
			}
		}
	}
	if valid < 5000 || matched < 2000 {
		t.Errorf("only %d valid patterns and %d matches", valid, matched)
	}
}

// TestProgramSizeIsABound compares with what package regexp compiles.
func TestProgramSizeIsABound(t *testing.T) {
	random := seeded(t)
	pieces := []string{"a", "é", "ab", ".", "[a-z]", "[^a]", "(", ")", "(?:", "|", "*", "+", "?", "{2}", "{3,}", "{0,5}", "{10}", "^", "$", `\b`, `\pL`, "(?i)", "*?", "()"}
	checked := 0
	for range 20_000 {
		text := pick(random, 10, pieces...)
		tree, err := syntax.Parse(text, syntax.Perl)
		if err != nil {
			continue
		}
		size := programSize(tree)
		program, err := syntax.Compile(tree.Simplify())
		if err != nil {
			t.Fatal(err)
		}
		checked++
		if int64(len(program.Inst)) > size+3 { // the match, the failure, and the search for a beginning
			t.Errorf("%q has %d instructions, we say %d", text, len(program.Inst), size)
		}
		if size > 40*int64(len(program.Inst)) {
			t.Errorf("%q has %d instructions, we say %d, which refuses far too much", text, len(program.Inst), size)
		}
	}
	if checked < 1000 {
		t.Errorf("only %d patterns", checked)
	}
}

// TestPatternsAreBounded: by what they and their programs take.
func TestPatternsAreBounded(t *testing.T) {
	heap := func() int64 {
		runtime.GC()
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return int64(m.HeapAlloc)
	}
	for name, pattern := range map[string]string{
		"long_texts":     strings.Repeat("x", maxPattern-10),
		"long_alternate": strings.Repeat("ab?c|", 2_000),
		"repetitions":    "(?:abcdefgh){900}",
		"too_long":       strings.Repeat("x", 32<<20),
	} {
		t.Run(name, func(t *testing.T) {
			before := heap()
			p := newPatterns()
			for i := range 30 {
				_ = p.searchAll(t.Context(), pattern+strconv.Itoa(i), strings.Repeat("y", 3_000))
			}
			grown := heap() - before
			t.Logf("%d patterns say %d KiB, the heap grew by %d", len(p.known), p.bytes>>10, grown>>10)
			if p.bytes > maxPatternBytes || grown > 2*maxPatternBytes || grown > 2*p.bytes+(1<<20) {
				t.Errorf("%d patterns say %d bytes, and the heap grew by %d", len(p.known), p.bytes, grown)
			}
		})
	}
}
