package charttest

import (
	"maps"
	"slices"
	"strings"
)

// Schema makes one schema without references of a definition of Kubernetes' OpenAPI document
// (version 2), as kubeconform reads it, in which no unknown field is allowed. definitions are
// those of the document.
func Schema(definitions map[string]any, name string) map[string]any {
	s, _ := resolve(definitions, name, nil).(map[string]any)
	s["$schema"] = "http://json-schema.org/draft-07/schema#"
	return s
}

const reference = "#/definitions/"

// resolve copies a definition with what it refers to. A definition within itself becomes any
// value; the chart renders none.
func resolve(definitions map[string]any, name string, within []string) any {
	if slices.Contains(within, name) {
		return map[string]any{}
	}
	switch name {
	case "io.k8s.apimachinery.pkg.util.intstr.IntOrString":
		return map[string]any{"type": []any{"string", "integer"}}
	case "io.k8s.apimachinery.pkg.api.resource.Quantity":
		return map[string]any{"type": []any{"string", "number"}}
	}
	return inline(definitions, definitions[name], append(slices.Clone(within), name))
}

func inline(definitions map[string]any, node any, within []string) any {
	switch node := node.(type) {
	case []any:
		list := make([]any, len(node))
		for i, e := range node {
			list[i] = inline(definitions, e, within)
		}
		return list
	case map[string]any:
		if ref, ok := node["$ref"].(string); ok {
			return resolve(definitions, strings.TrimPrefix(ref, reference), within)
		}
		out := map[string]any{}
		for _, key := range slices.Sorted(maps.Keys(node)) {
			text, isText := node[key].(string)
			if strings.HasPrefix(key, "x-kubernetes-") || isText && (text == "" || key == "description" || key == "format") {
				continue
			}
			out[key] = inline(definitions, node[key], within)
		}
		if _, has := out["properties"]; has && out["additionalProperties"] == nil && out["type"] == "object" {
			out["additionalProperties"] = false
		}
		return out
	}
	return node
}
