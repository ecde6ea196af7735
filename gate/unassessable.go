package gate

import (
	"regexp"
	"strings"
)

// placePrefix is what earlier versions kept in front of the words about a digest:
// where its bytes were read.
var placePrefix = regexp.MustCompile(`(?:(?:resolving|reading image|reading manifest|reading tag|reading from|confirming tag) "[^"]*"|analy[sz]ing sha256:[0-9a-f]+): `)

// WhyUnassessable says, to a person who asks at a location, why the digest can never be
// analysed; "" when it can. It follows from hashed bytes, and names no other place:
// what an earlier version has recorded with one is cut.
func (r Record) WhyUnassessable(at Location) string {
	text := placePrefix.ReplaceAllString(r.Manifest.Unassessable, "")
	text = strings.TrimSuffix(text, ": "+ErrUnassessable.Error())
	for _, l := range r.Locations {
		if l.Location != at && mentions(text, l.Location) {
			return "its content cannot be read"
		}
	}
	return text
}

// mentions reports whether a text names a place: with its registry, in quotation
// marks, or, where its repository has a slash and is not an ordinary word, alone.
func mentions(text string, l Location) bool {
	if l.Repository == "" {
		return false
	}
	if strings.Contains(text, l.String()) || strings.Contains(text, `"`+l.Repository) {
		return true
	}
	return strings.Contains(l.Repository, "/") && strings.Contains(text, l.Repository)
}
