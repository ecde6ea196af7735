//go:build goexperiment.jsonv2

package child

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/digestgate/digestgate/scanner/analyzer/child/trivy/analyzer"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/scanner/analyzer/protocol"
)

// notes collects what could not be read and what a limit left out. It is safe
// for concurrent use.
type notes struct {
	mu          sync.Mutex
	errors      []note
	more        map[gapKind]int // errors that did not fit
	skipped     []gate.Skip
	leftOut     map[leftOut]gate.Skip
	moreSkipped int
}

// gapKind and leftOut are what notes are counted by.
type (
	gapKind struct {
		risk gate.Risk
		kind string
	}
	leftOut struct {
		risk            gate.Risk
		reason, pattern string
	}
)

// note is an error that may come to nothing when the whole layer is known.
type note struct {
	gate.AnalyzerError
	file  string   // its path as it is in the layer
	homes []string // nothing is missing if one of these is a Java runtime's
}

// maxPending bounds the errors that are held until the layer is known. A system
// with every Java library of Debian has 2,500 archives without coordinates,
// nearly all of which belong to packages.
const maxPending = 20_000

// fail notes a file that could not be read, or, without a path, an analyser
// that failed as a whole.
func (n *notes) fail(risk gate.Risk, by, path, message string) {
	kind := gate.GapUnreadable
	if path == "" {
		kind = gate.GapAnalyzerFailed
	}
	n.failKind(risk, kind, by, path, message)
}

// failKind notes a gap of one of [gate.GapKinds].
func (n *notes) failKind(risk gate.Risk, kind, by, path, message string) {
	n.add(note{AnalyzerError: gate.AnalyzerError{Risk: risk, Kind: kind, Analyzer: by, Path: path, Message: message}})
}

// add notes an error, unless its file is at a place where no runtime looks for
// a package.
func (n *notes) add(e note) {
	if installed(analyzer.Type(e.Analyzer), e.Path) {
		n.keep(e)
	}
}

// keep notes an error wherever its file is.
func (n *notes) keep(e note) {
	e.file = e.Path
	e.Analyzer = gate.Printable(e.Analyzer, 60)
	e.Path, e.Message = gate.Printable(e.Path, protocol.MaxNoteText), gate.Printable(e.Message, protocol.MaxNoteText)
	n.mu.Lock()
	defer n.mu.Unlock()
	if len(n.errors) >= maxPending {
		n.overflow(e.Risk, e.Kind, 1)
		return
	}
	n.errors = append(n.errors, e)
}

// overflow counts errors that are not listed. The caller holds mu.
func (n *notes) overflow(risk gate.Risk, kind string, count int) {
	if n.more == nil {
		n.more = map[gapKind]int{}
	}
	n.more[gapKind{risk, kind}] += count
}

// settle forgets the errors that the whole layer explains: of files that a
// package of the distribution installed, which are matched as that package, and
// of archives that a Java runtime has for itself.
func (n *notes) settle(owned, javaHomes map[string]bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.errors = slices.DeleteFunc(n.errors, func(e note) bool {
		return ofLanguage(e.Analyzer) && owned[e.file] || slices.ContainsFunc(e.homes, func(h string) bool { return javaHomes[h] })
	})
}

// ofLanguage reports whether what the analyser finds is left out where a
// package of the distribution owns the file (withoutOwned).
func ofLanguage(by string) bool {
	return by == analyzerJar || slices.Contains(languages, analyzer.Type(by))
}

var languages = []analyzer.Type{
	analyzer.TypeNodePkg, analyzer.TypePythonPkg, analyzer.TypePythonPkgEgg, analyzer.TypeGemSpec, analyzer.TypeCondaPkg, analyzer.TypeComposerVendor,
	analyzer.TypeDotNetCore, analyzer.TypeGoBinary, analyzer.TypeRustBinary, analyzer.TypeJulia, analyzer.TypeYarn,
}

func (n *notes) skip(risk gate.Risk, path, reason string, size int64) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if len(n.skipped) >= protocol.MaxNotes {
		n.moreSkipped++
		return
	}
	n.skipped = append(n.skipped, gate.Skip{Risk: risk, Path: gate.Printable(path, protocol.MaxNoteText), Reason: reason, Size: size})
}

// leaveOut counts files that are left out for one reason: they are too many to
// be listed. s has no path.
func (n *notes) leaveOut(s gate.Skip) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.leftOut == nil {
		n.leftOut = map[leftOut]gate.Skip{}
	}
	key := leftOut{s.Risk, s.Reason, s.Pattern}
	old, known := n.leftOut[key]
	if !known && len(n.leftOut) >= protocol.MaxLeftOut {
		n.moreSkipped += s.Files
		return
	}
	s.Files, s.Size = s.Files+old.Files, s.Size+old.Size
	n.leftOut[key] = s
}

// into writes the notes in an order that does not depend on scheduling. The
// limit is for errors about files and for others. What is over it is counted by
// risk and kind.
func (n *notes) into(l *protocol.Part) {
	n.mu.Lock()
	defer n.mu.Unlock()
	slices.SortFunc(n.errors, func(a, b note) int { return compareErrors(a.AnalyzerError, b.AnalyzerError) })
	files, others := 0, 0
	for _, e := range n.errors {
		count := &files
		if e.Path == "" {
			count = &others
		}
		if *count++; *count > protocol.MaxNotes {
			n.overflow(e.Risk, e.Kind, 1)
			continue
		}
		l.Errors = append(l.Errors, e.AnalyzerError)
	}
	slices.SortFunc(n.skipped, func(a, b gate.Skip) int {
		return cmp.Or(cmp.Compare(a.Path, b.Path), cmp.Compare(a.Reason, b.Reason))
	})
	for k, count := range n.more {
		l.MoreErrors = append(l.MoreErrors, gate.ErrorCount{Risk: k.risk, Kind: k.kind, Count: count})
	}
	slices.SortFunc(l.MoreErrors, func(a, b gate.ErrorCount) int {
		return cmp.Or(cmp.Compare(a.Risk, b.Risk), cmp.Compare(a.Kind, b.Kind))
	})
	l.Skipped, l.MoreSkipped = n.skipped, n.moreSkipped
	l.LeftOut = slices.SortedFunc(maps.Values(n.leftOut), func(a, b gate.Skip) int {
		return cmp.Or(cmp.Compare(a.Risk, b.Risk), cmp.Compare(a.Reason, b.Reason), cmp.Compare(a.Pattern, b.Pattern))
	})
}

// compareErrors puts those without a path behind: the first is shown.
func compareErrors(a, b gate.AnalyzerError) int {
	pathless := func(e gate.AnalyzerError) int {
		if e.Path == "" {
			return 1
		}
		return 0
	}
	return cmp.Or(cmp.Compare(pathless(a), pathless(b)), cmp.Compare(a.Path, b.Path), cmp.Compare(a.Analyzer, b.Analyzer),
		cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Message, b.Message))
}

// riskOf is the risk whose findings an analyser makes.
func riskOf(t analyzer.Type) gate.Risk {
	switch t {
	case analyzer.TypeDpkgLicense, analyzer.TypeLicenseFile:
		return gate.RiskLicenses
	}
	return gate.RiskVulnerabilities
}

// swallowed are the messages of the log records with which Trivy drops an error and
// continues as if it had not occurred (analyzer.go, fsutils, parallel, dpkg.go,
// jar/parse.go, applier/docker.go in v0.74.0). Nothing else tells that a file was not
// understood.
var swallowed = map[string]bool{
	"Analysis error":              true,
	"Walk error":                  true,
	"Parse error":                 true,
	"Failed to parse":             true,
	"Failed to create PackageURL": true,
}

// unidentified are the errors of parsers that have read a file without finding
// in it what names a package (python/packaging, ruby/gemspec, conda/meta in
// v0.74.0).
var unidentified = []string{"name or version is empty", "failed to parse gemspec", "unable to parse conda package"}

// listener is a slog handler that turns such records into notes. by and path
// say what runs under it where the record does not.
type listener struct {
	heard *heard
	by    analyzer.Type
	path  func() string
	attrs []slog.Attr
}

// heard is where the notes of listeners belong now: analysers keep their loggers for
// the next layer.
type heard struct{ notes *notes }

func (l *listener) Enabled(context.Context, slog.Level) bool { return true }
func (l *listener) WithGroup(string) slog.Handler            { return l }

func (l *listener) WithAttrs(attrs []slog.Attr) slog.Handler {
	c := *l
	c.attrs = append(slices.Clone(l.attrs), attrs...)
	return &c
}

func (l *listener) Handle(_ context.Context, r slog.Record) error {
	if !swallowed[r.Message] {
		return nil
	}
	path, message := "", ""
	look := func(a slog.Attr) bool {
		switch a.Key {
		case "file_path", "file":
			path = a.Value.String()
		case "err":
			message = fmt.Sprint(a.Value.Any())
		}
		return true
	}
	for _, a := range l.attrs {
		look(a)
	}
	r.Attrs(look)
	if l.path != nil {
		if p := l.path(); path == "" {
			path = p
		} else if p != "" && p != path {
			path, message = p, path+" inside it: "+message
		}
	}
	if slices.ContainsFunc(unidentified, func(text string) bool { return strings.Contains(message, text) }) {
		l.heard.notes.failKind(riskOf(l.by), gate.GapUnidentified, string(l.by), path, message)
		return nil
	}
	l.heard.notes.fail(riskOf(l.by), string(l.by), path, message)
	return nil
}

// riskAllowed keeps a hostile result from inventing risks.
func riskAllowed(r gate.Risk) bool { return slices.Contains(gate.Risks(), r) }

// knownKind keeps a hostile result from inventing kinds of gap; an unknown one
// becomes "", which no entry of policy.allowIncomplete with a kind covers.
func knownKind(kind string) string {
	if slices.Contains(gate.GapKinds(), kind) {
		return kind
	}
	return ""
}
