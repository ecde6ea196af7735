package stock

import (
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"time"

	"github.com/digestgate/digestgate/gate"
)

// A product is what has advisories: a source package of a distribution, or a package
// of a language. Its versions are counted in levels; the advisories compare them.
type product struct {
	name         string
	major, minor int
	first        int // the level of build 0
	every        int // a level more each so many builds
	binaries     []string
	issues       []issue
	// packages are the binaries at each level from first.
	packages [][]gate.Package
}

// An issue is one vulnerability of one product: it is in every level below fixed, in
// all with never.
type issue struct {
	id        string
	severity  gate.Severity
	vector    string
	title     string
	published time.Time
	fixed     int
}

// never is the level of an issue without a fix, and distant one that no build reaches,
// so that the fix is known and not yet in.
const never, distant = 0, 9000

func (p *product) level(build int) int { return p.first + build/p.every }

func (p *product) version(level int) string {
	return fmt.Sprintf("%d.%d.%d", p.major, p.minor, level)
}

// at is the packages of a build.
func (p *product) at(build int) []gate.Package { return p.packages[build/p.every] }

// random is a source of numbers that depends on the seed and the name only.
func (s *Stock) random(name string) *rand.Rand {
	h := fnv.New64a()
	_, _ = h.Write([]byte(name)) // never fails
	return rand.New(rand.NewPCG(s.o.Seed, h.Sum64()))
}

// pace is how many builds pass between two versions: few packages change often, most
// in a year or never. fast is the pace of the former.
func pace(r *rand.Rand, fast int) int {
	switch n := r.IntN(100); {
	case n < 5:
		return fast
	case n < 25:
		return 4 * fast
	case n < 50:
		return 16 * fast
	}
	return 1 << 30
}

// newProduct makes one with the packages of all builds.
func (s *Stock) newProduct(name string, r *rand.Rand, every int, pack func(p *product, level int) []gate.Package) *product {
	p := &product{name: name, major: r.IntN(6), minor: r.IntN(30), first: 2 + r.IntN(10), every: every}
	for l := p.first; l <= p.level(max(s.builds()-1, 0)); l++ {
		p.packages = append(p.packages, pack(p, l))
	}
	return p
}

// rates are the mean numbers of issues of a product.
type rates struct {
	past    float64 // fixed before build 0
	open    float64 // without a fix
	fixable float64 // with a fix that no build has
	passing float64 // fixed in one of the next versions
}

// infest gives a product its vulnerabilities.
func (s *Stock) infest(p *product, r *rand.Rand, n rates) {
	for _, kind := range []struct {
		mean  float64
		fixed func() int
	}{
		{n.past, func() int { return 1 + r.IntN(p.first) }},
		{n.open, func() int { return never }},
		{n.fixable, func() int { return distant + r.IntN(5) }},
		{n.passing, func() int { return p.first + 1 + r.IntN(4) }},
	} {
		for range draw(r, kind.mean) {
			p.issues = append(p.issues, s.issue(r, kind.fixed()))
		}
	}
}

// draw is a number with the given mean, at most a few times as large: most products
// have none, some have many.
func draw(r *rand.Rand, mean float64) int {
	n := 0
	for r.Float64() < mean/(1+mean) && n < 12 {
		n++
	}
	return n
}

// issue is one that no product has yet.
func (s *Stock) issue(r *rand.Rand, fixed int) issue {
	s.cves++
	return s.newIssue(fmt.Sprintf("CVE-%d-%05d", 2015+s.cves%12, 10000+s.cves), r, fixed)
}

func (s *Stock) newIssue(id string, r *rand.Rand, fixed int) issue {
	n := r.IntN(1000)
	severity := gate.SeverityLow
	// As Debian and GitHub grade; what has a fix and is critical is rebuilt at once, and
	// stands in an image of its own ([Stock.makeApplications]).
	switch critical := fixed == never; {
	case n < 15 && critical:
		severity = gate.SeverityCritical
	case n < 140:
		severity = gate.SeverityHigh
	case n < 460:
		severity = gate.SeverityMedium
	case n < 490:
		severity = gate.SeverityUnknown
	}
	return issue{
		id: id, severity: severity, vector: vectors[severity],
		title:     fmt.Sprintf("%s: %s in %s", words[r.IntN(len(words))], flaws[r.IntN(len(flaws))], words[r.IntN(len(words))]),
		published: s.o.Now.Add(-time.Duration(24+r.IntN(5*365*24)) * time.Hour).Truncate(time.Hour), fixed: fixed,
	}
}

var vectors = map[gate.Severity]string{
	gate.SeverityCritical: "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H",
	gate.SeverityHigh:     "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:N/I:N/A:H",
	gate.SeverityMedium:   "CVSS:3.1/AV:N/AC:H/PR:N/UI:N/S:U/C:N/I:N/A:H",
	gate.SeverityLow:      "CVSS:3.1/AV:L/AC:H/PR:L/UI:N/S:U/C:N/I:N/A:L",
}

var flaws = []string{
	"out-of-bounds read when a malformed header is parsed", "use after free when a connection ends early",
	"denial of service by a deeply nested document", "path traversal when an archive is unpacked",
	"integer overflow in the size of an allocation", "missing check of a certificate's name",
	"prototype pollution through a crafted key", "regular expression that takes exponential time",
}

var words = []string{
	"ssl", "xml", "curl", "zip", "png", "systemd", "krb", "ldap", "perl", "python", "gcc", "icu", "pcre", "sqlite",
	"udev", "pam", "apt", "gnutls", "nettle", "ncurses", "tiff", "jpeg", "webp", "expat", "yaml", "json", "http",
	"proxy", "router", "parser", "stream", "buffer", "cache", "queue", "crypto", "token", "session", "cookie", "mime", "date",
}
