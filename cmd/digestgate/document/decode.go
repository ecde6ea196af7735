package document

import (
	"encoding"
	"reflect"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// decode writes a node to v. A value that cannot be read is a problem, and v
// keeps what it had.
func (d *Document) decode(n *yaml.Node, v reflect.Value, path string) {
	if n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	if isNull(n) {
		return // a key without a value is one that is not set
	}
	if _, ok := v.Addr().Interface().(encoding.TextUnmarshaler); ok || v.Type() == reflect.TypeFor[time.Duration]() {
		d.scalar(n, v, path)
		return
	}
	switch v.Kind() {
	case reflect.Struct:
		d.structure(n, v, path)
	case reflect.Slice:
		d.list(n, v, path)
	case reflect.Map:
		d.mapping(n, v, path)
	case reflect.Interface:
		var value any
		if n.Decode(&value) == nil && value != nil {
			v.Set(reflect.ValueOf(value))
		}
	default:
		d.scalar(n, v, path)
	}
}

// wrong reports a value that is not of the kind that its key wants.
func (d *Document) wrong(n *yaml.Node, path, format string, args ...any) {
	d.problem(path, n.Line, format, args...)
	d.spoilt[path] = true
}

// pair is an entry of a mapping.
type pair struct {
	key   string
	line  int
	value *yaml.Node
}

// pairs are the entries of a mapping, with what it merges (<<) behind its own.
// A key that is there twice is a problem.
func (d *Document) pairs(n *yaml.Node, path string) []pair {
	var own, merged []pair
	lines := map[string]int{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		k, value := n.Content[i], n.Content[i+1]
		if k.Kind == yaml.AliasNode {
			k = k.Alias
		}
		switch {
		case k.ShortTag() == "!!merge":
			merged = append(merged, d.merged(value, path)...)
			continue
		case k.Kind != yaml.ScalarNode:
			d.wrong(k, path, "a key must be a word, not %s", kindOf(k))
			continue
		case lines[k.Value] > 0:
			d.problem(below(path, k.Value), k.Line, "the key is given twice, first in line %d; keep one", lines[k.Value])
			continue
		}
		lines[k.Value] = k.Line
		own = append(own, pair{k.Value, k.Line, value})
	}
	for _, p := range merged {
		if lines[p.key] == 0 {
			lines[p.key] = p.line
			own = append(own, p)
		}
	}
	return own
}

func (d *Document) merged(n *yaml.Node, path string) []pair {
	if n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	switch n.Kind {
	case yaml.MappingNode:
		return d.pairs(n, path)
	case yaml.SequenceNode:
		var all []pair
		for _, c := range n.Content {
			all = append(all, d.merged(c, path)...)
		}
		return all
	}
	d.wrong(n, path, "<< merges a mapping, not %s", kindOf(n))
	return nil
}

func (d *Document) structure(n *yaml.Node, v reflect.Value, path string) {
	if short, ok := v.Addr().Interface().(Shorter); ok && n.Kind == yaml.ScalarNode {
		text := reflect.New(reflect.TypeFor[string]()).Elem()
		d.scalar(n, text, path)
		short.SetShort(text.String())
		return
	}
	if n.Kind != yaml.MappingNode {
		if path == "" {
			d.wrong(n, path, "the configuration must be keys with values, such as dataDir: /var/lib/digestgate, not %s", kindOf(n))
			return
		}
		d.wrong(n, path, "want keys below it (%s), not %s", keysOf(v.Type()), kindOf(n))
		return
	}
	fields := map[string]reflect.StructField{}
	var names []string
	for name, f := range fieldsOf(v.Type()) {
		fields[name] = f
		names = append(names, name)
	}
	pairs := d.pairs(n, path)
	for _, p := range pairs {
		at := below(path, p.key)
		name := p.key
		if _, ok := fields[name]; !ok {
			name = sameButCase(name, names)
			if name == "" || slices.ContainsFunc(pairs, func(o pair) bool { return o.key == name }) {
				d.unknown(p, path, names)
				continue
			}
			at = below(path, name)
			d.warning(at, p.line, "it is written %s and was accepted; write %s", p.key, name)
		}
		d.mark(at, p.line)
		d.decode(p.value, v.FieldByIndex(fields[name].Index), at)
	}
}

func sameButCase(key string, names []string) string {
	for _, name := range names {
		if strings.EqualFold(key, name) {
			return name
		}
	}
	return ""
}

// unknown reports a key that does not exist. What it was meant to be will be
// missed by those who check the meaning: once is enough.
func (d *Document) unknown(p pair, path string, names []string) {
	if len(d.problems) > maxProblems { // nobody reads on
		d.problem(below(path, p.key), p.line, "unknown key")
		return
	}
	near := nearest(p.key, names)
	if near != "" {
		d.spoilt[below(path, near)] = true
	}
	d.problem(below(path, p.key), p.line, "unknown key%s", suggest(p.key, path, near, names, d.target.Type()))
}

func (d *Document) list(n *yaml.Node, v reflect.Value, path string) {
	if n.Kind != yaml.SequenceNode {
		if n.Kind == yaml.ScalarNode {
			d.wrong(n, path, "want a list, such as [%s]; got %s", strings.Join(strings.FieldsFunc(shorten(n.Value), isSeparator), ", "), kindOf(n))
			return
		}
		d.wrong(n, path, "want a list, each of its elements on a line that begins with a hyphen; got %s", kindOf(n))
		return
	}
	d.forget(path)
	list := reflect.MakeSlice(v.Type(), len(n.Content), len(n.Content))
	for i, c := range n.Content {
		at, element := index(path, i), list.Index(i)
		d.mark(at, c.Line)
		if defaults, ok := element.Addr().Interface().(Defaulter); ok {
			defaults.SetDefaults()
		}
		if c.Kind == yaml.AliasNode {
			c = c.Alias
		}
		if isNull(c) {
			d.wrong(c, at, "the element has no value; give it one or remove it")
			continue
		}
		d.decode(c, element, at)
	}
	v.Set(list)
}

// forget is about a list that replaces another.
func (d *Document) forget(path string) {
	for p := range d.places {
		if strings.HasPrefix(p, path+"[") {
			delete(d.places, p)
		}
	}
}

// mapping adds entries to those that v has.
func (d *Document) mapping(n *yaml.Node, v reflect.Value, path string) {
	if n.Kind != yaml.MappingNode {
		d.wrong(n, path, "want names with values below it, not %s", kindOf(n))
		return
	}
	all := reflect.MakeMap(v.Type())
	for _, key := range v.MapKeys() {
		all.SetMapIndex(key, v.MapIndex(key))
	}
	for _, p := range d.pairs(n, path) {
		at := below(path, p.key)
		d.mark(at, p.line)
		element := reflect.New(v.Type().Elem()).Elem()
		d.decode(p.value, element, at)
		all.SetMapIndex(reflect.ValueOf(p.key).Convert(v.Type().Key()), element)
	}
	v.Set(all)
}

func isNull(n *yaml.Node) bool { return n.Kind == yaml.ScalarNode && n.ShortTag() == "!!null" }

func isSeparator(r rune) bool { return r == ',' || r == ' ' || r == ';' }
