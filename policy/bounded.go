package policy

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/rego"
	"github.com/open-policy-agent/opa/v1/topdown"
)

// Some builtins are harmless once and not when their result is fed to them
// again: 30 concatenations of a text with itself make a gigabyte, a number
// "1e300000000" in a label takes seconds to add 1 to, and OPA notices a
// cancellation only afterwards. Calls of these are redirected, after type
// checking, to functions that look at the size first and then call the same
// builtin.
const (
	maxDigits      = 40        // of a number, and of its exponent's value
	maxText        = 1 << 20   // of one built text, bytes
	maxTextInTotal = 64 << 20  // of all texts built in one evaluation, bytes
	maxElements    = 1_000_000 // of one built array
	boundedPrefix  = "bounded."
)

// estimate says how large the result of a call will be, in bytes of text (or
// in elements for arrays), before it is made.
type estimate func(operands []*ast.Term) (size int64)

// bounded lists the redirected builtins with their estimates; nil for those
// of which only the numbers are checked.
func bounded() map[string]estimate {
	firstText := func(o []*ast.Term) int64 { return textLen(o[0]) }
	return map[string]estimate{
		"plus": nil, "minus": nil, "mul": nil, "div": nil, "rem": nil, "abs": nil,
		"ceil": nil, "floor": nil, "round": nil, "sum": nil, "to_number": nil,
		"max": nil, "min": nil,
		"lower": firstText, "upper": firstText, "strings.reverse": firstText,
		"json.unmarshal": firstText, "base64.decode": firstText,
		"split": firstText, "regex.split": func(o []*ast.Term) int64 { return textLen(o[1]) },
		"concat":                   concatLen,
		"replace":                  func(o []*ast.Term) int64 { return replacedLen(o[0], o[1], o[2]) },
		"strings.replace_n":        replaceAllLen,
		"regex.replace":            regexReplaceLen,
		"sprintf":                  sprintfLen,
		"internal.template_string": func(o []*ast.Term) int64 { return printedLen(o[0], maxText+1) },
		"array.concat":             func(o []*ast.Term) int64 { return arrayLen(o[0]) + arrayLen(o[1]) },
		"array.flatten":            flattenLen,
	}
}

// boundedNames lists the redirected builtins, sorted.
func boundedNames() []string {
	names := slices.Collect(maps.Keys(bounded()))
	names = append(names, slices.Collect(maps.Keys(works()))...)
	names = append(names, slices.Collect(maps.Keys(combining))...)
	for _, g := range builtinGroups() {
		for _, n := range g.names {
			if strings.HasPrefix(n, "regex.") || n == "glob.match" {
				names = append(names, n)
			}
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// combining are the builtins whose results hold what their operands hold.
var combining = map[string]bool{"array.concat": true, "array.flatten": true, "object.union": true, "object.union_n": true}

// boundedFunctions registers the redirections with a query, in the order of
// boundedNames; the last is bounded.weigh.
func boundedFunctions() []func(*rego.Rego) {
	var options []func(*rego.Rego)
	sizes, costs, known := bounded(), works(), newPatterns()
	for _, name := range boundedNames() {
		decl, impl := boundedFunction(name, sizes[name], costs[name], known)
		options = append(options, rego.FunctionDyn(decl, impl))
	}
	_, weigh := weighFunction()
	return append(options, weigh)
}

func boundedFunction(name string, size, work estimate, known *patterns) (*rego.Function, rego.BuiltinDyn) {
	builtin := topdown.GetBuiltin(name)
	if name == "glob.match" {
		builtin = func(bctx topdown.BuiltinContext, o []*ast.Term, iter func(*ast.Term) error) error {
			t, err := known.globMatch(bctx, o)
			if err != nil {
				return err
			}
			return iter(t)
		}
	}
	decl := &rego.Function{Name: boundedPrefix + name, Decl: ast.BuiltinMap[name].Decl}
	elements := strings.HasPrefix(name, "array.")
	return decl, func(bctx rego.BuiltinContext, operands []*ast.Term) (*ast.Term, error) {
		var result *ast.Term
		err := checkNumbers(operands...)
		if name == "sprintf" {
			operands = convertNumbers(operands)
			err = errors.Join(err, printsWell(bctx.Context, bctx.Location, operands))
		}
		if err == nil && work != nil {
			err = tooMuch(name, work, operands)
		}
		if err == nil && strings.HasPrefix(name, "regex.") {
			err = known.checkPatterns(bctx, name, operands)
		}
		if err == nil && size != nil {
			err = spend(bctx.Context, size(operands), elements)
		}
		if err == nil {
			err = builtin(bctx, operands, func(t *ast.Term) error {
				result = t
				return checkNumbers(t)
			})
		}
		if err == nil && result != nil && combining[name] {
			err = built(bctx, result)
		}
		return result, ending(name, err)
	}
}

// ending makes an error end the evaluation at once, whatever it is nested in; OPA would
// collect errors and continue.
func ending(name string, err error) error {
	var e *topdown.Error
	switch {
	case err == nil:
		return nil
	case !errors.As(err, &e):
		return rego.NewHaltError(err)
	case e.Code == topdown.CancelErr:
		return err
	}
	return rego.NewHaltError(errors.New(strings.TrimPrefix(e.Message, name+": ")))
}

// boundStage redirects the calls of a compiled set.
func boundStage() ast.CompilerStageDefinition {
	names := map[string]*ast.Term{}
	for _, name := range boundedNames() {
		ref := append(ast.Ref{ast.VarTerm("bounded")}, ast.MustParseRef("x." + name)[1:]...)
		names[name] = ast.NewTerm(ref)
	}
	redirect := func(terms []*ast.Term) {
		if ref, ok := terms[0].Value.(ast.Ref); ok {
			if to, ok := names[ref.String()]; ok {
				terms[0] = ast.NewTerm(to.Value).SetLocation(terms[0].Location)
			}
		}
	}
	return ast.CompilerStageDefinition{
		Name: "BoundBuiltins", MetricName: "bound_builtins",
		Stage: func(c *ast.Compiler) *ast.Error {
			for _, m := range c.Modules {
				ast.WalkExprs(m, func(e *ast.Expr) bool {
					if terms, ok := e.Terms.([]*ast.Term); ok {
						redirect(terms)
					}
					return false
				})
				ast.WalkTerms(m, func(t *ast.Term) bool {
					if call, ok := t.Value.(ast.Call); ok {
						redirect(call)
					}
					return false
				})
			}
			return nil
		},
	}
}

// spentKey carries the account of an evaluation.
type spentKey struct{}

// account is what an evaluation has built. An evaluation is one goroutine.
type account struct {
	text  int64 // bytes
	built int64 // see weight_stage.go
	scale scale
}

func newAccount() *account { return &account{scale: scale{known: map[any]int64{}}} }

// withSpending gives an evaluation an account of its own.
func withSpending(ctx context.Context) context.Context {
	return context.WithValue(ctx, spentKey{}, newAccount())
}

func spend(ctx context.Context, size int64, elements bool) error {
	if elements {
		if size > maxElements {
			return fmt.Errorf("the array would have more than %d elements", maxElements)
		}
		size *= 16
	} else if size > maxText {
		return fmt.Errorf("the text would be larger than %d bytes", maxText)
	}
	if spent, ok := ctx.Value(spentKey{}).(*account); ok {
		if spent.text += size; spent.text > maxTextInTotal {
			return fmt.Errorf("this evaluation has built more than %d bytes of text", maxTextInTotal)
		}
	}
	return nil
}

// checkNumbers refuses numbers whose arithmetic is not cheap, in terms or one
// level below them.
func checkNumbers(terms ...*ast.Term) error {
	bad := false
	see := func(t *ast.Term) {
		if n, ok := t.Value.(ast.Number); ok && !cheapNumber(string(n)) {
			bad = true
		}
	}
	for _, t := range terms {
		switch v := t.Value.(type) {
		case ast.Number:
			see(t)
		case *ast.Array:
			v.Foreach(see)
		case ast.Set:
			v.Foreach(see)
		}
	}
	if bad {
		return fmt.Errorf("a number has more than %d digits", maxDigits)
	}
	return nil
}

var exponent = regexp.MustCompile(`[eE][+-]?([0-9]+)$`)

// cheapNumber bounds the written length and the exponent.
func cheapNumber(n string) bool {
	if len(n) > maxDigits {
		return false
	}
	if m := exponent.FindStringSubmatch(n); m != nil {
		digits := strings.TrimLeft(m[1], "0")
		return len(digits) < 2 || len(digits) == 2 && digits <= fmt.Sprint(maxDigits)
	}
	return true
}
