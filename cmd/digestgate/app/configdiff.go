package app

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/digestgate/digestgate/gate"
)

// difference is a key that two configurations do not agree on.
type difference struct {
	key  string // with the names of registries and namespaces in brackets
	text string // what it was and is
}

func (d difference) String() string { return d.key + ": " + d.text }

// live reports whether a running process can follow the change: modes,
// namespaces, registries and VEX sources.
func (d difference) live() bool {
	switch {
	case d.key == "admission.mode", d.key == "admission.exemptNamespaces":
		return true
	}
	return strings.HasPrefix(d.key, "admission.namespaces[") || strings.HasPrefix(d.key, "registries[") || strings.HasPrefix(d.key, "advisories.vex")
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
	case a.Kind() == reflect.Struct:
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

func sameValue(a, b reflect.Value) bool {
	switch a.Kind() {
	case reflect.Slice, reflect.Map:
		if a.Len() == 0 && b.Len() == 0 {
			return true
		}
	}
	return reflect.DeepEqual(a.Interface(), b.Interface())
}

func shownValue(v reflect.Value) string {
	text := fmt.Sprint(v.Interface())
	if text == "" {
		return `""`
	}
	return gate.Printable(text, 100)
}

// shownDifferences is a list for one line of the log.
func shownDifferences(list []difference) string {
	parts := make([]string, len(list))
	for i, d := range list {
		parts[i] = d.String()
	}
	return gate.Printable(strings.Join(parts, "; "), 2000)
}
