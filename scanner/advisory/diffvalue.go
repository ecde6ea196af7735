package advisory

import (
	"bytes"
	"cmp"
	"encoding/json"
	"maps"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/aquasecurity/trivy-db/pkg/types"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/scanner/advisory/alias"
	"github.com/digestgate/digestgate/scanner/advisory/composition"
)

// sameValue compares two values of a bucket with advisories, or of Red Hat's mapping
// to products: as bytes, and then with their sets sorted. The order of other lists
// counts, because findings show it (the versions that fix) or the detectors take the
// first that fits (the entries of Red Hat).
func sameValue(a, b []byte) bool {
	if bytes.Equal(a, b) {
		return true
	}
	x, y := canonical(a), canonical(b)
	return x != nil && reflect.DeepEqual(x, y)
}

// isSet reports whether the detectors only ask if a list of that name contains
// something: identifiers of vendors, architectures, indices of Red Hat's products.
func isSet(name string) bool {
	switch name {
	case "VendorIDs", "Arches", "Affected":
		return true
	}
	return false
}

// canonical is nil for what is no JSON: it then equals nothing.
func canonical(data []byte) any {
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.UseNumber() // indices must not be rounded
	var v any
	if err := decoder.Decode(&v); err != nil || decoder.More() {
		return nil
	}
	return sortSets(v, true)
}

// sortSets sorts a set by the JSON of its elements, and every set inside.
func sortSets(v any, set bool) any {
	switch v := v.(type) {
	case map[string]any:
		for k := range v {
			v[k] = sortSets(v[k], isSet(k))
		}
	case []any:
		type element struct {
			value any
			text  string
		}
		elements := make([]element, len(v))
		for i := range v {
			value := sortSets(v[i], false)
			text, _ := json.Marshal(value) // it came from JSON
			elements[i] = element{value, string(text)}
		}
		if set {
			slices.SortFunc(elements, func(a, b element) int { return strings.Compare(a.text, b.text) })
		}
		for i := range elements {
			v[i] = elements[i].value
		}
	}
	return v
}

// sameDetail compares two records of a vulnerability by what a finding shows of them
// (scanner/match keeps no more): upstream adds thousands of links, dates and
// descriptions a week, which change no finding.
func sameDetail(id string, a, b []byte) bool {
	if bytes.Equal(a, b) {
		return true
	}
	var x, y types.Vulnerability
	if json.Unmarshal(a, &x) != nil || json.Unmarshal(b, &y) != nil {
		return false
	}
	return x.Title == y.Title && x.Severity == y.Severity && maps.Equal(x.VendorSeverity, y.VendorSeverity) &&
		score(x) == score(y) && published(x).Equal(published(y)) &&
		(urlFromID(id) || slices.Equal(x.References, y.References)) && slices.Equal(alias.Of(&x), alias.Of(&y))
}

// score is the highest score of version 3.
func score(v types.Vulnerability) float64 {
	highest := -1.0
	for _, s := range v.CVSS {
		if s.V3Score > 0 && s.V3Score <= 10 {
			highest = max(highest, s.V3Score)
		}
	}
	return highest
}

func published(v types.Vulnerability) (t time.Time) {
	if v.PublishedDate != nil {
		t = v.PublishedDate.UTC().Truncate(time.Second)
	}
	return t
}

// urlFromID reports whether Trivy makes the URL of a vulnerability from its ID alone,
// and not from the links of its record (trivy pkg/vulnerability, getPrimaryURL).
func urlFromID(id string) bool {
	return slices.ContainsFunc([]string{"CVE-", "RUSTSEC-", "GHSA-", "TEMP-"}, func(prefix string) bool {
		return strings.HasPrefix(id, prefix)
	})
}

// sameSource compares what two databases say about the source of a bucket or of a row,
// and which source of the composition it is from. The publisher's name and link are in no
// finding.
func sameSource(x, y types.DataSource) bool {
	return x.ID == y.ID && x.BaseID == y.BaseID && (x == types.DataSource{}) == (y == types.DataSource{}) &&
		composedFrom(x) == composedFrom(y)
}

// composedFrom is the name of the source that findings show.
func composedFrom(s types.DataSource) string {
	name, _ := composition.SplitName(s.Name)
	return cmp.Or(name, gate.SourceTrivyDB)
}
