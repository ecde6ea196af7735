package analyzer

import (
	"crypto/sha1" //nolint:gosec // what Java archives are known by
	"encoding/hex"
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
	maxArchives     = protocol.MaxArchives
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
	case len(inv.Archives) > maxArchives:
		return fmt.Errorf("it lists %d Java archives, more than %d", len(inv.Archives), maxArchives)
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
	for _, a := range inv.Archives {
		if !known[a.Layer] {
			return errors.New("it names a layer that the image does not have")
		}
		if hash, err := hex.DecodeString(a.SHA1); err != nil || len(hash) != sha1.Size {
			return fmt.Errorf("it lists a Java archive with the SHA-1 %s", gate.Quoted(a.SHA1, 60))
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

// coverage says for every risk how far it was looked at.
func coverage(c Config, inv *gate.Inventory) map[gate.Risk]gate.RiskStatus {
	out := make(map[gate.Risk]gate.RiskStatus, len(gate.Risks()))
	for _, risk := range gate.Risks() {
		switch {
		case !slices.Contains(gate.SupportedRisks(), risk):
			out[risk] = gate.RiskStatus{Coverage: gate.NotLookedAt, Reason: gate.ReasonNotSupported}
		case !configured(c, risk):
			out[risk] = gate.RiskStatus{Coverage: gate.NotLookedAt, Reason: "not in scan.risks"}
		default:
			out[risk] = inv.CoverageOf(risk)
		}
	}
	return out
}
