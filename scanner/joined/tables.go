package joined

import (
	"slices"
	"strings"
	"time"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/scanner/joined/eol"
	"github.com/digestgate/digestgate/scanner/joined/epss"
	"github.com/digestgate/digestgate/scanner/joined/kev"
	"github.com/digestgate/digestgate/scanner/joined/vex"
)

// Tables are the contents in force at one time. They never change; a content that comes
// into force makes other Tables. It implements policy.Tables.
type Tables struct {
	epss *epss.Table
	kev  *kev.Table
	eol  *eol.Table
	vex  *vex.Index // nil without statements

	inForce map[gate.TableKind]gate.Table
}

// NewTables makes tables of contents for tools and tests; nil is none.
func NewTables(e *epss.Table, k *kev.Table, o *eol.Table, v *vex.Table) *Tables {
	t := &Tables{epss: e, kev: k, eol: o, inForce: map[gate.TableKind]gate.Table{}}
	if v != nil {
		t.vex = vex.NewIndex(v)
	}
	return t
}

// Table implements policy.Tables.
func (t *Tables) Table(k gate.TableKind) gate.Table { return t.inForce[k] }

// EPSS implements policy.Tables.
func (t *Tables) EPSS(id string) (gate.EPSS, bool) {
	if t.epss == nil {
		return gate.EPSS{}, false
	}
	return t.epss.Score(id)
}

// KEV implements policy.Tables.
func (t *Tables) KEV(id string) (gate.KnownExploited, bool) {
	if t.kev == nil {
		return gate.KnownExploited{}, false
	}
	return t.kev.Find(id)
}

// EndOfLife implements policy.Tables.
func (t *Tables) EndOfLife(family, release string) (gate.EndOfLife, bool) {
	if t.eol == nil {
		return gate.EndOfLife{}, false
	}
	return t.eol.Find(family, release)
}

// Beside implements policy.Tables.
func (t *Tables) Beside(b *gate.BesideVEX) any {
	if t.vex == nil || b == nil {
		return nil
	}
	return vex.ReadBeside(b)
}

// States implements policy.Tables.
func (t *Tables) States(id string) bool { return t.vex != nil && t.vex.States(id) }

// Hides implements policy.Tables.
func (t *Tables) Hides(w gate.Whereabouts, v *gate.Vulnerability, now time.Time) (gate.Statement, bool) {
	if t.vex == nil {
		return gate.Statement{}, false
	}
	return t.vex.Hides(w, v, now)
}

// Joined is what the tables say of a finding at a place.
func (t *Tables) Joined(w gate.Whereabouts, v *gate.Vulnerability, now time.Time) (j gate.Joined) {
	j = gate.JoinExploits(t, v.Names())
	if s, ok := t.Hides(w, v, now); ok {
		j.VEX = &s
	}
	return j
}

// Touched is what differs between two states of the tables, as far as findings depend on
// it. Ends of life depend on the release of an image, which its record has.
type Touched struct {
	// IDs are vulnerabilities that are touched in every image that has them, as findings
	// may write them.
	IDs []string
	// Digests are images in which a statement about them differs.
	Digests []gate.Digest
	// Unknown: something is touched that findings may write in more ways than can be
	// listed.
	Unknown bool
}

// Empty reports whether nothing is touched.
func (t Touched) Empty() bool { return len(t.IDs) == 0 && len(t.Digests) == 0 && !t.Unknown }

// Compare says what is touched by the difference of two states, of those tables that are
// looked at.
func Compare(before, after *Tables, looks map[gate.TableKind]bool) Touched {
	var t Touched
	ids := map[string]bool{}
	digests := map[gate.Digest]bool{}
	note := func(id string) {
		switch rest, ghsa := strings.CutPrefix(id, "GHSA-"); {
		case ghsa:
			ids["GHSA-"+strings.ToLower(rest)] = true
		case !strings.HasPrefix(id, "CVE-"):
			t.Unknown = true
		}
		ids[id] = true
	}
	if looks[gate.TableEPSS] && before.epss != after.epss {
		for _, id := range epss.Changed(before.epss, after.epss) {
			note(id)
		}
	}
	if looks[gate.TableKEV] && before.kev != after.kev {
		for _, id := range kev.Changed(before.kev, after.kev) {
			note(id)
		}
	}
	if looks[gate.TableVEX] && before.vex != after.vex {
		t.Unknown = t.Unknown || vex.OfImages(before.statements(), after.statements())
		for _, c := range vex.Changed(before.statements(), after.statements()) {
			if c.Digest != "" {
				digests[c.Digest] = true
				continue
			}
			note(c.ID)
		}
	}
	for id := range ids {
		t.IDs = append(t.IDs, id)
	}
	for d := range digests {
		t.Digests = append(t.Digests, d)
	}
	slices.Sort(t.IDs)
	slices.Sort(t.Digests)
	return t
}

func (t *Tables) statements() *vex.Table {
	if t.vex == nil {
		return nil
	}
	return t.vex.Table()
}
