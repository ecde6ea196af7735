package policy

import (
	"context"
	"slices"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
)

// OPA's sprintf hands whole numbers to package fmt as integers, for which %f and
// %g print "%!f(int64=7)". A score or an age is whole now and then, so whole
// numbers that only such verbs print are handed over as fractions.

// formatOf takes the operands of sprintf apart; ok is false when they are not
// those of a call that can be made.
func formatOf(operands []*ast.Term) (format string, args *ast.Array, ok bool) {
	if len(operands) < 2 {
		return "", nil, false
	}
	text, isText := operands[0].Value.(ast.String)
	args, isArray := operands[1].Value.(*ast.Array)
	return string(text), args, isText && isArray
}

// convertNumbers gives the verbs of fractions fractions.
func convertNumbers(operands []*ast.Term) []*ast.Term {
	format, args, ok := formatOf(operands)
	if !ok || !printsFractions(format) {
		return operands
	}
	convert := make([]bool, args.Len())
	others := make([]bool, args.Len())
	list, _ := directives(format, args.Len())
	for _, d := range list {
		if d.arg >= 0 {
			fraction := strings.ContainsRune(fractionVerbs, d.verb)
			convert[d.arg], others[d.arg] = convert[d.arg] || fraction, others[d.arg] || !fraction
		}
	}
	terms := make([]*ast.Term, args.Len())
	for i := range terms {
		terms[i] = args.Elem(i)
		if n, ok := terms[i].Value.(ast.Number); ok && convert[i] && !others[i] && whole(n) {
			terms[i] = ast.NewTerm(n + ".0")
		}
	}
	out := slices.Clone(operands)
	out[1] = ast.ArrayTerm(terms...)
	return out
}

// printsFractions reports whether a format has a verb of fractions; it may say so
// wrongly.
func printsFractions(format string) bool {
	for {
		_, rest, found := strings.Cut(format, "%")
		if !found {
			return false
		}
		format = strings.TrimLeft(rest, "#0+- .[]*123456789")
		if format != "" && strings.IndexByte(fractionVerbs, format[0]) >= 0 {
			return true
		}
		format = strings.TrimPrefix(format, "%")
	}
}

func whole(n ast.Number) bool { return !strings.ContainsAny(string(n), ".eE") }

// careful is what to do about a text that would read "%!…"; an error ends the
// evaluation.
type careful func(Problem) error

type carefulKey struct{}

// withCare looks at what sprintf prints: in the trial and in `policy test`. In
// the server such a text is shown.
func withCare(ctx context.Context, do careful) context.Context {
	return context.WithValue(ctx, carefulKey{}, do)
}

// printsWell checks a call of sprintf where that is asked for.
func printsWell(ctx context.Context, loc *ast.Location, operands []*ast.Term) error {
	format, args, ok := formatOf(operands)
	do, asked := ctx.Value(carefulKey{}).(careful)
	if !ok || !asked {
		return nil
	}
	list := make([]printable, args.Len())
	for i := range list {
		list[i] = printText
		if n, ok := args.Elem(i).Value.(ast.Number); ok {
			list[i] = printFraction
			if whole(n) {
				list[i] = printWhole
			}
		}
	}
	if wrong := misprint(format, list); wrong != "" {
		return do(at(loc, "sprintf(%q, …) prints %%!: %s", format, wrong))
	}
	return nil
}
