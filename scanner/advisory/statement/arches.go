package statement

import (
	"bytes"
	"maps"
	"slices"
	"strings"
)

// Arches are the architectures that the rows of a bucket speak of. A repository of RPM
// packages has one, so that rows of one repository alone say nothing of the packages of
// another architecture. The zero value speaks of all: nothing names an architecture.
type Arches struct {
	named map[string]bool
	every bool // a source package is spoken of, for all architectures
}

// Add takes a row into account; one that cannot be read names nothing.
func (a *Arches) Add(row []byte) {
	if a.every || !bytes.Contains(row, []byte(`rches"`)) && !bytes.Contains(row, []byte(`"source"`)) {
		return
	}
	list, err := Read(row)
	if err != nil {
		return
	}
	for _, s := range list {
		a.every = a.every || s.Source && len(s.Arches) == 0
		for _, arch := range s.Arches {
			if arch = plainArch(arch); arch != "" && arch != "src" {
				if a.named == nil {
					a.named = map[string]bool{}
				}
				a.named[arch] = true
			}
		}
	}
}

// Of reports whether the rows speak of an architecture; "" and those of packages for all
// of them always are spoken of.
func (a Arches) Of(arch string) bool {
	arch = plainArch(arch)
	return a.every || len(a.named) == 0 || arch == "" || a.named[arch]
}

// Equal reports whether both speak of the same.
func (a Arches) Equal(b Arches) bool {
	return a.every && b.every || a.every == b.every && maps.Equal(a.named, b.named)
}

// String lists them for people.
func (a Arches) String() string { return strings.Join(slices.Sorted(maps.Keys(a.named)), ", ") }

// Arch is the architecture of a package in the word of RPM, "" for a package that is for
// all of them or does not say which.
func Arch(arch string) string { return plainArch(arch) }
