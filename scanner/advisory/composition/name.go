package composition

import (
	"regexp"
	"strings"
)

// NamePattern is what a source may be called: the name is in findings, metrics and paths.
var NamePattern = regexp.MustCompile(`^[a-z0-9]([a-z0-9.-]{0,38}[a-z0-9])?$`)

// In the record of a bucket's data source, and in those of single advisories, the name of
// the composition's source stands before that of the publisher: the detectors hand on
// these records, and nothing else that names a bucket.
const (
	namePrefix = "source "
	nameEnd    = ": "
)

func joinName(source, publisher string) string { return namePrefix + source + nameEnd + publisher }

// SplitName takes the name in a record of a data source apart into the source of the
// composition, "" where there is none, and the name that the source itself gives.
func SplitName(name string) (source, publisher string) {
	rest, ok := strings.CutPrefix(name, namePrefix)
	if !ok {
		return "", name
	}
	source, publisher, ok = strings.Cut(rest, nameEnd)
	if !ok || !NamePattern.MatchString(source) {
		return "", name
	}
	return source, publisher
}

// customKey names the source in what a row carries for extensions, for detectors that
// take the data source of a row from its bucket.
const customKey = "digestgateSource"

// SourceOfCustom is the source that a row names in what it carries for extensions; "".
func SourceOfCustom(custom any) string {
	fields, _ := custom.(map[string]any)
	name, _ := fields[customKey].(string)
	if !NamePattern.MatchString(name) {
		return ""
	}
	return name
}
