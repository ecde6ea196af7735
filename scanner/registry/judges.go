package registry

import (
	specs "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/digestgate/digestgate/gate"
)

// Judges reports whether a configured platform runs images of platform p, as
// Resolve decides it for the children of an index. A child without a complete
// platform is decided by what was read of it, not here.
func (c *Client) Judges(p gate.Platform) bool {
	if p.OS == "" || p.Architecture == "" {
		return false
	}
	return c.matcher.match(specs.Platform{OS: p.OS, Architecture: p.Architecture, Variant: p.Variant, OSVersion: p.OSVersion})
}
