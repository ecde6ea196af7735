package analyzer

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/scanner/analyzer/protocol"
)

// probeTimeout bounds one probe child; it needs a tenth of a second.
const probeTimeout = 20 * time.Second

// Report is what the probe child found out about its prison.
type Report struct {
	// Missing are the protections that could not be set up here.
	Missing []string
	// Reached is what a child could do in spite of the others; empty means
	// that it is isolated.
	Reached []string
}

// Isolation is the form of the report that an inventory records.
func (r Report) Isolation() gate.Isolation {
	iso := gate.Isolation{Level: string(Strict), Missing: r.Missing}
	if len(r.Reached) > 0 {
		iso.Level = string(BestEffort)
		iso.Missing = slices.Concat(r.Missing, prefixed("could ", r.Reached))
	}
	return iso
}

func prefixed(prefix string, list []string) []string {
	out := make([]string, len(list))
	for i, s := range list {
		out[i] = prefix + s
	}
	return out
}

// Probe starts a child that tries to break out: sockets, a connection to a
// listener of ours, processes, programs, debugging, and reading the given
// files. It is called by New, and may be called again.
func (a *Analyzer) Probe(ctx context.Context) (Report, error) {
	r, _, err := a.launcher.probe(ctx, a.probeFiles)
	return r, err
}

// probe also returns the child's analyser set.
func (l *launcher) probe(ctx context.Context, files []string) (Report, string, error) {
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	unit := protocol.Unit{Version: protocol.Version, Kind: protocol.KindProbe, Probe: protocol.Probe{Files: files}}
	// Somebody must listen, or a refused connection would look like a closed
	// door. Where even we may not listen, the socket attempts tell enough.
	if listener, err := net.Listen("tcp", "127.0.0.1:0"); err == nil {
		defer listener.Close()
		unit.Probe.Address = listener.Addr().String()
	}
	res, err := l.run(ctx, &session{unit: unit})
	if errors.Is(err, gate.ErrScanFailed) {
		// No image is at fault: the child does not work on this machine.
		return Report{}, "", fmt.Errorf("probing the analyzer child: %v: %w", err, gate.ErrResource)
	}
	if err != nil {
		return Report{}, "", fmt.Errorf("probing the analyzer child: %w", err)
	}
	r := Report{Missing: bounded(res.Missing), Reached: bounded(res.Reached)}
	if l.spaces == plainSpaces {
		r.Missing = append(r.Missing, spacesMissing)
	}
	return r, gate.Printable(res.Set, 200), nil
}

func bounded(list []string) []string {
	var out []string
	for _, s := range list[:min(len(list), 40)] {
		out = append(out, gate.Printable(s, 200))
	}
	return out
}

// probeBest finds the strongest way of starting a child that works here.
func (l *launcher) probeBest(ctx context.Context, files []string) (Report, string, error) {
	ways := []namespaces{userSpaces, plainSpaces}
	if os.Geteuid() == 0 {
		ways = []namespaces{rootSpaces, userSpaces, plainSpaces}
	}
	for _, way := range ways {
		l.spaces = way
		r, set, err := l.probe(ctx, files)
		if way != plainSpaces && notPermitted(err) {
			continue
		}
		return r, set, err
	}
	panic("the last way always returns")
}

// notPermitted reports whether the system refuses the namespaces.
func notPermitted(err error) bool {
	for _, e := range []error{syscall.EPERM, syscall.EINVAL, syscall.ENOSYS, syscall.ENOSPC, syscall.EUSERS, syscall.EACCES} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

// checkIsolation refuses to start under scan.isolation: strict.
func checkIsolation(want Isolation, r Report) error {
	if want != Strict || len(r.Reached) == 0 {
		return nil
	}
	return fmt.Errorf("starting under scan.isolation: strict: the analyzer child could %s (missing: %s); "+
		"permit what is missing, or set scan.isolation: bestEffort: %w",
		strings.Join(r.Reached, ", "), strings.Join(r.Missing, ", "), gate.ErrInvalid)
}
