//go:build goexperiment.jsonv2

package main

import (
	"archive/tar"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"

	"github.com/aquasecurity/trivy/pkg/fanal/analyzer"
	ftypes "github.com/aquasecurity/trivy/pkg/fanal/types"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/scanner/analyzer/protocol"
	"github.com/digestgate/digestgate/scanner/analyzer/rootfs"
)

// maxEntries bounds the entries of one layer. The largest layers seen in public
// images have some 300,000.
const maxEntries = 5_000_000

// The names with which a layer removes files of those below (OCI image layer
// specification, "Whiteouts").
const (
	whiteoutPrefix = ".wh."
	opaqueMarker   = ".wh..wh..opq"
)

// analyzeLayer reads the one layer of this process and says what is in it.
func analyzeLayer(ctx context.Context, p *parent, unit protocol.Unit) (*protocol.Layer, error) {
	body, err := p.layer()
	if err != nil {
		return nil, err
	}
	defer body.Close()
	layer, err := readLayer(ctx, body, unit)
	// The rest is read in any case: only a layer seen to its end has a digest
	// that the worker can check, and that check comes before ours.
	if _, drainErr := io.Copy(io.Discard, body); err == nil && drainErr != nil {
		err = fmt.Errorf("reading the layer: %w", drainErr)
	}
	if err != nil {
		return nil, err
	}
	return layer, nil
}

func readLayer(ctx context.Context, compressed io.Reader, unit protocol.Unit) (*protocol.Layer, error) {
	stream, err := newLayerStream(compressed, unit.Limits.UncompressedBytes)
	if err != nil {
		return nil, err
	}
	defer stream.close()
	notes := &notes{}
	files, err := newFiles(notes, unit)
	if err != nil {
		return nil, err
	}
	w := walk{files: files, markers: map[string]bool{}}
	unpacked := newAhead(stream)
	defer unpacked.close()
	if err := w.run(ctx, unpacked); err != nil {
		return nil, err
	}
	// What follows the archive belongs to the layer's digest.
	if _, err := io.Copy(io.Discard, unpacked); err != nil {
		return nil, err
	}
	result, err := files.finish(ctx)
	if err != nil {
		return nil, err
	}
	layer := &protocol.Layer{DiffID: stream.diffID(), Size: stream.size}
	for m := range w.markers {
		layer.Markers = append(layer.Markers, m)
	}
	slices.Sort(layer.Markers)
	notes.into(layer)
	layer.Blob, err = json.Marshal(blobInfo(result, layer, w))
	if err != nil {
		return nil, fmt.Errorf("encoding the result: %w", err)
	}
	return layer, nil
}

// walk reads the archive's headers and hands regular files on.
type walk struct {
	files     *files
	markers   map[string]bool
	whiteouts []string
	opaque    []string
}

func (w *walk) run(ctx context.Context, stream io.Reader) error {
	defer w.files.wait()
	archive := tar.NewReader(stream)
	for entries := 0; ; entries++ {
		header, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		var known *failed
		if errors.As(err, &known) {
			return err
		}
		if err != nil {
			return corrupt("the layer is no valid archive: %w", err)
		}
		if entries >= maxEntries {
			return tooLarge("the layer has more than %d entries", maxEntries)
		}
		if err := w.entry(ctx, archive, header); err != nil {
			return err
		}
	}
}

func (w *walk) entry(ctx context.Context, archive io.Reader, header *tar.Header) error {
	name := rootfs.Clean(header.Name)
	dir, base := path.Split(name)
	if base == opaqueMarker {
		w.opaque = append(w.opaque, strings.TrimSuffix(dir, "/"))
		return nil
	}
	if hidden, ok := strings.CutPrefix(base, whiteoutPrefix); ok {
		w.whiteouts = append(w.whiteouts, path.Join(dir, hidden))
		return nil
	}
	if m, ok := rootfs.Marker(name); ok {
		w.markers[m] = true
	}
	if t := header.Typeflag; t != tar.TypeReg && t != tar.TypeGNUSparse && t != tar.TypeCont {
		// Links have no content of their own; what they point to is in the
		// archive under its name.
		return nil
	}
	return w.files.file(ctx, name, header.FileInfo(), archive)
}

// blobInfo is the layer in Trivy's terms. What nobody reads later (installed
// files, the graph of dependencies, maintainers) is left out: it is most of the
// bytes. The opaque root becomes a removal of every first path element, because
// Trivy's applier does not know the empty path.
func blobInfo(result *analyzer.AnalysisResult, layer *protocol.Layer, w walk) ftypes.BlobInfo {
	result.Sort()
	blob := ftypes.BlobInfo{
		SchemaVersion: ftypes.BlobJSONSchemaVersion,
		Size:          layer.Size,
		DiffID:        string(layer.DiffID),
		OpaqueDirs:    w.opaque,
		WhiteoutFiles: w.whiteouts,
		OS:            result.OS,
		Repository:    result.Repository,
		PackageInfos:  result.PackageInfos,
		Applications:  withoutOwned(result.Applications, result.SystemInstalledFiles),
		Secrets:       result.Secrets,
		Licenses:      result.Licenses,
		BuildInfo:     result.BuildInfo,
	}
	for i := range blob.PackageInfos {
		trim(blob.PackageInfos[i].Packages)
	}
	for i := range blob.Applications {
		trim(blob.Applications[i].Packages)
	}
	return blob
}

func trim(pkgs []ftypes.Package) {
	for i := range pkgs {
		p := &pkgs[i]
		p.InstalledFiles, p.DependsOn, p.Locations, p.Maintainer = nil, nil, nil, ""
	}
}

// systemDirs are where a distribution's packages put files. A package database
// that claims a file elsewhere (an application's archive, say) is not believed:
// a listed file is left out of the language packages.
var systemDirs = []string{"usr/", "lib/", "lib32/", "lib64/", "bin/", "sbin/", "etc/", "var/lib/"}

func systemPath(p string) bool {
	if strings.HasPrefix(p, "usr/local/") {
		return false
	}
	return slices.ContainsFunc(systemDirs, func(d string) bool { return strings.HasPrefix(p, d) })
}

// alwaysOwned are what Google's distroless images keep while removing the lists
// of installed files (Trivy's system-file-filter handler has the same list).
var alwaysOwned = []string{
	"usr/lib/python2.7/argparse.egg-info",
	"usr/lib/python2.7/lib-dynload/Python-2.7.egg-info",
	"usr/lib/python2.7/wsgiref.egg-info",
}

// withoutOwned leaves out language packages that a distribution's package
// installed: they are matched as that package, whose version says which fixes
// were backported.
func withoutOwned(apps []ftypes.Application, installed []string) []ftypes.Application {
	owned := make(map[string]bool, len(installed))
	for _, f := range append(installed, alwaysOwned...) {
		if f = rootfs.Clean(f); systemPath(f) {
			owned[f] = true
		}
	}
	var kept []ftypes.Application
	for _, app := range apps {
		if owned[app.FilePath] {
			continue
		}
		app.Packages = slices.DeleteFunc(app.Packages, func(p ftypes.Package) bool { return p.FilePath != "" && owned[p.FilePath] })
		kept = append(kept, app)
	}
	return kept
}

// layerView is what rootfs needs of a stored layer result.
func layerView(l protocol.Layer, blob ftypes.BlobInfo) rootfs.Layer {
	return rootfs.Layer{Markers: l.Markers, Whiteouts: blob.WhiteoutFiles, Opaque: blob.OpaqueDirs}
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
