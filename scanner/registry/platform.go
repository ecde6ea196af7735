package registry

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/containerd/platforms"
	specs "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/digestgate/digestgate/gate"
)

// ParsePlatforms reads platforms as people write them ("linux/arm64",
// "linux/arm/v7"); gate.ErrInvalid. Only Linux can be analysed.
func ParsePlatforms(list []string) ([]gate.Platform, error) {
	out := make([]gate.Platform, 0, len(list))
	for _, s := range list {
		p, err := platforms.Parse(s)
		if err != nil || strings.Contains(s, "*") || p.OS != "linux" || !strings.Contains(s, "/") {
			return nil, fmt.Errorf("platform %s (want linux/ARCHITECTURE, such as linux/amd64): %w", gate.Quoted(s, 60), gate.ErrInvalid)
		}
		out = append(out, fromSpecs(p))
	}
	return out, nil
}

// matcher decides which children of an index a node of a configured platform may
// run: what containerd, CRI-O or Docker there would choose. They look at other
// things, so that it is the union.
type matcher []platforms.Matcher

func newMatcher(list []gate.Platform) matcher {
	var m matcher
	for _, p := range list {
		want := specs.Platform{OS: p.OS, Architecture: p.Architecture, Variant: p.Variant, OSVersion: p.OSVersion}
		m = append(m, platforms.Only(want))
		switch {
		case want.Architecture == "amd64" && want.Variant == "":
			// Docker prefers the highest level that its processor has
			// (distribution/pull_v2.go, maximumSpec); v4 includes the lower ones.
			want.Variant = "v4"
			m = append(m, platforms.Only(want))
		case want.Architecture == "arm":
			m = append(m, withoutVariant{want})
		}
	}
	return m
}

// match leaves os.features out, as CRI-O and containerd before 2.1 do.
func (m matcher) match(p specs.Platform) bool {
	p.OSFeatures = nil
	if p.OS == "" {
		p.OS = "linux" // of the node, not of the machine that this runs on
	}
	for _, one := range m {
		if one.Match(p) {
			return true
		}
	}
	return false
}

// withoutVariant matches an image of the architecture that names no variant.
// CRI-O takes one on every processor (containers/image, WantedPlatforms),
// containerd for v7.
type withoutVariant struct{ specs.Platform }

func (w withoutVariant) Match(p specs.Platform) bool {
	return p.OS == w.OS && p.Architecture == w.Architecture && p.Variant == ""
}

// fromSpecs makes a platform fit to be stored and shown: it comes from outside.
func fromSpecs(p specs.Platform) gate.Platform {
	return gate.Platform{
		OS: gate.Printable(p.OS, 64), Architecture: gate.Printable(p.Architecture, 64),
		Variant: gate.Printable(p.Variant, 64), OSVersion: gate.Printable(p.OSVersion, 64),
	}
}

// isLinux reports whether a node takes a platform for Linux.
func isLinux(p specs.Platform) bool {
	return gate.ConfigPlatform(gate.Platform{OS: p.OS}).OS == "linux"
}

// isUnknown recognises the descriptors that BuildKit gives to attestations;
// nothing else is skipped.
func isUnknown(p *specs.Platform) bool {
	return p != nil && p.OS == "unknown" && p.Architecture == "unknown" && p.Variant == "" && p.OSVersion == "" && len(p.OSFeatures) == 0
}

// imageConfig is what this package reads of an image configuration.
type imageConfig struct {
	OS           string `json:"os"`
	Architecture string `json:"architecture"`
	Variant      string `json:"variant"`
	OSVersion    string `json:"os.version"`
	RootFS       struct {
		DiffIDs []gate.Digest `json:"diff_ids"`
	} `json:"rootfs"`
}

func (c imageConfig) platform() gate.Platform {
	return gate.ConfigPlatform(gate.Platform{OS: c.OS, Architecture: c.Architecture, Variant: c.Variant, OSVersion: c.OSVersion})
}

// parseConfig reads a configuration and says in words why it makes the image
// unassessable, "" when it does not.
func parseConfig(raw []byte, layers int) (c imageConfig, why string) {
	if err := json.Unmarshal(raw, &c); err != nil {
		return imageConfig{}, "the image's configuration is not valid JSON of its kind"
	}
	if p := c.platform(); p.OS != "linux" {
		return c, fmt.Sprintf("no Linux platform: the image is for %s", p)
	}
	if len(c.RootFS.DiffIDs) != layers {
		return c, fmt.Sprintf("the image's configuration lists %d layers, its manifest %d", len(c.RootFS.DiffIDs), layers)
	}
	for _, d := range c.RootFS.DiffIDs {
		if !d.Valid() {
			return c, fmt.Sprintf("the image's configuration names something that is not a digest: %s", gate.Quoted(string(d), 100))
		}
	}
	return c, ""
}
