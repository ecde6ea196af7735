package format

import (
	"regexp"
	"slices"
	"strings"
)

var cvePattern = regexp.MustCompile(`\bCVE-(?:19|20)[0-9]{2}-[0-9]{4,10}\b`)

// idPattern is what may name an advisory or a vulnerability: it becomes a key, a log line
// and part of URLs.
var idPattern = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._:+-]{0,127}$`)

// ID reports whether s may name an advisory or a vulnerability.
func ID(s string) bool { return idPattern.MatchString(s) }

// CVE reports whether s is the identifier of a CVE.
func CVE(s string) bool { return cvePattern.FindString(s) == s && s != "" }

// CVEs are the identifiers that texts name, sorted, each once. Only the first 64 KiB of a
// text are looked at.
func CVEs(texts ...string) []string {
	var out []string
	for _, t := range texts {
		for _, id := range cvePattern.FindAllString(strings.ToUpper(t[:min(len(t), 64<<10)]), 1000) {
			if !slices.Contains(out, id) {
				out = append(out, id)
			}
		}
	}
	slices.Sort(out)
	return out
}
