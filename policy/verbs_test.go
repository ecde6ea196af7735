package policy

import (
	"math/rand/v2"
	"regexp"
	"strings"
	"testing"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/topdown"
)

// misprinted is how package fmt complains; no piece below has a bracket.
var misprinted = regexp.MustCompile(`%!.?\(`)

// TestMisprintIsWhatFmtDoes draws formats and arguments and compares with what
// OPA's sprintf prints.
func TestMisprintIsWhatFmtDoes(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 1))
	pieces := []string{"%", "%%", "%s", "%d", "%v", "%q", "%x", "%X", "%f", "%.1f", "%g", "%e", "%t", "%c", "%U", "%b", "%o", "%O", "%T", "%p", "%w", "%z",
		"%5d", "%-5s", "%+d", "%#x", "% d", "%05.2f", "%[1]s", "%[2]d", "%[3]v", "%[9]d", "%[1]", "%[x]d", "%[", "%[]d", "%.[1]f", "%[1].2f", "%[1]5d", "%.", "%5", "%é", "x", "!", "[1]", " "}
	values := []*ast.Term{
		ast.StringTerm("a"), ast.StringTerm(""), ast.IntNumberTerm(7), ast.IntNumberTerm(-1), ast.NumberTerm("7.5"), ast.NumberTerm("1e3"), ast.NumberTerm("-0.1"),
		ast.BooleanTerm(true), ast.NullTerm(), ast.ArrayTerm(ast.StringTerm("x")), ast.ObjectTerm(), ast.SetTerm(ast.IntNumberTerm(1)),
	}
	good := 0
	for range 20_000 {
		var format strings.Builder
		for range 1 + random.IntN(4) {
			format.WriteString(pieces[random.IntN(len(pieces))])
		}
		args := make([]*ast.Term, random.IntN(4))
		for i := range args {
			args[i] = values[random.IntN(len(values))]
		}
		operands := convertNumbers([]*ast.Term{ast.StringTerm(format.String()), ast.ArrayTerm(args...)})
		var printed string
		err := topdown.GetBuiltin("sprintf")(topdown.BuiltinContext{}, operands, func(r *ast.Term) error {
			printed = string(r.Value.(ast.String))
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		bad := misprinted.MatchString(printed) // "%%!" prints "%!" and is well
		wrong := printsWell(withCare(t.Context(), func(p Problem) error { return p.problem() }), nil, operands)
		if bad != (wrong != nil) {
			t.Errorf("sprintf(%q, %v) prints %q, and we say %v", format.String(), args, printed, wrong)
		}
		if !bad {
			good++
		}
	}
	if good < 1000 {
		t.Errorf("only %d formats were right", good)
	}
}
