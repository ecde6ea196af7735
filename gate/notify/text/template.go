package text

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"text/template"
	"text/template/parse"
	"time"

	"github.com/digestgate/digestgate/gate"
)

// The bounds of templates.
const (
	MaxTemplate = 64 << 10 // bytes of the text
	MaxOutput   = 64 << 10 // bytes of what it makes
	MaxTime     = time.Second
	// maxSteps is how often bodies of ranges are run in one execution: a list has 30
	// entries, and no message needs 30 lists in each other.
	maxSteps = 100_000
	// maxMade is how many bytes functions may make in one execution, written or not.
	maxMade = 1 << 20
)

// functions are those that a template may call: comparisons and tests of text/template,
// and our own. There is none that formats with a width (one call could make gigabytes),
// none that calls, indexes or slices, and none that escapes: values are escaped already.
var functions = []string{"and", "or", "not", "eq", "ne", "lt", "le", "gt", "ge", "len", "upper", "lower", "join", "default"}

// Functions lists them, for the documentation.
func Functions() []string { return slices.Clone(functions) }

// step is called at the beginning of every body of a range. It is outside the closed set: no template can name it.
const step = "_step"

// Template is one that can be run. It is safe for concurrent use.
type Template struct{ parsed *template.Template }

// Parse reads a template. gate.ErrTooLarge for one above [MaxTemplate], gate.ErrInvalid
// for one that does not parse, calls a function outside the closed set, or defines or
// calls other templates.
func Parse(source string) (*Template, error) {
	if len(source) > MaxTemplate {
		return nil, fmt.Errorf("the template has %d bytes, more than %d; shorten it: %w", len(source), MaxTemplate, gate.ErrTooLarge)
	}
	t, err := template.New("template").Option("missingkey=error").Funcs((&execution{}).functions()).Parse(source)
	if err != nil {
		return nil, fmt.Errorf("the template does not parse: %s: %w", gate.Printable(err.Error(), 300), gate.ErrInvalid)
	}
	if len(t.Templates()) > 1 || t.Tree == nil || parse.IsEmptyTree(t.Root) {
		return nil, fmt.Errorf("the template defines other templates, or is empty; write one template: %w", gate.ErrInvalid)
	}
	if err := check(t.Root); err != nil {
		return nil, fmt.Errorf("the template: %w: %w", err, gate.ErrInvalid)
	}
	return &Template{t}, nil
}

// check walks a list of nodes, refuses what is not in the closed set and makes every
// range count its steps.
func check(list *parse.ListNode) error {
	if list == nil {
		return nil
	}
	for _, n := range list.Nodes {
		if err := checkNode(n); err != nil {
			return err
		}
	}
	return nil
}

func checkNode(n parse.Node) error {
	switch n := n.(type) {
	case *parse.TextNode, *parse.CommentNode, *parse.BreakNode, *parse.ContinueNode:
		return nil
	case *parse.ActionNode:
		return checkPipe(n.Pipe)
	case *parse.IfNode:
		return checkBranch(&n.BranchNode)
	case *parse.WithNode:
		return checkBranch(&n.BranchNode)
	case *parse.RangeNode:
		if err := checkBranch(&n.BranchNode); err != nil {
			return err
		}
		n.List.Nodes = append([]parse.Node{stepNode(n)}, n.List.Nodes...)
		return nil
	case *parse.TemplateNode:
		return errors.New("it calls another template with \"template\" or \"block\", which could call itself; write the text in place")
	}
	return fmt.Errorf("%s is not allowed in a template", gate.Quoted(n.String(), 60))
}

func checkBranch(n *parse.BranchNode) error {
	return errors.Join(checkPipe(n.Pipe), check(n.List), check(n.ElseList))
}

// stepNode is {{_step}}.
func stepNode(n *parse.RangeNode) parse.Node {
	id := parse.NewIdentifier(step).SetPos(n.Pos).SetTree(nil)
	command := &parse.CommandNode{NodeType: parse.NodeCommand, Pos: n.Pos, Args: []parse.Node{id}}
	return &parse.ActionNode{NodeType: parse.NodeAction, Pos: n.Pos, Line: n.Line, Pipe: &parse.PipeNode{NodeType: parse.NodePipe, Pos: n.Pos, Line: n.Line, Cmds: []*parse.CommandNode{command}}}
}

func checkPipe(p *parse.PipeNode) error {
	if p == nil {
		return nil
	}
	for _, c := range p.Cmds {
		for _, arg := range c.Args {
			if err := checkArg(arg); err != nil {
				return err
			}
		}
	}
	return nil
}

func checkArg(n parse.Node) error {
	switch n := n.(type) {
	case *parse.IdentifierNode:
		if !slices.Contains(functions, n.Ident) {
			return fmt.Errorf("it calls %s; the functions that it can call are %s", gate.Quoted(n.Ident, 40), strings.Join(functions, ", "))
		}
	case *parse.PipeNode:
		return checkPipe(n)
	case *parse.ChainNode:
		return checkArg(n.Node)
	}
	return nil // a field, a variable or a constant
}

// Run runs the template over data, whose strings are escaped already. gate.ErrTooLarge
// for more output than limit or [MaxOutput], gate.ErrTimeout after [MaxTime],
// gate.ErrInvalid for anything else that is wrong.
func (t *Template) Run(ctx context.Context, data any, limit int) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, MaxTime)
	defer cancel()
	e := &execution{ctx: ctx, limit: min(limit, MaxOutput)}
	done := make(chan error, 1)
	go func() {
		defer func() {
			if p := recover(); p != nil {
				done <- fmt.Errorf("running the template: %s: %w", gate.Printable(fmt.Sprint(p), 200), gate.ErrInvalid)
			}
		}()
		done <- e.run(t.parsed, data)
	}()
	select {
	case err := <-done:
		if err != nil {
			return "", err
		}
		return e.out.String(), nil
	case <-ctx.Done():
		// The goroutine ends by itself: every write, step and function looks at ctx.
		return "", fmt.Errorf("running the template took more than %s: %w", MaxTime, gate.ErrTimeout)
	}
}

// execution is one run.
type execution struct {
	ctx         context.Context
	out         bytes.Buffer
	limit       int
	steps, made int
}

func (e *execution) run(t *template.Template, data any) error {
	own, err := t.Clone()
	if err == nil {
		err = own.Funcs(e.functions()).Execute(e, data)
	}
	switch {
	case err == nil:
		return nil
	case errors.Is(err, gate.ErrTooLarge), errors.Is(err, gate.ErrTimeout):
		return fmt.Errorf("running the template: %w", err)
	}
	return fmt.Errorf("running the template: %s: %w", gate.Printable(err.Error(), 300), gate.ErrInvalid)
}

// Write implements io.Writer.
func (e *execution) Write(p []byte) (int, error) {
	if e.out.Len()+len(p) > e.limit {
		return 0, fmt.Errorf("it writes more than %d bytes: %w", e.limit, gate.ErrTooLarge)
	}
	if err := e.alive(); err != nil {
		return 0, err
	}
	return e.out.Write(p)
}

func (e *execution) alive() error {
	if e.ctx.Err() != nil {
		return gate.ErrTimeout
	}
	return nil
}

func (e *execution) step() (string, error) {
	if e.steps++; e.steps > maxSteps {
		return "", fmt.Errorf("its ranges run more than %d times: %w", maxSteps, gate.ErrTooLarge)
	}
	return "", e.alive()
}

// makes counts what a function makes.
func (e *execution) makes(n int) error {
	if e.made += n; e.made > maxMade {
		return fmt.Errorf("its functions make more than %d bytes: %w", maxMade, gate.ErrTooLarge)
	}
	return e.alive()
}

func (e *execution) functions() template.FuncMap {
	return template.FuncMap{
		step: e.step,
		"upper": func(s string) (string, error) {
			if err := e.makes(3 * len(s)); err != nil { // the longest that a character becomes
				return "", err
			}
			return strings.ToUpper(s), nil
		},
		"lower": func(s string) (string, error) {
			if err := e.makes(3 * len(s)); err != nil {
				return "", err
			}
			return strings.ToLower(s), nil
		},
		"join": func(list []string, between string) (string, error) {
			n := len(between) * len(list)
			for _, s := range list {
				n += len(s)
			}
			if err := e.makes(n); err != nil {
				return "", err
			}
			return strings.Join(list, between), nil
		},
		"default": func(otherwise, s string) string {
			if s == "" {
				return otherwise
			}
			return s
		},
	}
}
