package vex

import (
	"strings"

	packageurl "github.com/package-url/packageurl-go"
)

// purl is a package URL.
type purl struct{ packageurl.PackageURL }

func parsePURL(text string) (purl, bool) {
	if text == "" || len(text) > maxPURL {
		return purl{}, false
	}
	p, err := packageurl.FromString(text)
	if err != nil || p.Name == "" {
		return purl{}, false
	}
	return purl{p}, true
}

// isImage reports whether it names an image and not a package in one.
func (p purl) isImage() bool { return p.Type == "oci" || p.Type == "docker" }

// versioned reports whether it names one version.
func (p purl) versioned() bool { return p.Version != "" && !strings.ContainsAny(p.Version, "*<>|, ") }

// distribution reports whether the package is one of a distribution, whose vendor
// publishes the advisories.
func (p purl) distribution() bool {
	switch p.Type {
	case "deb", "rpm", "apk", "alpm", "bitnami":
		return true
	}
	return false
}

// covers reports whether the package that was found is the one that a statement names: all
// that the statement says must be so, and what it does not say is not asked for.
func (p purl) covers(found purl) bool {
	if p.Name == "" || p.Type != found.Type || p.Namespace != found.Namespace || p.Name != found.Name {
		return false
	}
	if p.Version != "" && !p.sameVersion(found) {
		return false
	}
	if p.Subpath != "" && p.Subpath != found.Subpath {
		return false
	}
	have := found.Qualifiers.Map()
	for _, q := range p.Qualifiers {
		if v, ok := have[q.Key]; !ok || v != q.Value {
			return false
		}
	}
	return true
}

// sameVersion compares versions as texts, but for what is written in two ways: the v of Go
// modules, and an epoch that stands before the version or in a qualifier.
func (p purl) sameVersion(found purl) bool {
	if p.Version == found.Version {
		return true
	}
	if p.Type == "golang" {
		return strings.TrimPrefix(p.Version, "v") == strings.TrimPrefix(found.Version, "v")
	}
	if epoch := found.Qualifiers.Map()["epoch"]; epoch != "" && p.Qualifiers.Map()["epoch"] == "" {
		return p.Version == epoch+":"+found.Version
	}
	return false
}
