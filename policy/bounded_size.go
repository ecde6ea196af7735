package policy

import (
	"regexp"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
)

// The estimates of bounded.go. Each is an upper bound of the result's size
// that costs no more than its operands are long; huge stands for "too large".
const huge = int64(1) << 40

func textLen(t *ast.Term) int64 {
	if s, ok := t.Value.(ast.String); ok {
		return int64(len(s))
	}
	return 0
}

func text(t *ast.Term) string {
	s, _ := t.Value.(ast.String)
	return string(s)
}

func arrayLen(t *ast.Term) int64 {
	if a, ok := t.Value.(*ast.Array); ok {
		return int64(a.Len())
	}
	return 0
}

func concatLen(o []*ast.Term) int64 {
	var n int64
	each := func(t *ast.Term) { n += textLen(t) + textLen(o[0]) }
	switch v := o[1].Value.(type) {
	case *ast.Array:
		v.Foreach(each)
	case ast.Set:
		v.Foreach(each)
	}
	return n
}

func replacedLen(s, old, with *ast.Term) int64 {
	return textLen(s) + int64(strings.Count(text(s), text(old)))*textLen(with)
}

func replaceAllLen(o []*ast.Term) int64 {
	patterns, ok := o[0].Value.(ast.Object)
	if !ok {
		return 0
	}
	n := textLen(o[1])
	patterns.Foreach(func(old, with *ast.Term) {
		n += int64(strings.Count(text(o[1]), text(old))) * textLen(with)
	})
	return n
}

// regexReplaceLen counts the template once for every byte of the text and the
// text once for every two bytes of the template ("$0").
func regexReplaceLen(o []*ast.Term) int64 {
	s, template := textLen(o[0]), textLen(o[2])
	return s + (s+1)*template + s*(template/2)
}

func flattenLen(o []*ast.Term) int64 {
	a, ok := o[0].Value.(*ast.Array)
	if !ok {
		return 0
	}
	n := int64(a.Len())
	a.Foreach(func(t *ast.Term) { n += arrayLen(t) })
	return n
}

// wideVerb is a width or precision of four digits or more, or one taken from
// the arguments.
var wideVerb = regexp.MustCompile(`%[^a-zA-Z%]*([0-9]{4}|\*)`)

// sprintfLen takes every verb to print the longest argument.
func sprintfLen(o []*ast.Term) int64 {
	format := text(o[0])
	if wideVerb.MatchString(format) {
		return huge
	}
	args, ok := o[1].Value.(*ast.Array)
	if !ok {
		return int64(len(format))
	}
	var longest, sum int64
	args.Foreach(func(t *ast.Term) {
		n := printedLen(t, maxText+1)
		longest, sum = max(longest, n), sum+n
	})
	verbs := int64(strings.Count(format, "%"))
	if !strings.Contains(format, "[") { // no explicit indexes: each argument once
		return int64(len(format)) + sum + 1000*verbs
	}
	return int64(len(format)) + verbs*(longest+1000)
}

// printedLen is the length of a term as text, counted up to limit: arrays that
// hold the same array twice, nested, print exponentially.
func printedLen(t *ast.Term, limit int64) int64 {
	var n int64
	var walk func(t *ast.Term)
	pair := func(k, v *ast.Term) { walk(k); walk(v) }
	walk = func(t *ast.Term) {
		if n >= limit {
			return
		}
		n += 4
		switch v := t.Value.(type) {
		case ast.String:
			n += int64(len(v))
		case ast.Number:
			n += int64(len(v))
		case *ast.Array:
			for i := 0; i < v.Len() && n < limit; i++ {
				walk(v.Elem(i))
			}
		case ast.Set:
			for _, e := range v.Slice() {
				walk(e)
			}
		case ast.Object:
			v.Foreach(pair)
		}
	}
	walk(t)
	return n
}
