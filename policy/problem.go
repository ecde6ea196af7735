package policy

import (
	"errors"
	"fmt"
	"regexp"
	"sort"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"

	"github.com/digestgate/digestgate/gate"
)

// Problem is one thing that is wrong with a policy file.
type Problem struct {
	File string `json:"file"` // "" when it is about the set
	Row  int    `json:"row"`
	Col  int    `json:"col"`
	Text string `json:"text"`
	// watched: nothing is wrong where the cluster is watched.
	watched bool
}

func (p Problem) String() string {
	if p.File == "" {
		return p.Text
	}
	return fmt.Sprintf("%s:%d:%d: %s", p.File, p.Row, p.Col, p.Text)
}

// problem is p as an error.
func (p Problem) problem() error { return Problems{p} }

// Problems is the error of a set that does not load; it wraps gate.ErrInvalid.
type Problems []Problem

// maxProblems is how many lines Error prints; one mistake often causes many.
const maxProblems = 20

func (ps Problems) Error() string {
	var lines []string
	for i, p := range ps {
		if i == maxProblems {
			lines = append(lines, fmt.Sprintf("and %d more", len(ps)-i))
			break
		}
		lines = append(lines, p.String())
	}
	return strings.Join(lines, "\n")
}

// Unwrap gives access to the sentinel.
func (ps Problems) Unwrap() error { return gate.ErrInvalid }

// apart separates what is wrong everywhere from what is where the cluster is not watched.
func (ps Problems) apart() (everywhere, unwatched Problems) {
	for _, p := range ps {
		if p.watched {
			unwatched = append(unwatched, p)
		} else {
			everywhere = append(everywhere, p)
		}
	}
	return everywhere, unwatched
}

// at makes a problem for a place in a file.
func at(loc *ast.Location, format string, args ...any) Problem {
	p := Problem{Text: fmt.Sprintf(format, args...)}
	if loc != nil {
		p.File, p.Row, p.Col = loc.File, loc.Row, loc.Col
	}
	return p
}

// sorted orders by place and removes repetitions.
func (ps Problems) sorted() Problems {
	sort.SliceStable(ps, func(i, j int) bool {
		a, b := ps[i], ps[j]
		switch {
		case a.File != b.File:
			return a.File < b.File
		case a.Row != b.Row:
			return a.Row < b.Row
		case a.Col != b.Col:
			return a.Col < b.Col
		}
		return a.Text < b.Text
	})
	var out Problems
	for i, p := range ps {
		if i == 0 || p != ps[i-1] {
			out = append(out, p)
		}
	}
	return out
}

var (
	localName     = regexp.MustCompile(`__local[0-9]+__`)
	undefinedCall = regexp.MustCompile(`^undefined function ([A-Za-z0-9_.]+)`)
)

// problemsOf turns what OPA says into problems: its generated names become
// those that the author wrote, and a builtin that is left out says why.
func problemsOf(err error, rewritten map[ast.Var]ast.Var) Problems {
	var list ast.Errors
	var one *ast.Error
	switch {
	case errors.As(err, &list):
	case errors.As(err, &one):
		list = ast.Errors{one}
	default:
		return Problems{{Text: err.Error()}}
	}
	var ps Problems
	for _, e := range list {
		text := e.Message
		if e.Details != nil {
			for _, line := range e.Details.Lines() {
				if line = strings.TrimSpace(line); line != "" && strings.Trim(line, "^") != "" {
					text += "; " + line
				}
			}
		}
		if m := undefinedCall.FindStringSubmatch(e.Message); m != nil && knownBuiltin(m[1]) {
			text = notAllowed(m[1])
		}
		text = localName.ReplaceAllStringFunc(text, func(name string) string {
			if v, ok := rewritten[ast.Var(name)]; ok {
				return string(v)
			}
			return "_"
		})
		ps = append(ps, at(e.Location, "%s", strings.Join(strings.Fields(text), " ")))
	}
	return ps.sorted()
}
