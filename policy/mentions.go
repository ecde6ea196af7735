package policy

import (
	"slices"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
)

// mentions is which parts of the input a set can look at, read from its
// compiled references. A decision may be cached under those parts only. Where
// a reference is dynamic (input.request[x]) or the value is handed on
// (f(input.request)), everything below counts as mentioned.
type mentions struct {
	paths [][]string

	// Answers of any that every question needs.
	timed, event, advisories, tags bool
	request                        map[string]bool // by field
}

// mentionsOf walks all rules, those of libraries included.
func mentionsOf(c *ast.Compiler) mentions {
	seen := map[string]bool{}
	var m mentions
	add := func(path []string) {
		key := strings.Join(path, "\x00")
		if !seen[key] {
			seen[key] = true
			m.paths = append(m.paths, path)
		}
	}
	for _, module := range c.Modules {
		inRef := map[*ast.Term]bool{}
		ast.WalkTerms(module, func(t *ast.Term) bool {
			switch v := t.Value.(type) {
			case ast.Ref:
				if v[0].Equal(ast.InputRootDocument) {
					inRef[v[0]] = true
					add(inputPath(v))
				}
			case ast.Var: // the compiler makes references of these; if one stays, it counts
				if v.Equal(ast.InputRootDocument.Value) && !inRef[t] {
					add(nil)
				}
			}
			return false
		})
	}
	slices.SortFunc(m.paths, slices.Compare)
	// Everything that changes while the stored values stay the same.
	m.timed = m.any("now") || m.any("nowUnix") || m.any("image", "ageHours") ||
		m.any("scan", "ageHours") || m.any("scan", "advisories", "ageHours")
	m.event, m.advisories, m.tags = m.any("event"), m.any("scan", "advisories"), m.any("image", "tags")
	m.request = map[string]bool{}
	for name := range inputShape().Properties["request"].Properties {
		m.request[name] = m.any("request", name)
	}
	return m
}

// inputPath is the names after "input" up to the first one that is not fixed.
func inputPath(ref ast.Ref) []string {
	var path []string
	for _, t := range ref[1:] {
		name, ok := t.Value.(ast.String)
		if !ok {
			break
		}
		path = append(path, string(name))
	}
	return path
}

// any reports whether the set can see the value at path: it mentions it,
// something below it or something that contains it.
func (m mentions) any(path ...string) bool {
	return slices.ContainsFunc(m.paths, func(p []string) bool {
		n := min(len(p), len(path))
		return slices.Equal(p[:n], path[:n])
	})
}
