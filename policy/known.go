package policy

import (
	"fmt"
	"slices"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/types"
)

// kinds are the kinds of value that a term may have.
type kinds uint8

const (
	kindText kinds = 1 << iota
	kindNumber
	kindBoolean
	kindNull
	kindArray
	kindObject
	kindSet
	anyKind = kindText | kindNumber | kindBoolean | kindNull | kindArray | kindObject | kindSet
)

// maxOptions bounds how many constant values of a term are remembered.
const maxOptions = 16

// known is what can be said of a term before anything is evaluated. It is
// never changed once it is made.
type known struct {
	kinds kinds
	// schema is the term's place in the input document, nil when it is not one.
	schema *shape
	// whole says that a number is never a fraction, mixed that it may be.
	whole, mixed bool
	// fields are those of an object, all of them; tuple the elements of an
	// array of known length; items what any other collection holds.
	fields map[string]*known
	tuple  []*known
	items  *known
	// loose says that fields of schema may be absent.
	loose bool
	// unfilled is the place that this version never fills, or only where the cluster is
	// watched, when the term is in it; nil when it is not, or need not be.
	unfilled *shape
	// alts are the places of the input that it may be, nil when not known.
	alts []*known
	// options are the constant values that it may have, nil when they are not
	// known.
	options []*ast.Term
}

// unknown is a term of which nothing is known.
func unknown() *known { return &known{kinds: anyKind} }

// neverFalse reports whether no value of the term is false, which is the only
// value that does not hold.
func (k *known) neverFalse() bool { return k.kinds != 0 && k.kinds&kindBoolean == 0 }

// knownOfSchema is a place of the input document.
func knownOfSchema(s *shape) *known {
	k := &known{schema: s}
	if s.NotFilled != "" || s.Watched {
		k.unfilled = s
	}
	switch s.Type {
	case "string":
		k.kinds = kindText
	case "integer":
		k.kinds, k.whole = kindNumber, true
	case "number":
		k.kinds, k.mixed = kindNumber, true
	case "boolean":
		k.kinds = kindBoolean
	case "array":
		k.kinds = kindArray
	case "object":
		k.kinds = kindObject
	default:
		k.kinds = anyKind
	}
	return k
}

// knownOfConstant is a literal without variables.
func knownOfConstant(t *ast.Term) *known {
	k := &known{options: []*ast.Term{t}}
	switch v := t.Value.(type) {
	case ast.String:
		k.kinds = kindText
	case ast.Number:
		k.kinds = kindNumber
		k.whole = !strings.ContainsAny(string(v), ".eE")
	case ast.Boolean:
		k.kinds = kindBoolean
	case ast.Null:
		k.kinds = kindNull
	default:
		return unknown()
	}
	return k
}

// knownOfType is what the compiler's type checker says.
func knownOfType(t types.Type) *known {
	switch t := t.(type) {
	case types.String:
		return &known{kinds: kindText}
	case types.Number:
		return &known{kinds: kindNumber}
	case types.Boolean:
		return &known{kinds: kindBoolean}
	case types.Null:
		return &known{kinds: kindNull}
	case *types.Array:
		return &known{kinds: kindArray, items: knownOfType(types.Values(t))}
	case *types.Set:
		return &known{kinds: kindSet, items: knownOfType(t.Of())}
	case *types.Object:
		return &known{kinds: kindObject}
	case *types.NamedType:
		return knownOfType(t.Type)
	case types.Any:
		var k *known
		for _, one := range t {
			k = join(k, knownOfType(one))
		}
		if k != nil {
			return k
		}
	}
	return unknown()
}

// join is a term that is one or the other; nil stands for none.
func join(a, b *known) *known {
	switch {
	case a == nil || a == b:
		return b
	case b == nil:
		return a
	case a.schema != nil && a.schema == b.schema && a.loose == b.loose:
		return a
	}
	k := &known{kinds: a.kinds | b.kinds, whole: a.whole && b.whole, mixed: a.mixed || b.mixed}
	if len(a.options) > 0 && len(b.options) > 0 && len(a.options)+len(b.options) <= maxOptions {
		k.options = slices.Concat(a.options, b.options)
	}
	if a.items != nil && b.items != nil {
		k.items = join(a.items, b.items)
	}
	if a.unfilled != nil && b.unfilled != nil {
		k.unfilled = a.unfilled
	}
	if aa, bb := a.places(), b.places(); len(aa) > 0 && len(bb) > 0 {
		k.alts = slices.Concat(aa, bb)
	}
	return k
}

// places are those of the input that a term may be.
func (k *known) places() []*known {
	if k.schema != nil {
		return []*known{k}
	}
	return k.alts
}

// element is what any element of a collection is.
func (k *known) element() *known {
	switch {
	case k.schema != nil && k.schema.Items != nil:
		return knownOfSchema(k.schema.Items)
	case k.schema != nil && k.schema.Type == "object" && len(k.schema.Properties) == 0:
		return &known{kinds: kindText} // the schema's free objects are maps of texts
	case k.items != nil:
		return k.items
	}
	var all *known
	for _, e := range k.tuple {
		all = join(all, e)
	}
	for _, e := range k.fields {
		all = join(all, e)
	}
	if all == nil {
		return unknown()
	}
	return all
}

// step is what key leads to, and whether something is always there. Nil when
// there never is.
func (k *known) step(key *known) (next *known, always bool) {
	if k.kinds&(kindArray|kindObject|kindSet) == 0 {
		return nil, false
	}
	if len(k.alts) > 0 {
		for _, a := range k.alts {
			if one, _ := a.step(key); one != nil {
				next = join(next, one)
			}
		}
		return next, false
	}
	next, always = k.directly(key)
	if next != nil && k.unfilled != nil && next.unfilled == nil {
		below := *next
		below.unfilled = k.unfilled
		next = &below
	}
	return next, always && !k.loose
}

func (k *known) directly(key *known) (next *known, always bool) {
	closed := k.schema != nil && len(k.schema.Properties) > 0 || k.fields != nil
	switch {
	case len(key.options) != 1 && closed:
		return k.anyOf(key), false
	case len(key.options) != 1:
		return k.element(), false
	}
	switch v := key.options[0].Value.(type) {
	case ast.String:
		if closed {
			next = k.property(string(v))
			return next, next != nil
		}
	case ast.Number:
		if k.tuple != nil {
			if i, ok := v.Int(); ok && i >= 0 && i < len(k.tuple) {
				return k.tuple[i], true
			}
			return nil, false
		}
	}
	return k.element(), false
}

// property is a field of an object whose fields are all known, nil when it has
// none of that name.
func (k *known) property(name string) *known {
	if k.fields != nil {
		return k.fields[name]
	}
	if p := k.schema.Properties[name]; p != nil {
		return knownOfSchema(p)
	}
	return nil
}

// anyOf is what a computed name leads to: any property of the object, or one of
// those that the name can be.
func (k *known) anyOf(key *known) (all *known) {
	if len(key.options) > 0 {
		for _, o := range key.options {
			if name, ok := o.Value.(ast.String); ok {
				all = join(all, k.property(string(name)))
			}
		}
		return all
	}
	if k.fields != nil {
		return k.element()
	}
	for _, name := range k.schema.Required { // in the schema's order
		all = join(all, k.property(name))
	}
	return all
}

// key identifies what is known, down to a depth.
func (k *known) key(depth int) string {
	if k == nil || depth == 0 {
		return "-"
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%d", k.kinds)
	if k.schema != nil {
		fmt.Fprintf(&b, "@%s", k.schema.path)
	}
	for _, a := range k.alts {
		fmt.Fprintf(&b, "|%s", a.schema.path)
	}
	if k.whole || k.mixed || k.loose {
		fmt.Fprintf(&b, "%t%t%t", k.whole, k.mixed, k.loose)
	}
	for _, o := range k.options {
		fmt.Fprintf(&b, "=%s", o)
	}
	if k.items != nil {
		fmt.Fprintf(&b, "[%s]", k.items.key(depth-1))
	}
	for _, e := range k.tuple {
		fmt.Fprintf(&b, ",%s", e.key(depth-1))
	}
	names := make([]string, 0, len(k.fields))
	for name := range k.fields {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		fmt.Fprintf(&b, ";%s:%s", name, k.fields[name].key(depth-1))
	}
	return b.String()
}
