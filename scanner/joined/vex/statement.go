package vex

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/digestgate/digestgate/gate"
)

// The states of OpenVEX; those of other formats are mapped to them.
const (
	notAffected        = "not_affected"
	affected           = "affected"
	fixed              = "fixed"
	underInvestigation = "under_investigation"
)

// Limits on a document.
const (
	// MaxDocument is how many bytes one may have.
	MaxDocument   = 32 << 20
	maxStatements = 200_000
	maxText       = 300
	maxPURL       = 2048
)

// Document is what counts of a document.
type Document struct {
	ID     string    `json:"id"`
	Author string    `json:"author"`
	Format string    `json:"format"` // OpenVEX, CSAF, CycloneDX
	At     time.Time `json:"at"`     // when it was made or changed last
	// Statements are sorted.
	Statements []Statement `json:"statements"`
	// Refused counts what does not count, by the reason.
	Refused map[string]int `json:"refused,omitempty"`
}

// Statement is about one component. Only those of a state that hides can hide; the others
// are kept because the last word counts.
type Statement struct {
	IDs           []string    `json:"ids"` // of the vulnerability and its aliases, canonical
	Status        string      `json:"status"`
	Justification string      `json:"justification,omitempty"`
	Reason        string      `json:"reason,omitempty"`
	Digest        gate.Digest `json:"digest,omitempty"` // of the image; "" for any that has the component
	Product       string      `json:"product,omitempty"`
	Component     string      `json:"component"` // a package URL; "" for any, of one that does not hide
	// Inside is the component where the product is an application in an image, and not an
	// image; Component is "" then.
	Inside *Inside   `json:"inside,omitempty"`
	At     time.Time `json:"at"`
}

// Inside is a component of an application: it counts where the application's own file says
// that the component is part of it, see gate.Vulnerability.Root. The author of the image
// chooses that name, so that it counts for one image by its digest, or where the operator
// wants it, see Config.Applications.
type Inside struct {
	Application string `json:"application"` // a package URL with a version
	Component   string `json:"component"`   // a package URL
}

// hides reports whether the state takes a finding away.
func (s *Statement) hides() bool { return s.Status == notAffected || s.Status == fixed }

// The reasons for which statements are refused.
const (
	noVulnerability  = "it names no vulnerability"
	noTime           = "its time is in the future"
	noProduct        = "it names no product"
	unknownStatus    = "its status is not one of VEX"
	noJustification  = "it says not_affected without a justification or an impact statement"
	looseProduct     = "its product is neither an image by digest nor a package URL with a version"
	noComponent      = "it names an image without a component, which would hide the vulnerability everywhere in it"
	looseComponent   = "its component is not a package URL"
	nestedProduct    = "its product is a package of a distribution with components, and nothing in an image says which components are in it; name the image by its digest instead"
	namedApplication = "its product is an application with components, which the image itself names; name the image by its digest, or set applications: true for the source in repositories whose authors you trust"
	otherSBOM        = "it names a component of an SBOM and not of an image by its digest"
	someVersions     = "it is about some versions of the component; name the version in its package URL"
	otherSubject     = "it is about another image than the one that was signed"
	unknownReference = "it names a product that the document does not describe"
)

// collector makes the statements of a document.
type collector struct {
	doc  *Document
	now  time.Time
	full bool // there are more than are taken
}

func newCollector(format string, now time.Time) *collector {
	return &collector{doc: &Document{Format: format, Refused: map[string]int{}}, now: now}
}

func (c *collector) refuse(why string) { c.doc.Refused[why]++ }

// claim is what a document says, in its own words.
type claim struct {
	ids                   []string
	status                string
	justification, reason string
	product               identity
	component             *identity // nil: none is named
	at                    time.Time
}

// identity is how a document names a product or a component.
type identity struct {
	purl   string
	name   string // what else it is called
	sha256 string // hexadecimal
}

// addPURL adds one more package URL; of several different ones none is known.
func (i *identity) addPURL(u string) { i.purl = oneOf(i.purl, u) }

// addSHA256 adds one more digest; of several different ones none is known.
func (i *identity) addSHA256(hex string) { i.sha256 = oneOf(i.sha256, hex) }

// oneOf is the value of two that are one, and otherwise a text that is neither a package
// URL nor a digest.
func oneOf(old, more string) string {
	if old == "" || old == more {
		return more
	}
	return "several"
}

func (i identity) String() string { return cmp.Or(i.purl, i.name, i.sha256) }

// add takes a claim over as a statement, or refuses it.
func (c *collector) add(l claim) {
	s := Statement{
		IDs: ids(l.ids), Status: l.status, Justification: gate.Printable(l.justification, maxText), Reason: gate.Printable(l.reason, maxText),
		Product: gate.Printable(l.product.String(), maxText), At: l.at.UTC(),
	}
	if s.At.IsZero() {
		s.At = c.doc.At
	}
	switch {
	case len(c.doc.Statements) >= maxStatements:
		c.full = true
		return
	case len(s.IDs) == 0:
		c.refuse(noVulnerability)
		return
	case s.hides() && s.At.After(c.now.Add(gate.ClockSkew)):
		c.refuse(noTime)
		return
	case !slices.Contains([]string{notAffected, affected, fixed, underInvestigation}, s.Status):
		c.refuse(unknownStatus)
		return
	case s.Status == notAffected && l.justification == "" && l.reason == "":
		c.refuse(noJustification)
		return
	}
	if why := s.about(l.product, l.component); why != "" {
		c.refuse(why)
		return
	}
	c.doc.Statements = append(c.doc.Statements, s)
}

// about sets what the statement is about; it returns why that is not certain, "" when it
// is. A statement that does not hide need not be exact: it takes back what was said of all
// that it may mean, and so it is never dropped for that.
func (s *Statement) about(product identity, component *identity) string {
	if product == (identity{}) {
		return noProduct
	}
	d, image := product.image()
	if !image && !s.hides() {
		if p, ok := parsePURL(product.purl); ok && p.isImage() {
			image = true // of any digest
		}
	}
	if image {
		if component == nil && s.hides() {
			return noComponent
		}
		if component == nil {
			s.Digest = d
			return "" // any component
		}
		p, ok := parsePURL(component.purl)
		if !ok || p.isImage() {
			return looseComponent
		}
		s.Digest, s.Component = d, p.String()
		return ""
	}
	p, ok := parsePURL(product.purl)
	switch {
	case !ok || p.isImage() || s.hides() && !p.versioned():
		return looseProduct
	case component == nil:
		s.Component = p.String()
		return ""
	}
	c, ok := parsePURL(component.purl)
	switch {
	case !ok || c.isImage():
		return looseComponent
	case !s.hides(): // wherever the component is
		s.Component = c.String()
	case p.distribution():
		return nestedProduct
	default:
		s.Inside = &Inside{p.String(), c.String()}
	}
	return ""
}

// image is the digest of an image that is named by it alone.
func (i identity) image() (d gate.Digest, ok bool) {
	var list []gate.Digest
	if p, ok := parsePURL(i.purl); ok && p.isImage() {
		list = append(list, gate.Digest(strings.ToLower(p.Version)))
	} else if ok {
		return "", false // a package; its hash is that of a file
	} else if _, after, ok := strings.Cut(i.name, "@sha256:"); ok {
		list = append(list, gate.Digest("sha256:"+strings.ToLower(after)))
	}
	if i.sha256 != "" {
		list = append(list, gate.Digest("sha256:"+strings.ToLower(i.sha256)))
	}
	for _, one := range list {
		if !one.Valid() || one != list[0] {
			return "", false
		}
	}
	if len(list) == 0 {
		return "", false
	}
	return list[0], true
}

// ids are the names of a vulnerability, canonical, each once.
func ids(list []string) []string {
	var out []string
	for _, id := range list {
		if id = gate.CanonicalID(id); id != "" && len(id) <= 128 {
			out = append(out, id)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// done is the document, in an order that does not depend on how it was written. One with
// more statements than are taken is refused as a whole: what is missing may be what takes
// another back.
func (c *collector) done() (*Document, error) {
	if c.full {
		return nil, invalid("it has more than %d statements", maxStatements)
	}
	slices.SortFunc(c.doc.Statements, func(a, b Statement) int {
		return cmp.Or(slices.Compare(a.IDs, b.IDs), strings.Compare(string(a.Digest), string(b.Digest)), strings.Compare(a.Component, b.Component), compareInside(a.Inside, b.Inside),
			a.At.Compare(b.At), strings.Compare(a.Status, b.Status), strings.Compare(a.Reason, b.Reason))
	})
	return c.doc, nil
}

func compareInside(a, b *Inside) int {
	if a == nil || b == nil {
		return cmp.Compare(btoi(a != nil), btoi(b != nil))
	}
	return cmp.Or(strings.Compare(a.Application, b.Application), strings.Compare(a.Component, b.Component))
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}

// RefusedCount is how many statements do not count.
func (d *Document) RefusedCount() (n int) {
	for v := range maps.Values(d.Refused) {
		n += v
	}
	return n
}

func invalid(format string, args ...any) error {
	return fmt.Errorf("%w: %w", fmt.Errorf(format, args...), gate.ErrInvalid)
}
