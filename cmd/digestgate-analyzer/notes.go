//go:build goexperiment.jsonv2

package main

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync"

	"github.com/aquasecurity/trivy/pkg/fanal/analyzer"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/scanner/analyzer/protocol"
)

// notes collects what could not be read and what a limit left out. It is safe
// for concurrent use.
type notes struct {
	mu          sync.Mutex
	errors      []gate.AnalyzerError
	skipped     []gate.Skip
	moreErrors  int
	moreSkipped int
}

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
	n.mu.Lock()
	defer n.mu.Unlock()
	if len(n.errors) >= protocol.MaxNotes {
		n.moreErrors++
		return
	}
	n.errors = append(n.errors, gate.AnalyzerError{
		Risk: risk, Kind: kind, Analyzer: gate.Printable(by, 60),
		Path: gate.Printable(path, protocol.MaxNoteText), Message: gate.Printable(message, protocol.MaxNoteText),
	})
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

// into writes the notes in an order that does not depend on scheduling.
func (n *notes) into(l *protocol.Part) {
	n.mu.Lock()
	defer n.mu.Unlock()
	slices.SortFunc(n.errors, func(a, b gate.AnalyzerError) int {
		return cmp.Or(cmp.Compare(a.Path, b.Path), cmp.Compare(a.Analyzer, b.Analyzer), cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Message, b.Message))
	})
	slices.SortFunc(n.skipped, func(a, b gate.Skip) int {
		return cmp.Or(cmp.Compare(a.Path, b.Path), cmp.Compare(a.Reason, b.Reason))
	})
	l.Errors, l.MoreErrors = n.errors, n.moreErrors
	l.Skipped, l.MoreSkipped = n.skipped, n.moreSkipped
}

// riskOf is the risk whose findings an analyser makes.
func riskOf(t analyzer.Type) gate.Risk {
	switch t {
	case analyzer.TypeDpkgLicense, analyzer.TypeLicenseFile:
		return gate.RiskLicenses
	}
	return gate.RiskVulnerabilities
}

// swallowed are the messages of the log records with which Trivy drops an error
// and goes on as if there were nothing (analyzer.go, fsutils, parallel, dpkg.go,
// jar/parse.go, applier/docker.go in v0.74.0). Nothing else
// tells that a file was not understood.
var swallowed = map[string]bool{
	"Analysis error":              true,
	"Walk error":                  true,
	"Parse error":                 true,
	"Failed to parse":             true,
	"Failed to create PackageURL": true,
}

// listener is a slog handler that turns such records into notes. by and path
// say what runs under it where the record does not.
type listener struct {
	notes *notes
	by    analyzer.Type
	path  func() string
	attrs []slog.Attr
}

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
			path = p + "!" + path // a file inside an archive
		}
	}
	l.notes.fail(riskOf(l.by), string(l.by), path, message)
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
