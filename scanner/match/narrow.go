package match

import (
	"cmp"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/aquasecurity/trivy/pkg/types"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/scanner/advisory/composition"
)

// Lengths in bytes at which text is cut: far above what is real (the longest
// title upstream has 500), far below what would fill a store.
const (
	maxIDBytes    = 128
	maxNameBytes  = 512
	maxTitleBytes = 300
	maxURLBytes   = 1024
)

// narrow keeps of a finding what the gate needs: Trivy's own form has 2 kB each.
// file is the application that the package is part of, "" for a distribution; language says
// that it is one of a language.
func narrow(v types.DetectedVulnerability, kind, file string, language bool) gate.Vulnerability {
	n := gate.Vulnerability{
		ID:               cut(v.VulnerabilityID, maxIDBytes),
		Package:          cut(v.PkgName, maxNameBytes),
		PackageID:        cut(v.PkgID, maxNameBytes),
		Type:             kind,
		Path:             cut(cmp.Or(v.PkgPath, file), maxURLBytes),
		InstalledVersion: cut(v.InstalledVersion, maxNameBytes),
		FixedVersion:     cut(v.FixedVersion, maxNameBytes),
		Status:           v.Status.String(),
		Severity:         severity(v.Severity),
		SeveritySource:   cut(string(v.SeveritySource), maxIDBytes),
		CVSS:             -1,
		Title:            cut(v.Title, maxTitleBytes),
		URL:              cut(v.PrimaryURL, maxURLBytes),
		Layer:            gate.Digest(v.Layer.DiffID),
		PURL:             cut(v.PkgIdentifier.BOMRef, maxURLBytes), // see inventory.ScanTarget
		Source:           sourceOf(v),
		Aliases:          aliases(&v, language),
	}
	for _, score := range v.CVSS {
		if score.V3Score > 0 && score.V3Score <= 10 {
			n.CVSS = max(n.CVSS, score.V3Score)
		}
	}
	if t := v.PublishedDate; t != nil && !t.IsZero() {
		published := t.UTC().Truncate(time.Second)
		n.PublishedAt = &published
	}
	return n
}

// sourceOf is the name of the source that an advisory is from: in a generation of several
// sources, compositions write it into the advisory's data source, or beside the advisory
// where a detector takes the former from its bucket.
func sourceOf(v types.DetectedVulnerability) string {
	if name := composition.SourceOfCustom(v.Custom); name != "" {
		return name
	}
	if v.DataSource != nil {
		if name, _ := composition.SplitName(v.DataSource.Name); name != "" {
			return name
		}
	}
	return gate.SourceTrivyDB
}

// severity normalises the word; everything that is none of the five is UNKNOWN.
func severity(word string) gate.Severity {
	if s := gate.Severity(strings.ToUpper(word)); slices.Contains(gate.Severities(), s) {
		return s
	}
	return gate.SeverityUnknown
}

// cut bounds text to limit bytes of valid UTF-8. What it says is not changed:
// who shows it escapes it.
func cut(s string, limit int) string {
	if len(s) > limit {
		s = s[:limit]
		for len(s) > 0 {
			if r, size := utf8.DecodeLastRuneInString(s); r != utf8.RuneError || size > 1 {
				break
			}
			s = s[:len(s)-1]
		}
	}
	return strings.ToValidUTF8(s, "\uFFFD")
}

// sorted orders findings, because the detectors yield them in the order of Go
// maps, and drops those that are there twice.
func sorted(found []gate.Vulnerability) []gate.Vulnerability {
	places := make([]*gate.Vulnerability, len(found)) // a finding has 300 bytes to move
	for i := range found {
		places[i] = &found[i]
	}
	slices.SortFunc(places, inOrder)
	places = slices.CompactFunc(places, func(a, b *gate.Vulnerability) bool {
		return a.KeyParts() == b.KeyParts() && a.InstalledVersion == b.InstalledVersion
	})
	list := make([]gate.Vulnerability, len(places))
	for i, v := range places {
		list[i] = *v
	}
	return list
}

func inOrder(a, b *gate.Vulnerability) int {
	// The first of them decide nearly always.
	if c := strings.Compare(a.Package, b.Package); c != 0 {
		return c
	}
	if c := cmp.Or(strings.Compare(a.PackageID, b.PackageID), strings.Compare(a.Path, b.Path), strings.Compare(a.ID, b.ID)); c != 0 {
		return c
	}
	return cmp.Or(strings.Compare(a.InstalledVersion, b.InstalledVersion), strings.Compare(a.FixedVersion, b.FixedVersion),
		strings.Compare(a.Type, b.Type), strings.Compare(string(a.Layer), string(b.Layer)),
		strings.Compare(a.PURL, b.PURL), strings.Compare(string(a.Severity), string(b.Severity)))
}
