package policy

import "github.com/open-policy-agent/opa/v1/ast"

// The input is described once, by tables of fields. What a set of policies sees is
// chosen from them when it is compiled, so that an input holds what its rules mention
// and everything where they may see everything.

// maker makes a term of a T.
type maker[T any] func(*builder, T) *ast.Term

// field is one field of an object of the input; bind gives what makes of it what is
// seen.
type field[T any] struct {
	name string
	bind func(*sight) maker[T]
}

// part is a field that was chosen.
type part[T any] struct {
	key  *ast.Term
	make maker[T]
}

// choose gives the fields that are seen, in the order of the table.
func choose[T any](see *sight, fields []field[T]) []part[T] {
	var parts []part[T]
	for _, f := range fields {
		if below := see.at(f.name); below != nil {
			parts = append(parts, part[T]{ast.StringTerm(f.name), f.bind(below)})
		}
	}
	return parts
}

// pairs makes the chosen fields, with room for more.
func pairs[T any](b *builder, v T, parts []part[T], more int) [][2]*ast.Term {
	list := make([][2]*ast.Term, len(parts), len(parts)+more)
	for i := range parts {
		list[i] = [2]*ast.Term{parts[i].key, parts[i].make(b, v)}
	}
	return list
}

// objectOf makes an object with the fields that are seen.
func objectOf[T any](see *sight, fields []field[T]) maker[T] {
	parts := choose(see, fields)
	return func(b *builder, v T) *ast.Term { return b.object(pairs(b, v, parts, 0)...) }
}

// value is a field without fields of its own.
func value[T any](name string, m maker[T]) field[T] {
	return field[T]{name, func(*sight) maker[T] { return m }}
}

// object is a field with fields, made of a part of the T.
func object[T, U any](name string, of func(T) U, fields []field[U]) field[T] {
	return field[T]{name, func(see *sight) maker[T] {
		one := objectOf(see, fields)
		return func(b *builder, v T) *ast.Term { return one(b, of(v)) }
	}}
}

// listOf is a field with an object for each element of a part of the T.
func listOf[T, U any](name string, of func(T) []U, fields []field[*U]) field[T] {
	return listWith(name, func(v T) ([]U, int) { return of(v), 0 }, fields)
}

// listWith is listOf with a number of empty objects behind the others: rules that see
// them only count.
func listWith[T, U any](name string, of func(T) (list []U, empty int), fields []field[*U]) field[T] {
	return field[T]{name, func(see *sight) maker[T] {
		parts := choose(see.at(element), fields)
		return func(b *builder, v T) *ast.Term {
			elements, empty := of(v)
			n := len(elements)
			terms := make([]*ast.Term, n, n+empty)
			for i := range elements {
				if len(parts) == 0 {
					terms[i] = ast.InternedEmptyObject
					continue
				}
				terms[i] = b.object(pairs(b, &elements[i], parts, 0)...)
			}
			for range empty {
				terms = append(terms, ast.InternedEmptyObject)
			}
			b.bytes += int64(n+empty) * 16
			return ast.ArrayTerm(terms...)
		}
	}}
}

// nothing is a list that this version never fills.
func nothing[T any](name string) field[T] {
	return value(name, func(*builder, T) *ast.Term { return ast.ArrayTerm() })
}
