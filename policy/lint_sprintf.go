package policy

import "github.com/open-policy-agent/opa/v1/ast"

// checkSprintf reports verbs that do not print their arguments, where the format
// is a constant and the arguments are listed.
func (s *scope) checkSprintf(e *ast.Expr) {
	if len(e.Operands()) < 2 {
		return
	}
	format, args := s.value(e.Operand(0)), s.value(e.Operand(1))
	if len(format.options) != 1 || args.tuple == nil {
		return
	}
	text, ok := format.options[0].Value.(ast.String)
	if !ok {
		return
	}
	list := make([]printable, len(args.tuple))
	for i, a := range args.tuple {
		list[i] = a.printable()
	}
	if wrong := misprint(string(text), list); wrong != "" {
		s.sure = append(s.sure, s.at(e.Location, "sprintf(%s, …) prints %%!: %s", s.name(e.Operand(0).String()), wrong))
	}
}

// printable is what sprintf makes of a value.
func (k *known) printable() printable {
	switch {
	case k.kinds&kindNumber == 0:
		return printText
	case k.kinds != kindNumber:
		return printUnknown
	case k.whole:
		return printWhole
	case k.mixed:
		return printNumber
	}
	return printUnknown
}
