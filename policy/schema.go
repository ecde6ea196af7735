package policy

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

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
	// NotFilled says why a place has the same value in every input of this
	// version, and what to look at instead; "" for all that is filled.
	NotFilled string `json:"notFilled"`
	// Watched: the place is filled where the cluster is watched, and only there.
	Watched bool `json:"watched"`
	// NotKnown is the text that stands for what is not known, "" for the empty
	// one.
	NotKnown string `json:"notKnown"`

	path string // as a rule writes it, [_] for an element
}

// inputShape reads the embedded schema, which a test has read too.
func inputShape() *shape {
	var s shape
	if err := json.Unmarshal(schemaJSON, &s); err != nil {
		panic(fmt.Sprintf("policy: reading the embedded schema: %v", err))
	}
	s.place("input")
	return &s
}

// place tells a schema and those below it where they are.
func (s *shape) place(path string) {
	s.path = path
	for name, p := range s.Properties {
		p.place(path + "." + name)
	}
	if s.Items != nil {
		s.Items.place(path + "[_]")
	}
}

// unknownIsNegative reports whether -1 stands for a number that is not known.
func (s *shape) unknownIsNegative() bool {
	return strings.HasSuffix(s.path, "Unix") || strings.HasSuffix(s.path, "Hours") || strings.HasSuffix(s.path, ".cvss") ||
		strings.HasSuffix(s.path, ".epss") || strings.HasSuffix(s.path, ".epssPercentile")
}

// NotFilled lists the places of the input that have the same value in every
// input of this version, sorted. [Compile] refuses rules that read them.
func NotFilled() []string {
	var list []string
	var walk func(s *shape)
	walk = func(s *shape) {
		if s.NotFilled != "" {
			list = append(list, s.path)
		}
		for _, p := range s.Properties {
			walk(p)
		}
		if s.Items != nil {
			walk(s.Items)
		}
	}
	walk(inputShape())
	slices.Sort(list)
	return list
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
