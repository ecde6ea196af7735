//go:build goexperiment.jsonv2

// Package child is the disposable process in which hostile bytes are parsed. The
// worker starts one for every layer that it has not analysed before, or for a few
// small ones that follow each other, and one for merging the results of an image; each
// does its one unit and exits.
//
// It holds no credentials, its environment has four variables, and its only
// connection to anything is the inherited socket on which the worker answers
// (package scanner/analyzer/protocol). Before it asks for the first hostile
// byte it enters the sandbox (package scanner/analyzer/sandbox).
//
// Trivy's analysers do the parsing; this package drives them itself instead of
// through Trivy's image artifact, for four reasons: it must see one layer
// without its image, it must know which analyser failed on which file, it must
// bound what is kept in memory and in temporary files, and it must leave out
// Trivy's image sources, caches and configuration scanners.
package child

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/scanner/analyzer/protocol"
	"github.com/digestgate/digestgate/scanner/analyzer/sandbox"
)

// Run is the whole of the program: it does the one unit that its parent asks for,
// or prints the version with the flag --version, and returns the exit code. It
// replaces the default logger and enters the sandbox, so that nothing else may run
// in the process.
func Run(version string, args []string, stdout, stderr io.Writer) int {
	// Trivy's log package has replaced the default logger by one that keeps
	// every record forever and is not safe for concurrent use.
	slog.SetDefault(slog.New(slog.DiscardHandler))
	if len(args) == 1 && args[0] == "--version" {
		fmt.Fprintf(stdout, "digestgate-analyzer %s (protocol %d, %s)\n", version, protocol.Version, identity())
		return 0
	}
	p, err := connect()
	if err != nil {
		fmt.Fprintln(stderr, "digestgate-analyzer is started by digestgate, not by hand:", err)
		return 2
	}
	if err := serve(p); err != nil {
		fmt.Fprintln(stderr, "digestgate-analyzer:", gate.Printable(err.Error(), 1000))
		return 1
	}
	return 0
}

// serve does one unit and answers.
func serve(p *parent) error {
	unit, err := p.unit()
	if err != nil {
		return err
	}
	if unit.Version != protocol.Version {
		return fmt.Errorf("digestgate speaks protocol %d and this analyzer %d: install both programs of one release", unit.Version, protocol.Version)
	}
	// What the sandbox would hide is computed before.
	result := protocol.Result{Version: protocol.Version, Set: identity()}
	_, result.Missing = sandbox.Enter(sandbox.Options{
		Dir: os.TempDir(), DataBytes: unit.Limits.DataBytes, FileBytes: unit.Limits.FileBytes, CPUSeconds: unit.Limits.CPUSeconds,
	})
	switch unit.Kind {
	case protocol.KindProbe:
		result.Reached = sandbox.Probe(unit.Probe.Files, unit.Probe.Address)
	case protocol.KindLayer:
		result.Layers, err = analyzeLayers(context.Background(), p, unit)
	case protocol.KindMerge:
		result.Inventory, result.Again, err = merge(p, unit)
	default:
		err = fmt.Errorf("unknown kind of unit %s", gate.Quoted(string(unit.Kind), 40))
	}
	if err != nil {
		result.Failure = failure(err)
	}
	return p.send(result)
}

// failed is an error whose class the worker must know.
type failed struct {
	class protocol.FailureClass
	err   error
}

func (f *failed) Error() string { return f.err.Error() }
func (f *failed) Unwrap() error { return f.err }

func corrupt(format string, args ...any) error {
	return &failed{protocol.FailureCorrupt, fmt.Errorf(format, args...)}
}

func tooLarge(format string, args ...any) error {
	return &failed{protocol.FailureTooLarge, fmt.Errorf(format, args...)}
}

func undecidable(format string, args ...any) error {
	return &failed{protocol.FailureUndecidable, fmt.Errorf(format, args...)}
}

func failure(err error) *protocol.Failure {
	f := &protocol.Failure{Class: protocol.FailureInternal, Message: gate.Printable(err.Error(), protocol.MaxNoteText)}
	var known *failed
	switch {
	case diskFull(err):
		f.Class = protocol.FailureDiskFull
	case errors.As(err, &known):
		f.Class = known.class
	}
	return f
}
