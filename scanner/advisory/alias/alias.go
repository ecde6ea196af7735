// Package alias is how a database keeps under which other identifiers a vulnerability is
// known: in the record of each identifier that is not a CVE, in the field that trivy-db
// leaves free, there are the CVEs that it stands for. Two sources may file one flaw under
// different identifiers, and lists such as CISA's know CVEs only.
//
// Aliases are those that a source states: OSV's "aliases" and "upstream", the CVEs of an
// advisory. What is only related, or mentioned, is none.
package alias

import (
	"net/url"
	"regexp"
	"slices"
	"strings"

	"github.com/aquasecurity/trivy-db/pkg/types"
)

// Most is how many aliases are kept of one identifier: an update of a kernel is about some
// hundred.
const Most = 1000

var cve = regexp.MustCompile(`^CVE-[0-9]{4}-[0-9]{4,19}$`)

// IsCVE reports whether an identifier is a CVE's.
func IsCVE(id string) bool { return cve.MatchString(id) }

// maxBytes bounds an identifier.
const maxBytes = 128

// field is the name of the list in a record.
const field = "aliases"

// Of are the aliases that a record has, sorted. It takes the record as it was read from
// JSON, and as Put leaves it.
func Of(v *types.Vulnerability) []string {
	custom, _ := v.Custom.(map[string]any)
	switch list := custom[field].(type) {
	case []string:
		return list
	case []any:
		var out []string
		for _, one := range list[:min(len(list), Most)] {
			if id, ok := one.(string); ok && IsCVE(id) && len(id) <= maxBytes {
				out = append(out, id)
			}
		}
		slices.Sort(out)
		return slices.Compact(out)
	}
	return nil
}

// Put adds aliases to a record. Other identifiers are left out.
func Put(v *types.Vulnerability, ids ...string) {
	all := slices.DeleteFunc(append(slices.Clone(Of(v)), ids...), func(id string) bool { return !IsCVE(id) || len(id) > maxBytes })
	slices.Sort(all)
	if all = slices.Compact(all); len(all) > 0 {
		v.Custom = map[string]any{field: all[:min(len(all), Most)]}
	}
}

// vendorPages are the hosts whose advisories link the page of each CVE that they are
// about, and of no other (trivy-db keeps of these advisories nothing else that names
// them), with what stands before the CVE in such a link.
var vendorPages = map[string]string{"www.suse.com": "/security/cve/"}

// InReferences are the CVEs of an advisory of a vendor that files flaws under its
// advisories.
func InReferences(id string, references []string) []string {
	if !strings.HasPrefix(id, "SUSE-") && !strings.HasPrefix(id, "openSUSE-") {
		return nil
	}
	var out []string
	for _, ref := range references {
		u, err := url.Parse(ref)
		if err != nil {
			continue
		}
		before, ok := vendorPages[strings.ToLower(u.Hostname())]
		rest, under := strings.CutPrefix(u.Path, before)
		if name := strings.TrimSuffix(strings.Trim(rest, "/"), ".html"); ok && under && IsCVE(name) && !slices.Contains(out, name) {
			out = append(out, name)
		}
	}
	return out[:min(len(out), Most)]
}
