package gate

import (
	"fmt"
	"strings"
)

// AffectedFilter narrows a list of the images that have a vulnerability; zero values do not
// filter.
type AffectedFilter struct {
	ID         string // of the vulnerability, or an alias that findings have for it
	Registry   string
	Repository string
	Decision   Outcome // the standing verdict
	// Only, unless nil, are digests of which the others are left out.
	Only  []Digest
	After Digest // the list continues behind it
	Limit int
}

// maxVulnerabilityID is longer than every id of a source: a CVE has some 15 bytes, a bulletin
// of a vendor 40.
const maxVulnerabilityID = 128

// VulnerabilityID is the form in which findings have an id that a person gives: CVE and GHSA
// ids in whatever case. ErrInvalid for what cannot be one.
func VulnerabilityID(text string) (string, error) {
	if text == "" || len(text) > maxVulnerabilityID {
		return "", fmt.Errorf("a vulnerability id has 1 to %d bytes, this one %d: %w", maxVulnerabilityID, len(text), ErrInvalid)
	}
	for _, c := range []byte(text) {
		letter := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
		if !letter && !strings.ContainsRune("-._:+", rune(c)) {
			return "", fmt.Errorf("vulnerability id %s: want letters, digits and -._:+, such as CVE-2021-44228: %w", Quoted(text, 60), ErrInvalid)
		}
	}
	switch upper := strings.ToUpper(text); {
	case strings.HasPrefix(upper, "CVE-"):
		return upper, nil
	case strings.HasPrefix(upper, "GHSA-"):
		return "GHSA-" + strings.ToLower(text[len("GHSA-"):]), nil
	}
	return text, nil
}
