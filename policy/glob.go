package policy

import (
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/gobwas/glob/syntax"
	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/rego"
	"github.com/open-policy-agent/opa/v1/topdown/builtins"
)

// The library behind OPA's glob.match backtracks: with delimiters, each * more
// in a pattern multiplies its cost by the length of the text. So a glob is
// matched as the regular expression that means the same, whose cost is bounded
// (pattern.go). A test compares the two.

// globMatch is glob.match.
func (p *patterns) globMatch(_ rego.BuiltinContext, o []*ast.Term) (*ast.Term, error) {
	glob, err := builtins.StringOperand(o[0].Value, 1)
	if err != nil {
		return nil, err
	}
	var delimiters []rune
	switch o[1].Value.(type) {
	case ast.Null:
	case *ast.Array:
		if delimiters, err = builtins.RuneSliceOperand(o[1].Value, 2); err != nil {
			return nil, err
		}
		if len(delimiters) == 0 {
			delimiters = []rune{'.'}
		}
	default:
		return nil, builtins.NewOperandTypeErr(2, o[1].Value, "array", "null")
	}
	text, err := builtins.StringOperand(o[2].Value, 3)
	if err != nil {
		return nil, err
	}
	known := p.get(fmt.Sprintf("g%q%s", delimiters, glob), func() pattern { return readGlob(string(glob), delimiters) })
	if err := known.search(string(text)); err != nil {
		return nil, err
	}
	return ast.InternedTerm(known.re.MatchString(string(text))), nil
}

func readGlob(glob string, delimiters []rune) pattern {
	if len(glob) > maxPattern || len(delimiters) > maxDelimiters {
		return pattern{err: fmt.Errorf("the pattern has more than %d bytes, or more than %d delimiters", maxPattern, maxDelimiters)}
	}
	expression, err := globExpression(glob, delimiters)
	if err != nil {
		return pattern{err: fmt.Errorf("the pattern %q is wrong: %w", glob, err)}
	}
	known := readRegex(expression)
	if known.err == nil {
		known.re, known.err = regexp.Compile(expression)
	}
	return known
}

const maxDelimiters = 100

// globExpression translates a glob; its grammar is that of
// github.com/gobwas/glob (Compile).
func globExpression(glob string, delimiters []rune) (string, error) {
	other := `(?s:.)`
	if len(delimiters) > 0 {
		other = "[^" + class(string(delimiters)) + "]"
	}
	var b strings.Builder
	b.WriteString(`\A(?:`)
	lexer := syntax.NewLexer(glob)
	open := 0
	for {
		token := lexer.Next()
		switch token.Type {
		case syntax.EOF:
			if open > 0 {
				return "", errors.New("a { is not closed")
			}
			b.WriteString(`)\z`)
			return b.String(), nil
		case syntax.Error:
			return "", errors.New(token.Data)
		case syntax.Text:
			b.WriteString(regexp.QuoteMeta(token.Data))
		case syntax.Single:
			b.WriteString(other)
		case syntax.Any:
			b.WriteString(other + "*")
		case syntax.Super:
			b.WriteString(`(?s:.*)`)
		case syntax.RangeOpen:
			if err := globRange(&b, lexer); err != nil {
				return "", err
			}
		case syntax.TermsOpen:
			open++
			b.WriteString("(?:")
		case syntax.TermSeparator:
			b.WriteString("|")
		case syntax.TermsClose:
			open--
			b.WriteString(")")
		default:
			return "", fmt.Errorf("%s is not expected there", token)
		}
	}
}

// globRange reads what follows a [.
func globRange(b *strings.Builder, lexer *syntax.Lexer) error {
	var not, low, high, chars string
	for {
		switch token := lexer.Next(); token.Type {
		case syntax.Not:
			not = "^"
		case syntax.RangeLo:
			low = token.Data
		case syntax.RangeBetween:
		case syntax.RangeHi:
			high = token.Data
		case syntax.Text:
			chars = token.Data
		case syntax.RangeClose:
			isRange := low != "" && high != ""
			switch {
			case isRange == (chars != ""):
				return errors.New("a [ has neither a range nor characters")
			case isRange && low > high:
				return errors.New("a range ends before it begins")
			case isRange:
				b.WriteString("[" + not + class(low) + "-" + class(high) + "]")
			default:
				b.WriteString("[" + not + class(chars) + "]")
			}
			return nil
		case syntax.EOF:
			return errors.New("a [ is not closed")
		case syntax.Error:
			return errors.New(token.Data)
		default:
			return fmt.Errorf("%s is not expected in a range", token)
		}
	}
}

// class writes characters as they are written between [ and ].
func class(chars string) string {
	var b strings.Builder
	for _, r := range chars {
		fmt.Fprintf(&b, `\x{%x}`, r)
	}
	return b.String()
}
