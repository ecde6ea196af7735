package policy

import (
	"context"
	"fmt"
	"regexp"
	"regexp/syntax"
	"strings"
	"sync"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/rego"
)

// One search with a regular expression (RE2, no backtracking) costs at most the
// size of its program times the length of the text, and nothing can interrupt
// it. So that product is bounded, and a search for all matches, which may search
// the rest of the text for each, is tried with looks at the time in between.
const (
	// maxPattern is the length of a pattern, bytes: reading 64 KiB takes some
	// milliseconds.
	maxPattern = 64 << 10
	// maxProgram bounds the instructions of a pattern with its repetitions
	// written out, of which each takes about 100 bytes and 0.3 µs to make.
	maxProgram = 50_000
	// maxSearch bounds instructions × bytes of text of one search. A step takes
	// 5 to 20 ns, so that the worst search lasts about 2 s.
	maxSearch = 200_000_000
	// maxFolds bounds the ranges of a pattern that ignores case: each may cost
	// 120,000 steps to read.
	maxFolds = 200
	// freeSearch is up to where a search for all matches is not tried first.
	freeSearch = 5_000_000
	// maxPatterns is how many patterns are remembered, maxPatternBytes the memory that
	// they and their programs may take.
	maxPatterns     = 256
	maxPatternBytes = 16 << 20
)

// pattern is what is known of one.
type pattern struct {
	size   int64 // instructions
	groups int64
	re     *regexp.Regexp // of a glob, and of a regular expression when it was tried
	err    error
}

// patterns remembers them; it is safe for concurrent use.
type patterns struct {
	mu    sync.Mutex
	known map[string]pattern
	bytes int64 // of all of them, about
}

func newPatterns() *patterns { return &patterns{known: map[string]pattern{}} }

// get makes the pattern that a key stands for, once.
func (p *patterns) get(key string, create func() pattern) pattern {
	p.mu.Lock()
	known, ok := p.known[key]
	p.mu.Unlock()
	if ok {
		return known
	}
	known = create()
	p.mu.Lock()
	defer p.mu.Unlock()
	weight := known.bytes(key)
	if _, ok := p.known[key]; ok || weight > maxPatternBytes {
		return known // another caller was faster, or it is too large and made again each time
	}
	if p.bytes += weight; len(p.known) >= maxPatterns || p.bytes > maxPatternBytes {
		clear(p.known)
		p.bytes = weight
	}
	p.known[key] = known
	return known
}

// bytes is what a pattern takes under a key, about: 40 for an instruction of its
// program, and as many again for what is made of it for searching.
func (known pattern) bytes(key string) int64 {
	n := int64(len(key)) + 256
	if known.re != nil {
		n += int64(len(key)) + 60*known.size
	}
	return n
}

// regex reads a regular expression. One that is wrong has no size: the builtin
// says what is wrong.
func (p *patterns) regex(text string) pattern {
	return p.get("r"+text, func() pattern { return readRegex(text) })
}

func readRegex(text string) pattern {
	switch {
	case len(text) > maxPattern:
		return pattern{err: fmt.Errorf("the pattern has more than %d bytes", maxPattern)}
	case ignoresCase.MatchString(text) && strings.Count(text, "-") > maxFolds:
		return pattern{err: fmt.Errorf("the pattern ignores case and has more than %d ranges", maxFolds)}
	}
	tree, err := syntax.Parse(text, syntax.Perl)
	if err != nil {
		return pattern{}
	}
	known := pattern{size: programSize(tree), groups: int64(tree.MaxCap())}
	if known.size > maxProgram {
		known.err = fmt.Errorf("the pattern has more than %d instructions after its repetitions are expanded", maxProgram)
	}
	return known
}

var ignoresCase = regexp.MustCompile(`\(\?[a-zA-Z]*i`)

// programSize is at least the number of instructions of the compiled program.
func programSize(re *syntax.Regexp) int64 {
	n := int64(1)
	for _, sub := range re.Sub {
		n += programSize(sub) + 1
	}
	switch re.Op {
	case syntax.OpLiteral:
		n += int64(len(re.Rune))
	case syntax.OpCapture:
		n += 2
	case syntax.OpRepeat:
		n *= int64(max(re.Min, re.Max, 1)) + 1
	}
	return min(n, 1<<40)
}

// search checks the cost of one search before it is made.
func (known pattern) search(text string) error {
	if known.err != nil {
		return known.err
	}
	if known.size*int64(len(text)+1) > maxSearch {
		return fmt.Errorf("the pattern has %d instructions and the text %d bytes; their product may be %d", known.size, len(text), maxSearch)
	}
	return nil
}

// searchAll checks the cost of a search for all matches. Where they may take
// long together they are made once with looks at the context in between, and
// only when that ends in time for good.
func (p *patterns) searchAll(ctx context.Context, expression, text string) error {
	known := p.regex(expression)
	if err := known.search(text); err != nil {
		return err
	}
	n := int64(len(text) + 1)
	if known.size == 0 || known.size*n <= freeSearch/n {
		return nil
	}
	if known.groups > maxGroups { // each step copies them
		return fmt.Errorf("the pattern has more than %d groups for a text of %d bytes", maxGroups, len(text))
	}
	known = p.get("a"+expression, func() pattern {
		known.re, known.err = regexp.Compile(expression)
		return known
	})
	if known.err != nil {
		return nil // the builtin says it
	}
	return tried(ctx, known.re, text)
}

// maxGroups is how many groups a pattern may have that is tried.
const maxGroups = 20

// outOfTime is what tried panics with to leave package regexp.
type outOfTime struct{ err error }

func tried(ctx context.Context, re *regexp.Regexp, text string) (err error) {
	defer func() {
		if r := recover(); r != nil {
			out, ok := r.(outOfTime)
			if !ok {
				panic(r)
			}
			err = out.err
		}
	}()
	re.ReplaceAllStringFunc(text, func(match string) string {
		if err := ctx.Err(); err != nil {
			panic(outOfTime{fmt.Errorf("searching for all matches: %w", err)})
		}
		return match
	})
	return nil
}

// checkPatterns bounds the builtins that search; operands are those of a call.
func (p *patterns) checkPatterns(bctx rego.BuiltinContext, name string, o []*ast.Term) error {
	switch name {
	case "regex.match":
		return p.regex(text(o[0])).search(text(o[1]))
	case "regex.is_valid":
		return p.regex(text(o[0])).err
	case "regex.find_n", "regex.find_all_string_submatch_n", "regex.split":
		return p.searchAll(bctx.Context, text(o[0]), text(o[1]))
	case "regex.replace":
		return p.searchAll(bctx.Context, text(o[1]), text(o[0]))
	}
	return nil
}
