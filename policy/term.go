package policy

import (
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/open-policy-agent/opa/v1/ast"
)

// builder makes terms and counts what they weigh, so that the cache of inputs
// can be bounded by bytes. Keys and repeated texts are one shared term. It is
// not safe for concurrent use; the terms it made are.
type builder struct {
	shared map[string]*ast.Term
	bytes  int64
}

func newBuilder() *builder { return &builder{shared: map[string]*ast.Term{}} }

// The weights are what a heap profile of an input with 5,000 vulnerabilities
// gave, rounded up.
const (
	termBytes = 56
	pairBytes = 96
)

// text is a string term. Bytes that are not UTF-8 become U+FFFD: images may
// hold anything, and a policy must see what its messages will show.
func (b *builder) text(s string) *ast.Term {
	b.bytes += termBytes + int64(len(s))
	return ast.StringTerm(strings.ToValidUTF8(s, "�"))
}

// word is a string term that occurs again and again.
func (b *builder) word(s string) *ast.Term {
	if t, ok := b.shared[s]; ok {
		return t
	}
	t := b.text(s)
	b.shared[s] = t
	return t
}

func (b *builder) texts(list []string) *ast.Term {
	terms := make([]*ast.Term, len(list))
	for i, s := range list {
		terms[i] = b.text(s)
	}
	return ast.ArrayTerm(terms...)
}

func (b *builder) textMap(m map[string]string) *ast.Term {
	pairs := make([][2]*ast.Term, 0, len(m))
	for k, v := range m {
		pairs = append(pairs, [2]*ast.Term{b.text(k), b.text(v)})
	}
	b.bytes += int64(len(pairs)) * pairBytes
	return ast.NewTerm(ast.NewObject(pairs...))
}

func (b *builder) whole(n int64) *ast.Term {
	b.bytes += termBytes
	return ast.NewTerm(ast.Number(strconv.FormatInt(n, 10)))
}

func (b *builder) yes(v bool) *ast.Term { return ast.InternedTerm(v) }

// field is one pair of an object.
func (b *builder) field(name string, value *ast.Term) [2]*ast.Term {
	return [2]*ast.Term{b.word(name), value}
}

func (b *builder) object(pairs ...[2]*ast.Term) *ast.Term {
	b.bytes += int64(len(pairs)) * pairBytes
	return ast.NewTerm(ast.NewObject(pairs...))
}

// decimal is a number term with two decimals; -1 for
// what JSON has no number for.
func decimal(f float64) *ast.Term {
	if math.IsNaN(f) || math.IsInf(f, 0) {
		f = -1
	}
	return ast.NewTerm(ast.Number(strconv.FormatFloat(math.Round(f*100)/100, 'f', -1, 64)))
}

// rfc3339 is "" for the zero time.
func rfc3339(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339)
}

// seconds is -1 for the zero time.
func seconds(t time.Time) int64 {
	if t.IsZero() {
		return -1
	}
	return t.Unix()
}
