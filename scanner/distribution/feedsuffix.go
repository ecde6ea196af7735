package distribution

import (
	"fmt"
	"slices"
	"strings"

	"github.com/digestgate/digestgate/gate"
)

// Suffix is what the release of an RPM version says of the distribution that it is of.
type Suffix int

// The values of Suffix.
const (
	SuffixSilent Suffix = iota // nothing that counts
	SuffixAgrees
	SuffixContradicts
)

// feedFamilies are the families of buckets that have other words than those of images.
var feedFamilies = map[string]string{"almalinux": "alma", "mariner": "cbl-mariner"}

// SuffixOf compares the suffix in a version that advisories name ("1.1.1f-15.oe2203sp3")
// with the distribution and the bucket that the advisories are said to be of. says names
// the suffix and whose it is, where it contradicts. Suffixes of the distribution that one
// was rebuilt from, and of relatives, say nothing.
func SuffixOf(family, bucket, version string) (s Suffix, says string) {
	if other, ok := feedFamilies[family]; ok {
		family = other
	}
	f := families[family]
	if f == nil || f.manager != rpm {
		return SuffixSilent, ""
	}
	release := version[strings.LastIndexByte(version, '-')+1:]
	tag, number := rpmTag(release)
	switch {
	case tag == "" || slices.Contains(f.base, tag) || slices.Contains(f.related, tag):
		return SuffixSilent, ""
	case !slices.Contains(f.tags, tag):
		if len(f.tags) == 0 && !tellingTags[tag] {
			return SuffixSilent, ""
		}
		return SuffixContradicts, fmt.Sprintf("%s%s, which is %s", tag, gate.Printable(number, 20), rpmTags[tag])
	}
	if own := ownOf(family); own != nil {
		mark, same := own.builtFor(gate.Package{Release: release}, strings.TrimPrefix(bucket, own.title+" "))
		if !same {
			return SuffixContradicts, fmt.Sprintf("%s%s, which is %s %s", tag, gate.Printable(number, 20), own.title, gate.Printable(mark, 40))
		}
		return SuffixAgrees, ""
	}
	of := bucket[strings.LastIndexByte(bucket, ' ')+1:]
	if major, _, _ := strings.Cut(of, "."); number != major {
		return SuffixContradicts, fmt.Sprintf("%s%s, which is not release %s", tag, gate.Printable(number, 20), gate.Printable(of, 20))
	}
	return SuffixAgrees, ""
}
