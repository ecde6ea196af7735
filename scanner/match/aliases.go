package match

import (
	"slices"

	"github.com/aquasecurity/trivy/pkg/types"

	"github.com/digestgate/digestgate/scanner/advisory/alias"
)

// aliases are the other names of what was found, sorted; nil for none. The advisories of a
// language name one flaw, and their other identifiers are its own (GHSA-…, GO-…); those of a
// distribution may be about several, and are no names of one.
func aliases(v *types.DetectedVulnerability, language bool) []string {
	var list []string
	if language {
		list = append(list, v.VendorIDs[:min(len(v.VendorIDs), alias.Most)]...)
	}
	if !alias.IsCVE(v.VulnerabilityID) {
		list = append(list, alias.Of(&v.Vulnerability)...)
		list = append(list, alias.InReferences(v.VulnerabilityID, v.References)...)
	}
	if len(list) == 0 {
		return nil
	}
	for i := range list {
		list[i] = cut(list[i], maxIDBytes)
	}
	list = slices.DeleteFunc(list, func(id string) bool { return id == v.VulnerabilityID || !nameable(id) })
	slices.Sort(list)
	if list = slices.Compact(list); len(list) == 0 {
		return nil
	}
	return slices.Clip(list)
}

// nameable reports whether a text can be the identifier of a vulnerability.
func nameable(id string) bool {
	for i := range len(id) {
		if c := id[i]; c <= ' ' || c >= 0x7f {
			return false
		}
	}
	return id != ""
}
