package oval

import (
	"fmt"
	"slices"
	"strings"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/scanner/advisory/format"
)

// Bounds on one definition: SUSE's of a kernel name some 30 releases, and some thousand
// packages in all.
const maxReleases, maxStatements = 1000, 200_000

// condition is what is known at a place in the criteria: what the alternatives above it,
// and beside it, demand.
type condition struct {
	platform, module, arch string
}

// walk turns the criteria of one definition into statements.
type walk struct {
	p          *parser
	statements []format.Statement
	platforms  []string
	repaired   int
	problem    string // why the definition cannot be used
	stated     map[said]bool
}

// said is a statement as far as two of one definition differ.
type said struct{ platform, module, pkg, arch, version string }

// criteria visits a node. An AND hands what its leaves demand to the nodes beside them;
// each branch of an OR stands for itself. above are the leaves of the ANDs above.
func (w *walk) criteria(c *criteria, above []*criteria, known condition) {
	if c.negate {
		return // "unless": nothing that makes a package affected
	}
	if c.test != "" {
		w.pkg(c, known)
		return
	}
	if c.or {
		// An OR of releases only, inside of an AND, is handled by that AND.
		for i := range c.under {
			w.criteria(&c.under[i], nil, w.learn(known, &c.under[i]))
		}
		return
	}
	var packages []*criteria
	for i := range c.under {
		if under := &c.under[i]; under.test != "" || !w.onlyConditions(under) {
			packages = append(packages, under)
		}
	}
	for _, alternative := range w.alternatives(c, known) {
		for _, under := range packages {
			if w.problem == "" {
				w.criteria(under, nil, alternative)
			}
		}
	}
}

// alternatives are the conditions under which an AND holds: what its leaves demand, times
// the releases of an OR of releases beside them.
func (w *walk) alternatives(c *criteria, known condition) []condition {
	for i := range c.under {
		known = w.learn(known, &c.under[i])
	}
	out := []condition{known}
	for i := range c.under {
		under := &c.under[i]
		if under.test != "" || under.negate || !w.onlyConditions(under) {
			continue
		}
		var more []condition
		for _, k := range out {
			for j := range under.under {
				if len(more) <= maxReleases {
					more = append(more, w.learn(k, &under.under[j]))
				}
			}
		}
		if len(more) > 0 && len(more) <= maxReleases {
			out = more
		}
	}
	return out
}

// onlyConditions reports whether nothing below c is about the version of a package.
func (w *walk) onlyConditions(c *criteria) bool {
	if c.test != "" {
		_, ok := w.fix(c)
		return !ok
	}
	return !slices.ContainsFunc(c.under, func(u criteria) bool { return !w.onlyConditions(&u) })
}

// learn adds what a leaf demands besides the version of a package.
func (w *walk) learn(known condition, leaf *criteria) condition {
	if leaf.test == "" || leaf.negate || leaf.comment == "" {
		return known
	}
	comment := leaf.comment
	switch {
	case strings.HasPrefix(comment, "Module ") && strings.HasSuffix(comment, " is enabled"):
		known.module = strings.TrimSuffix(strings.TrimPrefix(comment, "Module "), " is enabled")
	case strings.Contains(comment, " arch is "):
		_, known.arch, _ = strings.Cut(comment, " arch is ")
	case strings.HasSuffix(comment, " is installed"):
		if _, ok := w.fix(leaf); ok || w.presence(leaf) {
			break // "libfoo is installed" is about a package
		}
		known.platform = strings.TrimSuffix(comment, " is installed")
		switch {
		case slices.Contains(w.platforms, known.platform):
		case len(w.platforms) >= maxReleases:
			w.problem = fmt.Sprintf("it names more than %d releases", maxReleases)
		default:
			w.platforms = append(w.platforms, known.platform)
		}
	}
	return known
}

// presence reports whether a leaf only asks whether a package is there: SUSE's files do so
// for the package that is a release ("sles-release"), which names the platform.
func (w *walk) presence(leaf *criteria) bool {
	t, ok := w.p.tests[leaf.test]
	if !ok {
		return false
	}
	name, ok := w.p.objects[t.object]
	return ok && !strings.HasSuffix(name, "-release") && !strings.Contains(name, "release")
}

// fix is what a leaf says of a package's version; ok is false for another leaf.
func (w *walk) fix(leaf *criteria) (s state, ok bool) {
	t, ok := w.p.tests[leaf.test]
	if !ok {
		return s, false
	}
	for _, ref := range strings.Fields(t.state) {
		st := w.p.states[ref]
		if st.evr != "" && strings.HasPrefix(st.operation, "less than") {
			s.evr, s.operation = st.evr, st.operation
		}
		if st.arch != "" {
			s.arch = st.arch
		}
	}
	return s, s.evr != ""
}

// pkg makes a statement of a leaf about the version of a package.
func (w *walk) pkg(leaf *criteria, known condition) {
	s, ok := w.fix(leaf)
	if !ok || w.problem != "" {
		return
	}
	t := w.p.tests[leaf.test]
	name, ok := w.p.objects[t.object]
	if !ok {
		w.problem = fmt.Sprintf("test %s refers to the object %s, which names no package", gate.Quoted(leaf.test, 80), gate.Quoted(t.object, 80))
		return
	}
	// Alibaba names the line of a kernel: "kernel:5.10" is the package kernel.
	name, _, _ = strings.Cut(name, ":")
	v, repaired, err := format.RepairEVR(s.evr)
	switch {
	case err != nil:
		w.problem = fmt.Sprintf("package %s: %s", gate.Quoted(name, 80), err)
		return
	case !format.RPMName(name):
		w.problem = fmt.Sprintf("%s cannot be the name of a package", gate.Quoted(name, 80))
		return
	case s.operation != "less than":
		// "less than or equal" is a flaw without a fix up to that version: SUSE has none.
		w.problem = fmt.Sprintf("package %s: the operation %s is not known, want less than", gate.Quoted(name, 80), gate.Quoted(s.operation, 40))
		return
	}
	if repaired {
		w.repaired++
	}
	st := format.Statement{Package: name, Module: known.module, State: format.Fixed, Version: v.String(), NoEpoch: v.Epoch == ""}
	if known.platform != "" {
		st.Release = format.Release{known.platform}
	}
	for _, arch := range architectures(s.arch, known.arch) {
		st.Arch = arch
		key := said{known.platform, st.Module, st.Package, st.Arch, st.Version}
		switch {
		case w.stated[key]:
			continue
		case len(w.statements) >= maxStatements:
			w.problem = fmt.Sprintf("it makes more than %d statements", maxStatements)
			return
		case w.stated == nil:
			w.stated = map[said]bool{}
		}
		w.stated[key] = true
		w.statements = append(w.statements, st)
	}
}

// architectures reads the pattern of a state ("aarch64|x86_64", "(aarch64|x86_64)"); a
// pattern of another shape means all.
func architectures(pattern, arch string) []string {
	if pattern == "" {
		return []string{arch}
	}
	var out []string
	for _, a := range strings.Split(strings.Trim(pattern, "()^$"), "|") {
		if strings.Trim(a, "abcdefghijklmnopqrstuvwxyz0123456789_") != "" || a == "" {
			return []string{arch}
		}
		if arch == "" || a == arch {
			out = append(out, a)
		}
	}
	if len(out) == 0 { // two words for one architecture, or a condition that is not understood
		return []string{""}
	}
	return out
}
