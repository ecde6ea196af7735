package policy

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/rego"
	"github.com/open-policy-agent/opa/v1/topdown"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/gate/refusal"
)

// DryRun decides one input document with the rules of files, which it must fit
// exactly (see [Schema] and [SampleInput]); prints gets what the rules print.
// The conditions of the engine are not part of it: they are about things that
// no input holds. Errors: [Problems], gate.ErrInvalid for an input that does
// not fit. A rule that fails is a deny, as in the server.
func DryRun(ctx context.Context, files []File, input []byte, prints io.Writer) (gate.Decision, error) {
	set, err := compile(files, compiling{prints: true})
	if err != nil {
		return gate.Decision{}, err
	}
	value, err := parseInput(input)
	if err != nil {
		return gate.Decision{}, err
	}
	reasons, err := newPool(1, DefaultBudget).do(ctx, func(ctx context.Context) ([]gate.Reason, error) {
		results, err := set.query.Eval(withSpending(ctx), rego.EvalParsedInput(value), rego.EvalPrintHook(topdown.NewPrintHook(prints)))
		if err != nil {
			return nil, evalError(err)
		}
		return set.reasonsOf(results)
	})
	if err != nil {
		reasons = []gate.Reason{condition(gate.OutcomeDeny, gate.CodeOf(err), refusal.Say(refusal.PolicyNoAnswer, refusal.P{"why": err}))}
	}
	return decide(gate.Decision{PolicyRevision: contentHash(set.files)}, reasons), nil
}

// parseInput reads an input document and checks it against the schema.
func parseInput(data []byte) (ast.Value, error) {
	document, err := jsonschema.UnmarshalJSON(bytes.NewReader(data))
	if err != nil {
		return nil, fmt.Errorf("reading the input: %w: %w", gate.ErrInvalid, err)
	}
	schema, err := compiledSchema()
	if err != nil {
		return nil, err
	}
	if err := schema.Validate(document); err != nil {
		// The first line names the schema, which says nothing to the reader.
		_, detail, _ := strings.Cut(err.Error(), "\n")
		return nil, fmt.Errorf("the input does not fit the schema (`digestgate policy input` prints one that does):\n%s: %w", detail, gate.ErrInvalid)
	}
	value, err := ast.InterfaceToValue(document)
	if err != nil {
		return nil, fmt.Errorf("reading the input: %w: %w", gate.ErrInvalid, err)
	}
	return value, nil
}

func compiledSchema() (*jsonschema.Schema, error) {
	raw, err := jsonschema.UnmarshalJSON(bytes.NewReader(schemaJSON))
	if err != nil {
		return nil, fmt.Errorf("reading the embedded schema: %w", err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource("input.json", raw); err != nil {
		return nil, fmt.Errorf("reading the embedded schema: %w", err)
	}
	schema, err := c.Compile("input.json")
	if err != nil {
		return nil, fmt.Errorf("reading the embedded schema: %w", err)
	}
	return schema, nil
}
