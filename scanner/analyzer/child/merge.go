//go:build goexperiment.jsonv2

package child

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"

	ftypes "github.com/aquasecurity/trivy/pkg/fanal/types"

	"github.com/digestgate/digestgate/scanner/analyzer/child/trivy/secret"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/scanner/analyzer/protocol"
	"github.com/digestgate/digestgate/scanner/distribution"
	"github.com/digestgate/digestgate/scanner/inventory"
)

// configPath is under which name secrets in the image configuration are listed.
const configPath = "config.json"

// merge makes the inventory of an image from its layers' results and its
// configuration, or says which layers must be read once more for it. It sees no
// layer bytes.
func merge(p *parent, unit protocol.Unit) (*gate.Inventory, []protocol.Again, error) {
	raw, err := p.config()
	if err != nil {
		return nil, nil, err
	}
	results := make([]protocol.Layer, unit.Layers+len(unit.Again))
	listed := 0
	for i := range results {
		r, err := p.result(i)
		if err != nil {
			return nil, nil, err
		}
		if err := json.Unmarshal(r, &results[i]); err != nil {
			return nil, nil, fmt.Errorf("reading result %d: %w", i, err)
		}
		for _, part := range results[i].Parts {
			listed += max(part.Packages, 0)
		}
		if limit := unit.Limits.Packages; limit > 0 && listed > limit {
			return nil, nil, tooLarge("the files of all layers list more than %d packages, the most for scan.childMemory", limit)
		}
	}
	return mergeLayers(raw, results[:unit.Layers], unit.Again, results[unit.Layers:], unit)
}

// mergeLayers is the calculation of merge. again are the results of the layers
// named in asked.
func mergeLayers(rawConfig []byte, layers []protocol.Layer, asked []protocol.Again, again []protocol.Layer, unit protocol.Unit) (*gate.Inventory, []protocol.Again, error) {
	cfg, err := parseConfig(rawConfig)
	if err != nil {
		return nil, nil, err
	}
	n := &notes{}
	img, err := openImage(layers, unit)
	if err != nil {
		return nil, nil, err
	}
	if err := img.include(asked, again); err != nil {
		return nil, nil, err
	}
	more, err := img.look()
	if err != nil || len(more) > 0 {
		return nil, more, err
	}
	slog.SetDefault(slog.New(&listener{heard: &heard{n}, by: "merge"}))
	facts := img.distributionFacts()
	decided := distribution.Decide(facts)
	detail, err := img.detail(decided)
	if err != nil {
		return nil, nil, err
	}
	if unit.Secrets.Enabled {
		if detail.ImageConfig.Secret, err = configSecrets(rawConfig); err != nil {
			return nil, nil, err
		}
	}
	inv := inventory.FromDetail(detail)
	inv.Platform, inv.Created = cfg.platform(), cfg.Created
	inv.Config, inv.History = cfg.imageConfig(), cfg.history()
	inv.OS.Family, inv.OS.Name, inv.Distribution = decided.Family, decided.Name, facts
	inv.DistributionFiles = img.distribution
	// An empty database counts as none: a distribution without a single package
	// does not exist, a truncated file does.
	inv.PackageDatabase = len(detail.Packages) > 0
	for _, r := range img.readings {
		n.carry(r.part, func(path string) bool { return len(r.noted(path)) > 0 })
	}
	n.components(img.readings, inv)
	if inv.Archives, err = img.archives(); err != nil {
		return nil, nil, err
	}
	var all protocol.Part
	n.into(&all)
	inv.Errors, inv.MoreErrors = nonNil(all.Errors), all.MoreErrors
	inv.Skipped = nonNil(append(all.LeftOut, all.Skipped...))
	if all.MoreSkipped > 0 {
		inv.Skipped = append(inv.Skipped, gate.Skip{Risk: gate.RiskSecrets, Reason: fmt.Sprintf("and %d more files", all.MoreSkipped)})
	}
	return inv, nil, nil
}

func nonNil[T any](s []T) []T {
	if s == nil {
		return []T{}
	}
	return s
}

// carry takes the notes of a layer over, but for those about files that no
// container sees: nothing of them is left to be misjudged.
func (n *notes) carry(l protocol.Part, visible func(path string) bool) {
	for _, e := range l.Errors {
		if riskAllowed(e.Risk) && (e.Path == "" || visible(e.Path)) {
			// At which place the file is was asked before its path was cut.
			e.Kind = knownKind(e.Kind)
			n.keep(note{AnalyzerError: e})
		}
	}
	for _, s := range l.Skipped {
		if riskAllowed(s.Risk) && visible(s.Path) {
			n.skip(s.Risk, s.Path, gate.Printable(s.Reason, protocol.MaxNoteText), s.Size)
		}
	}
	// Which files these are is not known, so that none counts as removed.
	for _, s := range l.LeftOut {
		if riskAllowed(s.Risk) {
			s.Reason, s.Files, s.Size = gate.Printable(s.Reason, protocol.MaxNoteText), min(max(s.Files, 0), 1<<31), min(max(s.Size, 0), 1<<50)
			n.leaveOut(s)
		}
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, c := range l.MoreErrors {
		if riskAllowed(c.Risk) && c.Count > 0 {
			n.overflow(c.Risk, knownKind(c.Kind), min(c.Count, 1<<31))
		}
	}
	n.moreSkipped += max(l.MoreSkipped, 0)
}

// configSecrets searches the whole configuration (environment, labels, history,
// whatever else is in it), written again so that no escape hides a text.
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
