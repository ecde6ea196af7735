package app

import (
	"maps"
	"reflect"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/digestgate/digestgate/gate"
)

// difference is a key that two configurations do not agree on.
type difference struct {
	key  string // with the names of registries and namespaces in brackets
	text string // what it was and is
}

func (d difference) String() string { return d.key + ": " + d.text }

// live reports whether a running process can follow the change: modes,
// namespaces, registries, VEX sources and notification targets.
func (d difference) live() bool {
	switch {
	case d.key == "admission.mode", d.key == "admission.exemptNamespaces":
		return true
	}
	for _, prefix := range []string{"admission.namespaces[", "registries[", "advisories.vex", "notifications"} {
		if strings.HasPrefix(d.key, prefix) {
			return true
		}
	}
	return false
}

// differences compares two configurations key by key. Secrets are in files, so
// that values can be shown.
func differences(old, next Config) []difference {
	var list []difference
	compareKeys("", reflect.ValueOf(old), reflect.ValueOf(next), &list)
	return list
}

func compareKeys(path string, a, b reflect.Value, list *[]difference) {
	switch {
	case a.Type() == reflect.TypeFor[[]RegistryConfig]():
		compareRegistries(path, a.Interface().([]RegistryConfig), b.Interface().([]RegistryConfig), list)
	case named(a) && named(b):
		compareNamed(path, a, b, list)
	case a.Kind() == reflect.Struct && a.Type() != reflect.TypeFor[time.Time]():
		for i := range a.NumField() {
			f := a.Type().Field(i)
			name, _, _ := strings.Cut(f.Tag.Get("yaml"), ",")
			switch {
			case !f.IsExported() || name == "-":
			case f.Anonymous && name == "":
				compareKeys(path, a.Field(i), b.Field(i), list)
			default:
				compareKeys(strings.TrimPrefix(path+"."+name, "."), a.Field(i), b.Field(i), list)
			}
		}
	case a.Kind() == reflect.Map && a.Type().Key().Kind() == reflect.String && a.Type().Elem().Kind() == reflect.Struct:
		names := map[string]bool{}
		for _, m := range []reflect.Value{a, b} {
			for _, k := range m.MapKeys() {
				names[k.String()] = true
			}
		}
		for _, name := range slices.Sorted(maps.Keys(names)) {
			compareKeys(path+"["+name+"]", entryOf(a, name), entryOf(b, name), list)
		}
	case !sameValue(a, b):
		*list = append(*list, difference{path, shownValue(a) + " -> " + shownValue(b)})
	}
}

// entryOf is the entry of a map, the zero value when there is none.
func entryOf(m reflect.Value, name string) reflect.Value {
	if v := m.MapIndex(reflect.ValueOf(name).Convert(m.Type().Key())); v.IsValid() {
		return v
	}
	return reflect.Zero(m.Type().Elem())
}

// compareRegistries compares by name, because the order means nothing.
func compareRegistries(path string, old, next []RegistryConfig, list *[]difference) {
	find := func(in []RegistryConfig, name string) int {
		return slices.IndexFunc(in, func(r RegistryConfig) bool { return r.Name == name })
	}
	for _, r := range old {
		key := path + "[" + r.Name + "]"
		if i := find(next, r.Name); i >= 0 {
			compareKeys(key, reflect.ValueOf(r), reflect.ValueOf(next[i]), list)
		} else {
			*list = append(*list, difference{key, "removed (" + r.Host + ")"})
		}
	}
	for _, r := range next {
		if find(old, r.Name) < 0 {
			*list = append(*list, difference{path + "[" + r.Name + "]", "added (" + r.Host + ")"})
		}
	}
}

// nameOf is the key "name" of an entry of a list.
func nameOf(entry reflect.Value) string { return entry.FieldByName("Name").String() }

// named reports whether a value is a list whose entries have names, each its own.
func named(v reflect.Value) bool {
	if v.Kind() != reflect.Slice || v.Type().Elem().Kind() != reflect.Struct {
		return false
	}
	if f, ok := v.Type().Elem().FieldByName("Name"); !ok || f.Type.Kind() != reflect.String || !strings.HasPrefix(f.Tag.Get("yaml"), "name") {
		return false
	}
	seen := map[string]bool{"": true}
	for i := range v.Len() {
		if name := nameOf(v.Index(i)); seen[name] {
			return false
		} else {
			seen[name] = true
		}
	}
	return true
}

// compareNamed compares lists whose entries have names by these, and then their order.
func compareNamed(path string, old, next reflect.Value, list *[]difference) {
	names := func(v reflect.Value) (all []string, at map[string]reflect.Value) {
		at = map[string]reflect.Value{}
		for i := range v.Len() {
			all = append(all, nameOf(v.Index(i)))
			at[nameOf(v.Index(i))] = v.Index(i)
		}
		return all, at
	}
	before, olds := names(old)
	after, nexts := names(next)
	for _, name := range before {
		if n, ok := nexts[name]; ok {
			compareKeys(path+"["+name+"]", olds[name], n, list)
		} else {
			*list = append(*list, difference{path + "[" + name + "]", "removed"})
		}
	}
	for _, name := range after {
		if _, ok := olds[name]; !ok {
			*list = append(*list, difference{path + "[" + name + "]", "added"})
		}
	}
	gone := func(in map[string]reflect.Value) func(string) bool {
		return func(name string) bool { _, ok := in[name]; return !ok }
	}
	if b, a := slices.DeleteFunc(before, gone(nexts)), slices.DeleteFunc(after, gone(olds)); !slices.Equal(b, a) {
		*list = append(*list, difference{path, "in the order " + strings.Join(b, ", ") + " -> " + strings.Join(a, ", ")})
	}
}

func sameValue(a, b reflect.Value) bool {
	switch a.Kind() {
	case reflect.Slice, reflect.Map:
		if a.Len() == 0 && b.Len() == 0 {
			return true
		}
	}
	return reflect.DeepEqual(a.Interface(), b.Interface())
}

// shownValue is a value as the file writes it, on one line.
func shownValue(v reflect.Value) string {
	var node yaml.Node
	if err := node.Encode(v.Interface()); err != nil {
		return "(another value)"
	}
	flow(&node)
	text, err := yaml.Marshal(&node)
	if err != nil {
		return "(another value)"
	}
	return gate.Printable(strings.Join(strings.Fields(string(text)), " "), 100)
}

// flow has a node written on one line.
func flow(n *yaml.Node) {
	n.Style |= yaml.FlowStyle
	if n.Kind == yaml.ScalarNode {
		n.Style = 0
		if n.Value == "" {
			n.Style = yaml.DoubleQuotedStyle
		}
	}
	for _, c := range n.Content {
		flow(c)
	}
}

// shownDifferences is a list for one line of the log.
func shownDifferences(list []difference) string {
	parts := make([]string, len(list))
	for i, d := range list {
		parts[i] = d.String()
	}
	return gate.Printable(strings.Join(parts, "; "), 2000)
}
