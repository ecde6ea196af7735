package registry

import (
	specs "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/digestgate/digestgate/gate"
)

// Judges reports whether a node of a configured platform may run images of
// platform p, as Resolve decides it for the children of an index; so it does for
// what a version before has left out, or what is configured since. A child without
// any platform is judged always.
func (c *Client) Judges(p gate.Platform) bool {
	if p.OS == "" && p.Architecture == "" {
		return true
	}
	return c.matcher.match(specs.Platform{OS: p.OS, Architecture: p.Architecture, Variant: p.Variant, OSVersion: p.OSVersion})
}
