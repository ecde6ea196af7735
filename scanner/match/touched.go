package match

import (
	"context"
	"encoding/json"
	"strings"

	"github.com/aquasecurity/trivy/pkg/types"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/scanner/advisory"
)

// Touched says which of the lookups of [Matcher.Lookups] a difference of advisory data
// touches, and the time: the end of a release's life changes findings too, and with it
// the bucket that is read for an extended one. It is to be asked soon, by one
// goroutine.
func Touched(ctx context.Context, d advisory.Difference) gate.Touched {
	t := touch{ctx: ctx, difference: d, packages: map[string]bool{}}
	touched := gate.Touched{Class: t.class}
	for _, p := range d.Packages {
		t.packages[p.Bucket] = true
		touched.Packages = append(touched.Packages, packageKey(lookedUpIn(p.Bucket), p.Package))
	}
	for _, id := range d.Vulnerabilities {
		touched.Vulnerabilities = append(touched.Vulnerabilities, cut(id, maxIDBytes))
	}
	touched.Packages, touched.Vulnerabilities = set(touched.Packages), set(touched.Vulnerabilities)
	return touched
}

// lookedUpIn is the bucket as a key names it: of a source of an ecosystem, or of a
// third party that rebuilds its packages, the ecosystem ("pip::").
func lookedUpIn(bucket string) string {
	eco, _, ok := strings.Cut(bucket, "::")
	if !ok {
		return bucket
	}
	return strings.TrimPrefix(eco, "seal ") + "::"
}

// touch answers for classes.
type touch struct {
	ctx        context.Context
	difference advisory.Difference
	packages   map[string]bool // the buckets of changed packages
}

func (t touch) class(text string) bool {
	var c class
	if err := json.Unmarshal([]byte(text), &c); err != nil || c.Always {
		return true
	}
	if c.RedHat && t.difference.RedHat {
		return true
	}
	for _, bucket := range t.difference.Buckets {
		if c.begins(bucket) {
			return true
		}
	}
	if c.Broad {
		for bucket := range t.packages {
			if c.begins(bucket) {
				return true
			}
		}
	}
	return t.dated(c)
}

func (c class) begins(bucket string) bool {
	for _, prefix := range c.Prefixes {
		if strings.HasPrefix(bucket, prefix) {
			return true
		}
	}
	return false
}

// dated reports whether the date changes what is found of a class: a detector that
// looks into another bucket by now, or a release that is past its end of life by now.
func (t touch) dated(c class) bool {
	if c.OS.Family == "" || c.Broad {
		return false // detectors of third parties know no end of life
	}
	if bucket, known := c.bucket(); !known || bucket != c.Bucket {
		return true
	}
	eol, ok := endOfLife(t.ctx, c)
	return !ok || eol != c.EOL
}

// endOfLife asks the detector of a distribution whether the release is past its end of
// life, as a match does.
func endOfLife(ctx context.Context, c class) (eol, ok bool) {
	defer func() {
		if recover() != nil {
			ok = false // a detector that fails on what it is given
		}
	}()
	_, eol, err := osScanner(c.OS, nil).Scan(ctx, types.ScanTarget{OS: c.OS}, scanOptions())
	return eol, err == nil
}
