package policy

import (
	"fmt"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
)

// maxWork bounds the steps of one call of a builtin that are not linear in its
// arguments, such as comparisons of a text with every place of another. A step
// takes about a nanosecond; nothing can interrupt such a call.
const maxWork = 256_000_000

// works lists the builtins whose cost is a product, with an upper bound of their
// steps.
func works() map[string]estimate {
	product := func(a, b int) estimate {
		return func(o []*ast.Term) int64 { return times(textLen(o[a]), textLen(o[b])) }
	}
	cutset := func(o []*ast.Term) int64 { // strings.Trim has a table for ASCII
		if ascii(text(o[1])) {
			return 0
		}
		return times(textLen(o[0]), textLen(o[1]))
	}
	return map[string]estimate{
		"trim": cutset, "trim_left": cutset, "trim_right": cutset,
		"indexof": func(o []*ast.Term) int64 {
			if ascii(text(o[0])) && ascii(text(o[1])) {
				return 0
			}
			return times(textLen(o[0]), textLen(o[1]))
		},
		"indexof_n": product(0, 1),
		"replace":   product(0, 1),
		"strings.replace_n": func(o []*ast.Term) int64 {
			return times(textLen(o[1]), longestKey(o[0]))
		},
		"object.subset":            func(o []*ast.Term) int64 { return times(weight(o[0]), weight(o[1])) },
		"sort":                     func(o []*ast.Term) int64 { return times(weight(o[0]), 20) },
		"strings.any_prefix_match": func(o []*ast.Term) int64 { return times(weight(o[0])+weight(o[1]), 20) },
		"strings.any_suffix_match": func(o []*ast.Term) int64 { return times(weight(o[0])+weight(o[1]), 20) },
		"json.unmarshal":           func(o []*ast.Term) int64 { return nesting(text(o[0])) },
		"json.is_valid":            func(o []*ast.Term) int64 { return nesting(text(o[0])) },
	}
}

// tooMuch checks the steps of a call.
func tooMuch(name string, work estimate, o []*ast.Term) error {
	switch n := work(o); {
	case n <= maxWork:
		return nil
	case strings.HasPrefix(name, "json."):
		return fmt.Errorf("the JSON is nested deeper than %d levels", maxNesting)
	default:
		return fmt.Errorf("the arguments are too large together: the call takes more than %d steps", maxWork)
	}
}

// times multiplies without overflow.
func times(a, b int64) int64 {
	if a > 0 && b > huge/a {
		return huge
	}
	return a * b
}

func ascii(s string) bool {
	for i := range len(s) {
		if s[i] >= 0x80 {
			return false
		}
	}
	return true
}

func longestKey(t *ast.Term) (n int64) {
	if o, ok := t.Value.(ast.Object); ok {
		o.Foreach(func(k, _ *ast.Term) { n = max(n, textLen(k)) })
	}
	return n
}

// maxNesting is how deep JSON may be nested: walk copies the path to each value.
const maxNesting = 200

// nesting is huge for JSON that is nested deeper than maxNesting, and 0 for
// other.
func nesting(s string) int64 {
	depth, quoted := 0, false
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '[' || c == '{':
			if depth++; depth > maxNesting {
				return huge
			}
		case c == ']' || c == '}':
			depth--
		}
	}
	return 0
}
