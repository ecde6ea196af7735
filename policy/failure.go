package policy

import (
	"context"
	"encoding/json"
	"fmt"
	"reflect"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/rego"
	"github.com/open-policy-agent/opa/v1/topdown"
)

// TestFailure is what a test that did not pass saw.
type TestFailure struct {
	// Row and Text are the expression that did not hold, as it was written; 0
	// and "" when the test's own body was not reached.
	Row  int    `json:"row"`
	Text string `json:"text"`
	// Input is the document under which it was evaluated, nil without one. Of a
	// total document only what differs from a clean image is in it, and Partial
	// is set.
	Input   any  `json:"input,omitempty"`
	Partial bool `json:"partial,omitempty"`
	// Deny and Warn are what the rules say of that input.
	Deny any `json:"deny,omitempty"`
	Warn any `json:"warn,omitempty"`
}

// failureTracer remembers what failed last in the file of a test.
type failureTracer struct {
	file  string
	at    *ast.Location
	input *ast.Term
	last  *ast.Term // the input at hand
}

func (t *failureTracer) Enabled() bool               { return true }
func (t *failureTracer) Config() topdown.TraceConfig { return topdown.TraceConfig{} }

func (t *failureTracer) TraceEvent(e topdown.Event) {
	if in := e.Input(); in != nil {
		t.last = in
	}
	if e.Op == topdown.FailOp && e.Location != nil && e.Location.File == t.file {
		if _, ok := e.Node.(*ast.Expr); ok {
			t.at, t.input = e.Location, t.last
		}
	}
}

// explain evaluates a test that failed again, to see where, with which input,
// and what the rules say of that.
func explain(ctx context.Context, c *ast.Compiler, r TestResult) *TestFailure {
	ctx, cancel := context.WithTimeout(ctx, testTimeout)
	defer cancel()
	tracer := &failureTracer{file: r.File}
	_, err := evalOnce(ctx, c, "data."+r.Name, nil, tracer)
	f := &TestFailure{}
	if err != nil { // the test's own error says where
		tracer.input = tracer.last
	} else if tracer.at != nil {
		f.Row, f.Text = tracer.at.Row, string(tracer.at.Text)
	}
	input := tracer.input
	if input == nil {
		input = tracer.last
	}
	if input == nil {
		return f
	}
	f.Input, f.Partial = fromClean(input.Value)
	for _, doc := range []struct {
		name string
		to   *any
	}{{ruleDeny, &f.Deny}, {ruleWarn, &f.Warn}} {
		if results, err := evalOnce(ctx, c, "data."+rulePackage+"."+doc.name, input.Value, nil); err == nil && len(results) == 1 {
			*doc.to = results[0].Expressions[0].Value
		}
	}
	return f
}

func evalOnce(ctx context.Context, c *ast.Compiler, query string, input ast.Value, tracer topdown.QueryTracer) (rego.ResultSet, error) {
	prepared, err := rego.New(append(boundedFunctions(), rego.Compiler(c), rego.Query(query), rego.StrictBuiltinErrors(true))...).PrepareForEval(ctx)
	if err != nil {
		return nil, err
	}
	var options []rego.EvalOption
	if tracer != nil {
		options = append(options, rego.EvalQueryTracer(tracer))
	}
	if input != nil {
		options = append(options, rego.EvalParsedInput(input))
	}
	return prepared.Eval(withSpending(ctx), options...)
}

// fromClean is an input document as JSON; of one that has all fields, what
// differs from a clean image.
func fromClean(v ast.Value) (document any, partial bool) {
	document, err := ast.JSON(v)
	if err != nil {
		return v.String(), false
	}
	clean, err := ast.JSON(cleanSample().input())
	if err != nil {
		return document, false
	}
	all, _ := document.(map[string]any)
	base, _ := clean.(map[string]any)
	for name := range base {
		if _, ok := all[name]; !ok {
			return document, false
		}
	}
	return difference(all, base), true
}

// difference is what of an object is not as in base.
func difference(object, base map[string]any) map[string]any {
	out := map[string]any{}
	for name, v := range object {
		switch b := base[name]; {
		case reflect.DeepEqual(v, b):
		default:
			inner, isObject := v.(map[string]any)
			baseInner, wasObject := b.(map[string]any)
			if isObject && wasObject {
				v = difference(inner, baseInner)
			}
			out[name] = v
		}
	}
	return out
}

// Lines print a failure.
func (f *TestFailure) Lines() []string {
	var lines []string
	if f.Text != "" {
		lines = append(lines, fmt.Sprintf("line %d does not hold: %s", f.Row, strings.Join(strings.Fields(f.Text), " ")))
	}
	if f.Input == nil {
		return append(lines, "no input")
	}
	title := "input"
	if f.Partial {
		title = "input, where it differs from testing.image({})"
	}
	for _, part := range []struct {
		title string
		value any
	}{{title, f.Input}, {ruleDeny, f.Deny}, {ruleWarn, f.Warn}} {
		if part.value == nil {
			continue // no rule of the set adds to it
		}
		text, err := json.Marshal(part.value)
		if err != nil {
			text = fmt.Append(nil, part.value)
		}
		lines = append(lines, part.title+": "+string(text))
	}
	return lines
}
