package analyzer

import (
	"errors"
	"fmt"
	"slices"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/scanner/analyzer/protocol"
	"github.com/digestgate/digestgate/scanner/registry"
)

// The bounds of an inventory that is accepted from a child. They are far above
// any real image and keep the store and the pages usable.
const (
	maxPackages     = 500_000
	maxApplications = 200_000
	maxSecrets      = 50_000
	maxHistory      = 10_000
	maxNotes        = 2*protocol.MaxNotes + protocol.MaxLeftOut + 1000 // kinds of gap and what later analysers add
)

// validate checks the form of what a child made. Its content cannot be checked:
// it is what the image contains as far as the child says.
func validate(inv *gate.Inventory, img registry.Image) error {
	switch {
	case inv.Format != gate.InventoryFormat:
		return fmt.Errorf("it has format %d, not %d", inv.Format, gate.InventoryFormat)
	case inv.PackageCount() > maxPackages:
		return fmt.Errorf("it lists %d packages, more than %d", inv.PackageCount(), maxPackages)
	case len(inv.Applications) > maxApplications:
		return fmt.Errorf("it lists %d applications, more than %d", len(inv.Applications), maxApplications)
	case len(inv.Secrets) > maxSecrets:
		return fmt.Errorf("it lists %d secrets, more than %d", len(inv.Secrets), maxSecrets)
	case len(inv.History) > maxHistory:
		return fmt.Errorf("it lists %d steps of history, more than %d", len(inv.History), maxHistory)
	case gate.ConfigPlatform(inv.Platform).OS != gate.ConfigPlatform(img.Platform).OS || inv.Platform.Architecture != img.Platform.Architecture:
		return errors.New("it is for another platform than the configuration")
	}
	known := map[gate.Digest]bool{"": true}
	for _, l := range img.Layers {
		known[l.DiffID] = true
	}
	for _, p := range inv.Packages {
		if !known[p.Layer] {
			return errors.New("it names a layer that the image does not have")
		}
	}
	for _, a := range inv.Applications {
		for _, p := range a.Packages {
			if !known[p.Layer] {
				return errors.New("it names a layer that the image does not have")
			}
		}
	}
	if n := len(inv.Errors) + len(inv.MoreErrors) + len(inv.Skipped); n > maxNotes {
		return fmt.Errorf("it lists %d errors and skipped files, more than %d", n, maxNotes)
	}
	for _, e := range inv.Errors {
		if e.Kind != "" && !slices.Contains(gate.GapKinds(), e.Kind) {
			return fmt.Errorf("it has an error of the kind %s, which does not exist", gate.Quoted(e.Kind, 60))
		}
	}
	for _, s := range inv.Secrets {
		if !known[s.Layer] {
			return errors.New("it names a layer that the image does not have")
		}
	}
	return nil
}

// complete writes everything that this side knows itself.
func (r *analysis) complete(inv *gate.Inventory) {
	inv.Digest = r.req.Digest
	inv.AnalyzerSet = r.a.set
	inv.AnalyzedAt = r.a.now().UTC()
	inv.Isolation = r.a.report.Isolation()
	inv.Platform = gate.ConfigPlatform(r.image.Platform)
	inv.Size = r.image.Size
	if inv.Packages == nil {
		inv.Packages = []gate.Package{}
	}
	if inv.Applications == nil {
		inv.Applications = []gate.Application{}
	}
	if inv.Secrets == nil {
		inv.Secrets = []gate.Secret{}
	}
	if inv.Errors == nil {
		inv.Errors = []gate.AnalyzerError{}
	}
	if inv.Skipped == nil {
		inv.Skipped = []gate.Skip{}
	}
	inv.Risks = coverage(r.a.config, inv)
}

// coverage says for every risk how far it was looked at. What was left out by a
// stated limit does not make a risk partial, and is said beside "complete"; what
// an analyser could not read does.
func coverage(c Config, inv *gate.Inventory) map[gate.Risk]gate.RiskStatus {
	out := make(map[gate.Risk]gate.RiskStatus, len(gate.Risks()))
	for _, risk := range gate.Risks() {
		switch gaps := gapsOf(risk, inv); {
		case !slices.Contains(gate.SupportedRisks(), risk):
			out[risk] = gate.RiskStatus{Coverage: gate.NotLookedAt, Reason: gate.ReasonNotSupported}
		case !configured(c, risk):
			out[risk] = gate.RiskStatus{Coverage: gate.NotLookedAt, Reason: "not in scan.risks"}
		case gaps != "":
			out[risk] = gate.RiskStatus{Coverage: gate.Partial, Reason: gaps}
		default:
			out[risk] = gate.RiskStatus{Coverage: gate.Complete, Reason: leftOut(risk, inv)}
		}
	}
	return out
}

// gapsOf counts the errors of a risk, and names the first; "" for none.
func gapsOf(risk gate.Risk, inv *gate.Inventory) string {
	count, first := 0, ""
	for _, e := range inv.Errors {
		if e.Risk != risk {
			continue
		}
		if count == 0 {
			first = fmt.Sprintf(", the first is %q (%s: %s)", e.Path, e.Analyzer, e.Message)
		}
		count++
	}
	for _, e := range inv.MoreErrors {
		if e.Risk == risk {
			count += max(e.Count, 1)
		}
	}
	if count == 0 {
		return ""
	}
	if count == 1 {
		return "one gap" + first
	}
	return fmt.Sprintf("%d gaps%s", count, first)
}

// leftOut counts what stated limits left out of a risk; "" for nothing.
func leftOut(risk gate.Risk, inv *gate.Inventory) string {
	files, bytes := 0, int64(0)
	for _, s := range inv.Skipped {
		if s.Risk == risk {
			files, bytes = files+max(s.Files, 1), bytes+s.Size
		}
	}
	if files == 0 {
		return ""
	}
	return fmt.Sprintf("stated limits left out %d files of %d bytes; the inventory lists them as skipped", files, bytes)
}
