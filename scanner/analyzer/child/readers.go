//go:build goexperiment.jsonv2

package child

import (
	"context"
	"errors"
	"os"
	"slices"
	"strings"

	"github.com/aquasecurity/trivy/pkg/semaphore"
	xio "github.com/aquasecurity/trivy/pkg/x/io"
	"github.com/digestgate/digestgate/scanner/analyzer/child/trivy/analyzer"
	"golang.org/x/sync/errgroup"

	"github.com/digestgate/digestgate/scanner/distribution"
)

var errWanted = errors.New("an analyser wants the file")

// readers names the analysers that would read a file of this name, mode and
// size, in no order.
func (f *files) readers(s *slot, name string, info os.FileInfo) []analyzer.Type {
	var out []analyzer.Type
	// An analyser opens the file only when it wants it.
	wanted := func() (xio.ReadSeekCloserAt, error) { return nil, errWanted }
	for _, t := range s.typed {
		err := t.group.AnalyzeFile(context.Background(), &errgroup.Group{}, semaphore.New(1), s.result, "", name, info, wanted, nil, options)
		if err != nil {
			out = append(out, t.name)
		}
	}
	out = append(out, f.post.RequiredPostAnalyzers(name, info)...)
	return append(out, ownReaders(name, info.Size())...)
}

// ownReaders are the analysers that this program has itself.
func ownReaders(name string, size int64) []analyzer.Type {
	switch {
	case isJar(name, size):
		return []analyzer.Type{analyzer.TypeJar}
	case isPackageJSON(name):
		return []analyzer.Type{analyzer.TypeNodePkg}
	case isPlugAndPlay(name):
		return []analyzer.Type{analyzer.TypeYarn}
	case distribution.IsReleaseFile(name):
		return []analyzer.Type{typeRelease}
	case isBitnami(name):
		return []analyzer.Type{typeBitnami}
	}
	return nil
}

// byContent are the analysers whose result does not depend on the file's name,
// but for whether a file that cannot be read is a gap there (installed). The
// executable ones are chosen by the file's mode.
var byContent = []analyzer.Type{
	analyzer.TypeGoBinary, analyzer.TypeRustBinary, analyzer.TypeGemSpec, analyzer.TypeDotNetCore,
	analyzer.TypeComposerVendor, analyzer.TypeCondaPkg, analyzer.TypePackagesProps, typeRelease,
}

// sameReading reports whether reading a file under another name gives what
// reading it under its own name gave. Both have what reads them.
func sameReading(own, other string, ownReaders, otherReaders []analyzer.Type) bool {
	for _, t := range otherReaders {
		switch {
		case !slices.Contains(ownReaders, t):
			return false
		case slices.Contains(byContent, t) && installed(t, own) == installed(t, other):
		case t == analyzer.TypeNodePkg && modulePlace(own) == modulePlace(other):
		default:
			return false
		}
	}
	return true
}

// modulePlace is a path from its last "node_modules" on: what Node knows a
// package by.
func modulePlace(p string) string { return p[strings.LastIndex("/"+p, "/node_modules/")+1:] }
