package view

import (
	"slices"
	"strings"
	"time"

	"github.com/digestgate/digestgate/gate"
)

// Tables are what is joined to findings; scanner/joined implements it.
type Tables interface {
	// Joined is what the tables say of a finding at a place and a time. It reads nothing.
	Joined(w gate.Whereabouts, v *gate.Vulnerability, now time.Time) gate.Joined
	// Beside reads what was found beside an image, for Whereabouts.Beside.
	Beside(b *gate.BesideVEX) any
}

// join adds what the tables say of the vulnerabilities that are shown: of those that a
// statement hides, at which locations of the image.
func (s Views) join(v *FindingsDetail, rec *gate.Record) {
	if s.Tables == nil {
		return
	}
	t := s.Tables()
	if t == nil {
		return
	}
	now := s.now()
	beside := t.Beside(v.known)
	for i := range v.Vulnerabilities {
		found := &v.Vulnerabilities[i]
		j := t.Joined(gate.Whereabouts{Digest: v.Digest}, found, now)
		if j.EPSS != nil || j.KEV != nil {
			v.Exploits = append(v.Exploits, Exploit{found.ID, j.EPSS, j.KEV})
		}
		if h, ok := Hidden(t, rec, beside, found, now); ok {
			v.Hidden = append(v.Hidden, h)
		}
	}
	v.Exploits = unionExploits(nil, v.Exploits)
}

// Hidden says where a statement hides a finding of an image, with what the tables have read
// beside it; ok is false for nowhere.
func Hidden(t Tables, rec *gate.Record, beside any, v *gate.Vulnerability, now time.Time) (h gate.HiddenFinding, ok bool) {
	h = gate.HiddenFinding{
		Digest: rec.Digest, ID: v.ID, Package: v.Package, InstalledVersion: v.InstalledVersion, Severity: v.Severity, Path: v.Path, Locations: []gate.Location{},
	}
	for i := range rec.Locations {
		loc := rec.Locations[i].Location
		if s := t.Joined(gate.Whereabouts{Digest: rec.Digest, Location: loc, Beside: beside}, v, now).VEX; s != nil {
			h.Locations, h.Statement = append(h.Locations, loc), *s
		}
	}
	return h, len(h.Locations) > 0
}

func (s Views) now() time.Time {
	if s.Now == nil {
		return time.Now()
	}
	return s.Now()
}

// unionExploits are those of both lists, each once, sorted.
func unionExploits(a, b []Exploit) []Exploit {
	list := append(append([]Exploit{}, a...), b...)
	slices.SortStableFunc(list, func(x, y Exploit) int { return strings.Compare(x.ID, y.ID) })
	return slices.CompactFunc(list, func(x, y Exploit) bool { return x.ID == y.ID })
}
