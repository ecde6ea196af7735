package policy

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/open-policy-agent/opa/v1/ast"
)

//go:embed schema.json
var schemaJSON []byte

// Schema is the JSON Schema of the input, as `policy schema` prints it.
func Schema() []byte { return slices.Clone(schemaJSON) }

// shape is the part of a JSON Schema that the lints read.
type shape struct {
	Type       string            `json:"type"`
	Enum       []any             `json:"enum"`
	Properties map[string]*shape `json:"properties"`
	Required   []string          `json:"required"`
	Items      *shape            `json:"items"`
}

// inputShape reads the embedded schema, which a test has read too.
func inputShape() *shape {
	var s shape
	if err := json.Unmarshal(schemaJSON, &s); err != nil {
		panic(fmt.Sprintf("policy: reading the embedded schema: %v", err))
	}
	return &s
}

// schemaSet is the schema for OPA's type checker.
func schemaSet() *ast.SchemaSet {
	var raw any
	if err := json.Unmarshal(schemaJSON, &raw); err != nil {
		panic(fmt.Sprintf("policy: reading the embedded schema: %v", err))
	}
	set := ast.NewSchemaSet()
	set.Put(ast.SchemaRootRef, raw)
	return set
}

// step is what an element of a reference leads to: a named property, or any
// element of an array. Nil when the schema does not say.
func (s *shape) step(t *ast.Term) *shape {
	if s == nil {
		return nil
	}
	if s.Type == "array" {
		return s.Items
	}
	if name, ok := t.Value.(ast.String); ok {
		return s.Properties[string(name)]
	}
	return nil
}
