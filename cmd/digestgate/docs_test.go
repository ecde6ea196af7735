package main

import (
	"maps"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"

	"github.com/digestgate/digestgate/scanner/registry"
)

// documentedKey is a row of a table in docs/configuration.md.
var documentedKey = regexp.MustCompile("(?m)^\\| `([a-zA-Z.\\[\\]]+)` \\| `([^|]*)` \\| (.+) \\|$")

// TestConfigurationPage compares the page with the program: every key, also of
// the elements of lists, stands there once, with its default.
func TestConfigurationPage(t *testing.T) {
	t.Parallel()
	got := map[string]string{}
	for _, row := range documentedKey.FindAllStringSubmatch(read(t, "../../docs/configuration.md"), -1) {
		if _, twice := got[row[1]]; twice {
			t.Errorf("%s stands there twice", row[1])
		}
		got[row[1]] = row[2]
	}
	want := map[string]string{}
	defaultsOf(t, "", reflect.ValueOf(DefaultConfig()), want)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("keys and defaults (-program +page):\n%s", diff)
	}
	documented := slices.Collect(maps.Keys(got))
	for _, path := range keyPaths() {
		if !slices.Contains(documented, path) {
			t.Errorf("key %s is not documented", path)
		}
	}
}

// defaultsOf writes every key below v with its value as one line of YAML.
func defaultsOf(t *testing.T, prefix string, v reflect.Value, into map[string]string) {
	t.Helper()
	for i := range v.NumField() {
		field := v.Type().Field(i)
		name, options, _ := strings.Cut(field.Tag.Get("yaml"), ",")
		if options == "inline" {
			defaultsOf(t, prefix, v.Field(i), into)
			continue
		}
		path, value := prefix+name, v.Field(i)
		if value.Kind() == reflect.Struct {
			defaultsOf(t, path+".", value, into)
			continue
		}
		into[path] = oneLine(t, value.Interface())
		if kind := value.Kind(); kind != reflect.Slice && kind != reflect.Map || value.Type().Elem().Kind() != reflect.Struct {
			continue
		}
		element := reflect.New(value.Type().Elem()).Elem()
		if path == "registries" {
			element.Set(reflect.ValueOf(RegistryConfig{Config: registry.DefaultConfig()}))
		}
		if value.Kind() == reflect.Map {
			defaultsOf(t, path+".NAME.", element, into)
		} else {
			defaultsOf(t, path+"[].", element, into)
		}
	}
}

func oneLine(t *testing.T, value any) string {
	t.Helper()
	var node yaml.Node
	if err := node.Encode(value); err != nil {
		t.Fatal(err)
	}
	flow(&node)
	text, err := yaml.Marshal(&node)
	if err != nil {
		t.Fatal(err)
	}
	return strings.Join(strings.Fields(string(text)), " ") // long lists are wrapped
}

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
