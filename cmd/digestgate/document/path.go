package document

import (
	"fmt"
	"reflect"
	"regexp"
	"strings"
)

// Paths lists the keys that can be set by themselves: those that hold a value,
// a list or a map, as in "scan.timeout". t is a struct.
func Paths(t reflect.Type) []string {
	var paths []string
	walk(t, "", false, func(path string) { paths = append(paths, path) })
	return paths
}

// everywhere lists every key, also of the elements of lists and maps, as in
// "registries[].host" and "admission.namespaces.NAME.mode".
func everywhere(t reflect.Type) []string {
	var paths []string
	walk(t, "", true, func(path string) { paths = append(paths, path) })
	return paths
}

func walk(t reflect.Type, prefix string, elements bool, visit func(path string)) {
	for name, f := range fieldsOf(t) {
		path := prefix + name
		if isStruct(f.Type) {
			if elements {
				visit(path)
			}
			walk(f.Type, path+".", elements, visit)
			continue
		}
		visit(path)
		switch kind := f.Type.Kind(); {
		case !elements || kind != reflect.Slice && kind != reflect.Map || !isStruct(f.Type.Elem()):
		case kind == reflect.Slice:
			walk(f.Type.Elem(), path+"[].", elements, visit)
		default:
			walk(f.Type.Elem(), path+".NAME.", elements, visit)
		}
	}
}

// fieldsOf are the keys of a struct in their order, those of an inlined one
// among them.
func fieldsOf(t reflect.Type) func(yield func(string, reflect.StructField) bool) {
	return func(yield func(string, reflect.StructField) bool) { eachField(t, nil, yield) }
}

func eachField(t reflect.Type, index []int, yield func(string, reflect.StructField) bool) bool {
	for i := range t.NumField() {
		f := t.Field(i)
		at := append(append([]int{}, index...), i)
		name, options, _ := strings.Cut(f.Tag.Get("yaml"), ",")
		if options == "inline" {
			if !eachField(f.Type, at, yield) {
				return false
			}
			continue
		}
		if f.Index = at; name != "" && name != "-" && !yield(name, f) {
			return false
		}
	}
	return true
}

func isStruct(t reflect.Type) bool { return t.Kind() == reflect.Struct }

// find is the field that a path of Paths leads to.
func find(v reflect.Value, path string) reflect.Value {
	for part := range strings.SplitSeq(path, ".") {
		found := false
		for name, f := range fieldsOf(v.Type()) {
			if found = name == part; found {
				v = v.FieldByIndex(f.Index)
				break
			}
		}
		if !found {
			panic(fmt.Sprintf("document: %q is not a key", path))
		}
	}
	return v
}

// plainKey needs no quotes in a path.
var plainKey = regexp.MustCompile(`^[A-Za-z0-9_/-]+$`)

// below is the path of a key, index the one of an element.
func below(path, key string) string {
	switch plain := plainKey.MatchString(key); {
	case path == "" && plain:
		return key
	case path == "":
		return quote(key)
	case !plain:
		return path + "[" + quote(key) + "]"
	}
	return path + "." + key
}

func index(path string, i int) string { return fmt.Sprintf("%s[%d]", path, i) }

// parent is the path around a key, "" around the outermost.
func parent(path string) string {
	if strings.HasSuffix(path, "]") {
		if i := strings.LastIndexByte(path, '['); i >= 0 {
			return path[:i]
		}
	}
	// A dot inside of quotes is not one: what follows the last bracket counts.
	from := strings.LastIndexByte(path, ']') + 1
	if i := strings.LastIndexByte(path[from:], '.'); i >= 0 {
		return path[:from+i]
	}
	return path[:from]
}
