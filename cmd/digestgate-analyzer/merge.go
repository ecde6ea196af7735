//go:build goexperiment.jsonv2

package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"slices"

	"github.com/aquasecurity/trivy/pkg/fanal/applier"
	"github.com/aquasecurity/trivy/pkg/fanal/secret"
	ftypes "github.com/aquasecurity/trivy/pkg/fanal/types"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/scanner/analyzer/protocol"
	"github.com/digestgate/digestgate/scanner/analyzer/rootfs"
	"github.com/digestgate/digestgate/scanner/inventory"
)

// configPath is under which name secrets in the image configuration are listed.
const configPath = "config.json"

// merge makes the inventory of an image from its layers' results and its
// configuration. It sees no layer bytes.
func merge(p *parent, unit protocol.Unit) (*gate.Inventory, error) {
	raw, err := p.config()
	if err != nil {
		return nil, err
	}
	results := make([][]byte, unit.Layers)
	for i := range results {
		if results[i], err = p.result(i); err != nil {
			return nil, err
		}
	}
	return mergeLayers(raw, results, unit.Secrets)
}

func mergeLayers(rawConfig []byte, results [][]byte, wanted protocol.Secrets) (*gate.Inventory, error) {
	layers := make([]protocol.Layer, len(results))
	blobs := make([]ftypes.BlobInfo, len(results))
	views := make([]rootfs.Layer, len(results))
	for i, r := range results {
		if err := json.Unmarshal(r, &layers[i]); err != nil {
			return nil, fmt.Errorf("reading the result of layer %d: %w", i, err)
		}
		if err := json.Unmarshal(layers[i].Blob, &blobs[i]); err != nil {
			return nil, fmt.Errorf("reading the result of layer %d: %w", i, err)
		}
		views[i] = layerView(layers[i], blobs[i])
	}
	cfg, err := parseConfig(rawConfig)
	if err != nil {
		return nil, err
	}
	n := &notes{}
	slog.SetDefault(slog.New(&listener{notes: n, by: "merge"}))
	setOrigins(blobs)
	detail := applier.ApplyLayers(withRootRemoved(blobs))
	if wanted.Enabled {
		if detail.ImageConfig.Secret, err = configSecrets(rawConfig); err != nil {
			return nil, err
		}
	}
	inv := inventory.FromDetail(detail)
	inv.Platform, inv.Created = cfg.platform(), cfg.Created
	inv.Config, inv.History = cfg.imageConfig(), cfg.history()
	inv.DistributionFiles = rootfs.Distribution(views)
	// An empty database counts as none: a distribution without a single package
	// does not exist, a truncated file does.
	inv.PackageDatabase = len(detail.Packages) > 0
	for i, l := range layers {
		n.carry(l, func(path string) bool { return rootfs.Visible(views, i, path) })
	}
	var all protocol.Layer
	n.into(&all)
	inv.Errors, inv.Skipped = nonNil(all.Errors), nonNil(all.Skipped)
	if all.MoreErrors > 0 {
		inv.Errors = append(inv.Errors, gate.AnalyzerError{Risk: gate.RiskVulnerabilities, Analyzer: "analyzer",
			Message: fmt.Sprintf("and %d more errors", all.MoreErrors)})
	}
	if all.MoreSkipped > 0 {
		inv.Skipped = append(inv.Skipped, gate.Skip{Risk: gate.RiskSecrets, Reason: fmt.Sprintf("and %d more files", all.MoreSkipped)})
	}
	return inv, nil
}

func nonNil[T any](s []T) []T {
	if s == nil {
		return []T{}
	}
	return s
}

// carry takes the notes of a layer over, but for errors about files that a
// layer above removed: nothing of them is left to be misjudged.
func (n *notes) carry(l protocol.Layer, visible func(path string) bool) {
	for _, e := range l.Errors {
		if riskAllowed(e.Risk) && (e.Path == "" || visible(e.Path)) {
			n.failKind(e.Risk, knownKind(e.Kind), e.Analyzer, e.Path, e.Message)
		}
	}
	for _, s := range l.Skipped {
		if riskAllowed(s.Risk) && visible(s.Path) {
			n.skip(s.Risk, s.Path, gate.Printable(s.Reason, protocol.MaxNoteText), s.Size)
		}
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.moreErrors += max(l.MoreErrors, 0)
	n.moreSkipped += max(l.MoreSkipped, 0)
}

// withRootRemoved forgets what lies below a layer whose root is opaque: Trivy's
// applier does not know the empty path. Secrets stay, they can be dug out of
// the lower layers; so does what names the distribution, which is only a name.
func withRootRemoved(blobs []ftypes.BlobInfo) []ftypes.BlobInfo {
	out := slices.Clone(blobs)
	for i, b := range out {
		if !slices.Contains(b.OpaqueDirs, "") {
			continue
		}
		for k := range i {
			out[k].PackageInfos, out[k].Applications, out[k].Licenses = nil, nil, nil
		}
	}
	return out
}

// setOrigins says for each language package which layer brought it first.
// Trivy's applier would find out by comparing every package with every
// application, minutes for an image of 100,000.
func setOrigins(blobs []ftypes.BlobInfo) {
	type key struct {
		typ                                ftypes.LangType
		path, file, name, version, release string
	}
	first := map[key]string{}
	for _, b := range blobs {
		for _, app := range b.Applications {
			for i := range app.Packages {
				p := &app.Packages[i]
				k := key{app.Type, app.FilePath, p.FilePath, p.Name, p.Version, p.Release}
				if _, ok := first[k]; !ok {
					first[k] = b.DiffID
				}
				p.Layer = ftypes.Layer{DiffID: first[k]}
			}
		}
	}
}

// configSecrets searches the whole configuration (environment, labels, history,
// whatever else is in it), written anew so that no escape hides a text.
func configSecrets(raw []byte) (*ftypes.Secret, error) {
	var v any
	if err := json.Unmarshal(raw, &v); err != nil {
		return nil, corrupt("reading the image configuration: %w", err)
	}
	var text bytes.Buffer
	enc := json.NewEncoder(&text)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(v); err != nil {
		return nil, corrupt("reading the image configuration: %w", err)
	}
	scanner := secret.NewScanner(&secret.Config{})
	found := scanner.Scan(secret.ScanArgs{FilePath: configPath, Content: &text})
	if len(found.Findings) == 0 {
		return nil, nil
	}
	censor(&found)
	found.FilePath = configPath
	return &found, nil
}
