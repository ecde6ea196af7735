package eol

import (
	"slices"
	"strings"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/scanner/distribution"
)

// productOf is what endoflife.date calls the distributions that digestgate names otherwise.
// Every other family is looked up by its own name and among the aliases.
var productOf = map[string]string{
	"alpine": "alpine-linux", "amazon": "amazon-linux", "redhat": "rhel", "rocky": "rocky-linux", "alma": "almalinux",
	"oracle": "oracle-linux", "suse linux enterprise server": "sles", "sles": "sles", "slem": "sle-micro", "suse linux enterprise micro": "sle-micro",
	"opensuse.leap": "opensuse", "opensuse-leap": "opensuse", "centos": "centos", "cbl-mariner": "azure-linux", "azurelinux": "azure-linux",
	"anolis": "anolis-os", "alinux": "alibaba-cloud-linux", "tencentos": "tencentos-server", "uniontech": "uos",
}

// Find is the end of life of a release; family and release are those of gate.OS. ok is
// false where the source says nothing about it.
func (t *Table) Find(family, release string) (e gate.EndOfLife, ok bool) {
	p := t.product(normal(family))
	if p == nil {
		return e, false
	}
	if family == "amazon" {
		release = amazonRelease(release)
	}
	list := names(release)
	// A release of one of digestgate's own families as its bucket names it: an image writes
	// "2.0 (SP9x86_64)" or "V10 (Lance)".
	if lower := strings.ToLower(family); distribution.OwnFamily(lower) {
		if bucket, ok := distribution.Bucket(lower, release); ok {
			list = append(list, names(strings.TrimPrefix(bucket, distribution.Feed(lower)+" "))...)
		}
	}
	for _, name := range list {
		i, found := slices.BinarySearchFunc(p.Releases, name, func(r Release, name string) int { return strings.Compare(r.Name, name) })
		if !found {
			continue
		}
		r := p.Releases[i]
		return gate.EndOfLife{Product: p.Name, Release: r.Name, From: r.From, Ended: r.Ended}, r.Known
	}
	return e, false
}

func (t *Table) product(family string) *Product {
	if family == "" {
		return nil
	}
	for _, name := range []string{productOf[strings.ReplaceAll(family, "-", " ")], productOf[family], family} {
		i, ok := slices.BinarySearchFunc(t.Products, name, func(p Product, name string) int { return strings.Compare(p.Name, name) })
		if name != "" && ok {
			return &t.Products[i]
		}
	}
	for i := range t.Products {
		if slices.Contains(t.Products[i].Aliases, family) {
			return &t.Products[i]
		}
	}
	return nil
}

// amazonRelease is the number in a release as Amazon's files write it: "2 (Karoo)",
// "2023.6.20250115 (Amazon Linux)", "AMI release 2018.03".
func amazonRelease(release string) string {
	for _, field := range strings.Fields(release) {
		if field[0] >= '0' && field[0] <= '9' {
			return field
		}
	}
	return release
}

// names are under what a release may be listed, the most exact first: 12.5 is one of 12,
// and 22.03 (LTS-SP3) is 22.03-lts-sp3. A service pack is never cut: each has an end of its
// own.
func names(release string) []string {
	full := normal(release)
	if full == "" {
		return nil
	}
	list := []string{full}
	if base, sp, ok := strings.Cut(full, "-sp"); ok && !strings.Contains(base, "-") {
		list = append(list, base+"."+sp) // SUSE writes 15-SP6 and 15.6
	}
	if strings.Contains(full, "-") {
		return list
	}
	for {
		i := strings.LastIndexByte(full, '.')
		if i < 0 {
			return list
		}
		full = full[:i]
		list = append(list, full)
	}
}

// normal is a name in small letters, with hyphens for what separates its parts.
func normal(name string) string {
	fields := strings.FieldsFunc(strings.ToLower(name), func(r rune) bool { return r == ' ' || r == '(' || r == ')' || r == '-' || r == '_' })
	return strings.Join(fields, "-")
}
