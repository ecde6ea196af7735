// Package stock makes the content of a large installation, for benchmarks and load
// tests: images of 10 bases × 20 applications in any number of builds, each with 336
// packages of a distribution and of a language, the advisories that give each about 195
// findings, and later generations of these. It writes them through the store's own
// interface ([Stock.Fill]).
//
// Everything follows from [Options]: the same options give the same bytes, whatever
// runs at once. A Stock does not change once it is made, and is safe for concurrent use.
package stock

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"time"

	"github.com/digestgate/digestgate/gate"
)

// The shape of a stock.
const (
	// Bases and Applications make Combinations; image i is build i/Combinations of
	// combination i%Combinations.
	Bases, Applications = 10, 20
	Combinations        = Bases * Applications

	// basePackages and appPackages are what each image has, 336 together: the middle of
	// what a Debian image with an application in Node, Go, Python or Java has.
	basePackages, appPackages = 236, 100

	// Registry is where every image is; every third is in Mirror too.
	Registry, Mirror = "harbor", "mirror"
)

// Options say what is made.
type Options struct {
	// Images is how many there are; none is made before it is asked for.
	Images int
	// Seed chooses names, versions and vulnerabilities; 0 is as good as any.
	Seed uint64
	// Now is the time of every analysis and of the newest vulnerability; the zero time
	// stands for a fixed one.
	Now time.Time
	// AnalyzerSet is what inventories say; "" stands for a made-up one.
	AnalyzerSet string
}

// Stock is a number of images and the advisories for them.
type Stock struct {
	o        Options
	releases []*release
	bases    []base
	apps     []application
	cves     int // how many were given out
}

// New makes a stock.
func New(o Options) *Stock {
	if o.Now.IsZero() {
		o.Now = time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)
	}
	if o.AnalyzerSet == "" {
		o.AnalyzerSet = "stock"
	}
	s := &Stock{o: o}
	s.makeReleases()
	s.makeBases()
	s.makeApplications()
	return s
}

// Images is how many images there are.
func (s *Stock) Images() int { return s.o.Images }

// builds is how many builds of a combination there are.
func (s *Stock) builds() int { return (s.o.Images + Combinations - 1) / Combinations }

// parts are the base, the application and the build of image i.
func (s *Stock) parts(i int) (base, *application, int) {
	c := i % Combinations
	return s.bases[c%Bases], &s.apps[c/Bases], i / Combinations
}

// Digest is that of image i.
func (s *Stock) Digest(i int) gate.Digest { return s.hash("image", i) }

// Repository is where image i is, in [Registry] and in [Mirror].
func (s *Stock) Repository(i int) string {
	c := i % Combinations
	return fmt.Sprintf("team-%d/%s-on-%s", c/Bases%7, s.apps[c/Bases].name, s.bases[c%Bases].name)
}

// Locations are those of image i, one or two.
func (s *Stock) Locations(i int) []gate.Location {
	places := []gate.Location{{Registry: Registry, Repository: s.Repository(i)}}
	if i%3 == 0 {
		places = append(places, gate.Location{Registry: Mirror, Repository: s.Repository(i)})
	}
	return places
}

// Tag names image i in [Registry], and no other image.
func (s *Stock) Tag(i int) gate.TagKey {
	return gate.TagKey{Location: s.Locations(i)[0], Tag: fmt.Sprintf("1.%d.0", i/Combinations)}
}

// Critical reports whether image i has a critical vulnerability with a fix, for which the
// starter set of policies denies it; one image of twenty has.
func (s *Stock) Critical(i int) bool { return i%Combinations/Bases == criticalApplication }

func (s *Stock) hash(what string, numbers ...int) gate.Digest {
	sum := sha256.Sum256(fmt.Append(nil, "stock ", s.o.Seed, " ", what, " ", numbers))
	return gate.Digest("sha256:" + hex.EncodeToString(sum[:]))
}
