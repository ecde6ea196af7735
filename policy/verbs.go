package policy

import (
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

// printable is what a value is to sprintf: OPA hands texts and everything else
// that is no number over as text (builtinSprintf in OPA's topdown/strings.go).
type printable int

const (
	printUnknown  printable = iota // may be anything
	printText                      // a text, list, object, boolean, null
	printWhole                     // a whole number
	printFraction                  // a number with a fraction
	printNumber                    // a number that may be either
)

// The verbs that package fmt has for each. Whole numbers are made fractions for
// the verbs of fractions (see convertNumbers), so that %.1f prints 7 as 7.0.
const (
	textVerbs     = "vTsqxX"
	fractionVerbs = "eEfFgG"
	wholeVerbs    = "vTbcdoOqxXU" + fractionVerbs
	numberVerbs   = "vT" + fractionVerbs
)

func (p printable) String() string {
	return [...]string{"a value", "a text", "a whole number", "a number with a fraction", "a number that may have a fraction"}[p]
}

// takes reports whether a verb prints the value.
func (p printable) takes(verb rune) bool {
	verbs := map[printable]string{
		printText: textVerbs, printWhole: wholeVerbs, printFraction: numberVerbs + "bxX", printNumber: numberVerbs,
	}
	return p == printUnknown || strings.ContainsRune(verbs[p], verb)
}

// directive is one verb of a format.
type directive struct {
	text string // as written, "%-5.1f"
	verb rune   // 0 at the end of the format
	arg  int    // index of what it prints, -1 for "%%"
	bad  string // what is wrong with it by itself, "" for nothing
}

// directives reads a format as package fmt does (doPrintf in fmt/print.go).
// more is the number of arguments that nothing prints.
func directives(format string, args int) (list []directive, more int) {
	r := formatReader{format: format, args: args}
	for r.i < len(format) {
		if format[r.i] != '%' {
			r.i++
			continue
		}
		list = append(list, r.directive())
	}
	if !r.reordered && r.arg < args {
		more = args - r.arg
	}
	return list, more
}

// formatReader is the state of reading a format.
type formatReader struct {
	format    string
	args      int
	i         int    // next byte
	arg       int    // next argument
	reordered bool   // an explicit index was seen
	indexed   bool   // directly after one
	bad       string // of the directive at hand
}

// directive reads one, which begins at i.
func (r *formatReader) directive() directive {
	start := r.i
	r.bad, r.indexed = "", false
	for r.i++; r.i < len(r.format) && strings.IndexByte("#0+- ", r.format[r.i]) >= 0; {
		r.i++
	}
	r.index()
	r.number()
	if r.i+1 < len(r.format) && r.format[r.i] == '.' {
		r.i++
		if r.indexed {
			r.bad = badIndex
		}
		r.indexed = false
		r.index()
		r.number()
	}
	if !r.indexed {
		r.index()
	}
	d := directive{arg: -1}
	if r.i >= len(r.format) {
		d.text, d.bad = r.format[start:], "the verb is missing"
		return d
	}
	verb, size := utf8.DecodeRuneInString(r.format[r.i:])
	r.i += size
	d.text, d.verb = r.format[start:r.i], verb
	switch {
	case verb == '%':
	case r.bad != "":
		d.bad = r.bad
	case r.arg >= r.args:
		d.bad = "no argument is left for it"
	default:
		d.arg = r.arg
		r.arg++
	}
	return d
}

const badIndex = "the index of its argument is wrong"

// index reads [n].
func (r *formatReader) index() {
	rest := r.format[r.i:]
	if !strings.HasPrefix(rest, "[") {
		return
	}
	r.reordered = true
	end := strings.IndexByte(rest, ']')
	if end < 0 || len(rest) < 3 {
		r.bad = badIndex
		r.i++
		return
	}
	r.i += end + 1
	n, err := strconv.ParseUint(rest[1:end], 10, 16)
	switch {
	case err == nil && n >= 1 && int(n) <= r.args:
		r.arg, r.indexed = int(n)-1, true
	case err == nil:
		r.bad, r.indexed = badIndex, true
	default:
		r.bad = badIndex
	}
}

// number reads a width or a precision. One that an argument gives is refused at
// evaluation, because it is not bounded.
func (r *formatReader) number() {
	start := r.i
	if strings.HasPrefix(r.format[r.i:], "*") {
		r.i++
		r.arg++
		r.bad, r.indexed = "its width or precision comes from an argument", false
		return
	}
	for r.i < len(r.format) && r.format[r.i] >= '0' && r.format[r.i] <= '9' {
		r.i++
	}
	if r.indexed && r.i > start {
		r.bad = badIndex
	}
}

// misprint says what of a format would come out as "%!…", "" when nothing
// would.
func misprint(format string, args []printable) string {
	list, more := directives(format, len(args))
	fraction, other := make([]bool, len(args)), make([]bool, len(args))
	for _, d := range list {
		switch {
		case d.bad != "":
			return fmt.Sprintf("%s: %s", d.text, d.bad)
		case d.arg < 0:
			continue
		case !args[d.arg].takes(d.verb):
			return fmt.Sprintf("%s does not print %s; %%v prints every value", d.text, args[d.arg])
		}
		if strings.ContainsRune(fractionVerbs, d.verb) {
			fraction[d.arg] = true
		} else {
			other[d.arg] = true
		}
		if args[d.arg] == printWhole && fraction[d.arg] && other[d.arg] {
			return fmt.Sprintf("%s prints a whole number that another verb prints as such; give it twice", d.text)
		}
	}
	if more > 0 {
		return fmt.Sprintf("there are %d more arguments than verbs", more)
	}
	return ""
}
