package policy

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/rego"
	"github.com/open-policy-agent/opa/v1/topdown"

	"github.com/digestgate/digestgate/gate"
)

// The bounds of what a decision carries. Rules should bound what they say
// themselves; these keep a careless one from filling records and messages.
const (
	maxReasons     = 50   // of deny and of warn, each
	maxRuleBytes   = 100  // of a rule's name
	maxMsgBytes    = 1000 // of a message; admission prints at most 1,024 in all
	maxFindings    = 50   // ids of one reason
	maxFindingSize = 100  // bytes of an id
	unnamedRule    = "unnamed"
)

// reasonsOf reads the result of the query: first what denies, then what warns,
// each sorted by rule and message. Everything that is not exactly a
// set of texts or of {rule, msg, findings?} is an error.
func (s *Set) reasonsOf(results rego.ResultSet) ([]gate.Reason, error) {
	if len(results) != 1 {
		return nil, fmt.Errorf("the query has %d results instead of one: %w", len(results), gate.ErrPolicyFailed)
	}
	var reasons []gate.Reason
	for _, doc := range []struct {
		name   string
		action gate.Outcome
	}{{ruleDeny, gate.OutcomeDeny}, {ruleWarn, gate.OutcomeWarn}} {
		value, ok := results[0].Bindings[doc.name]
		if !ok {
			continue // no rule of the set adds to it
		}
		list, err := reasonsIn(doc.name, doc.action, value)
		if err != nil {
			return nil, err
		}
		reasons = append(reasons, list...)
	}
	return reasons, nil
}

func reasonsIn(name string, action gate.Outcome, value any) ([]gate.Reason, error) {
	term, ok := value.(*ast.Term)
	if !ok {
		return nil, fmt.Errorf("data.digestgate.%s has no value: %w", name, gate.ErrPolicyFailed)
	}
	set, ok := term.Value.(ast.Set)
	if !ok {
		return nil, fmt.Errorf("data.digestgate.%s is a %s, not a set: %w", name, jsonType(term), gate.ErrPolicyFailed)
	}
	reasons := make([]gate.Reason, 0, set.Len())
	for _, t := range set.Slice() {
		r, err := reasonOf(t)
		if err != nil {
			return nil, fmt.Errorf("data.digestgate.%s: %s: %w", name, err, gate.ErrPolicyFailed)
		}
		r.Action, r.Code = action, gate.CodePolicy
		reasons = append(reasons, r)
	}
	slices.SortFunc(reasons, func(a, b gate.Reason) int {
		return cmp.Or(strings.Compare(a.Rule, b.Rule), strings.Compare(a.Msg, b.Msg))
	})
	if len(reasons) > maxReasons {
		more := len(reasons) - maxReasons + 1
		reasons = append(slices.Clone(reasons[:maxReasons-1]), gate.Reason{
			Action: action, Code: gate.CodePolicy, Rule: unnamedRule, Findings: []string{}, Msg: fmt.Sprintf("and %d more reasons", more),
		})
	}
	return reasons, nil
}

// reasonOf reads one element.
func reasonOf(t *ast.Term) (gate.Reason, error) {
	switch v := t.Value.(type) {
	case ast.String:
		if v == "" {
			return gate.Reason{}, errors.New("a reason is an empty text")
		}
		return gate.Reason{Rule: unnamedRule, Msg: gate.Printable(string(v), maxMsgBytes), Findings: []string{}}, nil
	case ast.Object:
		return reasonOfObject(v)
	}
	return gate.Reason{}, fmt.Errorf("a reason is a %s; want a text or {\"rule\": …, \"msg\": …}", jsonType(t))
}

func reasonOfObject(o ast.Object) (gate.Reason, error) {
	r := gate.Reason{Findings: []string{}}
	err := o.Iter(func(k, v *ast.Term) error {
		var err error
		switch k.Value {
		case ast.String("rule"):
			r.Rule, err = textField("rule", v, maxRuleBytes)
		case ast.String("msg"):
			r.Msg, err = textField("msg", v, maxMsgBytes)
		case ast.String("findings"):
			r.Findings, err = idsField(v)
		default:
			err = fmt.Errorf("a reason has the unknown field %s; rule, msg and findings are known", gate.Printable(k.String(), 40))
		}
		return err
	})
	switch {
	case err != nil:
		return gate.Reason{}, err
	case r.Rule == "":
		return gate.Reason{}, errors.New("a reason has no rule; write {\"rule\": …, \"msg\": …}")
	case r.Msg == "":
		return gate.Reason{}, errors.New("a reason has no msg; write {\"rule\": …, \"msg\": …}")
	}
	return r, nil
}

func textField(name string, v *ast.Term, limit int) (string, error) {
	s, ok := v.Value.(ast.String)
	if !ok || s == "" {
		return "", fmt.Errorf("%s of a reason is %s; want a text that is not empty", name, gate.Printable(v.String(), 40))
	}
	return gate.Printable(string(s), limit), nil
}

// idsField takes an array or a set of texts, in its order.
func idsField(v *ast.Term) ([]string, error) {
	ids := []string{}
	switch v.Value.(type) {
	case *ast.Array, ast.Set:
	default:
		return nil, fmt.Errorf("findings of a reason is a %s; want an array or a set of ids", jsonType(v))
	}
	for _, e := range elements(v) {
		s, ok := e.Value.(ast.String)
		if !ok {
			return nil, fmt.Errorf("findings of a reason holds a %s; want ids", jsonType(e))
		}
		if len(ids) < maxFindings {
			ids = append(ids, gate.Printable(string(s), maxFindingSize))
		}
	}
	return ids, nil
}

// evalError puts an evaluation's failure into one line.
func evalError(err error) error {
	var e *topdown.Error
	if !errors.As(err, &e) {
		return fmt.Errorf("%w: %w", gate.ErrPolicyFailed, err)
	}
	text := strings.ReplaceAll(e.Message, boundedPrefix, "")
	if e.Location != nil && e.Location.File != "" {
		text = fmt.Sprintf("%s:%d:%d: %s", e.Location.File, e.Location.Row, e.Location.Col, text)
	}
	return fmt.Errorf("%s: %w", text, gate.ErrPolicyFailed)
}
