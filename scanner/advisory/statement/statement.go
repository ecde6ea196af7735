// Package statement is how a bucket of a distribution without a detector in Trivy
// (distribution.Bucket) holds what a source says: in the form of Trivy's advisories, with
// what these lack in their field Custom. Readers of sources write with it, scanner/match
// reads with it. Its functions are pure and safe for concurrent use.
package statement

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/aquasecurity/trivy-db/pkg/types"
)

// Statement is what one source says about one package and one vulnerability.
type Statement struct {
	// Package is the name of a binary package, or of a source package if Source is set:
	// such a statement is about every package that was built from it.
	Package string
	Source  bool
	// Module is name and stream of the module that the package is of ("nodejs:12"); ""
	// for a source that names none. A package of another stream never matches.
	Module string
	// FixedVersion is "epoch:version-release" for RPM packages, the epoch left out when
	// it is 0, or a version of dpkg. "" where there is no fix; Status then says what is
	// known: StatusAffected, StatusWillNotFix, StatusEndOfLife, …
	FixedVersion string
	Status       types.Status
	// NoEpoch says that the source writes no epochs although packages have some: the
	// installed one is left out of the comparison. It is a property of the source.
	NoEpoch bool
	// Arches are the architectures that the statement is about; none means all. A
	// package for every architecture (noarch, all) is always meant.
	Arches []string

	VendorIDs []string // the source's identifiers of the advisory
	Severity  types.Severity
}

// Key is the name under which the statement is filed in its bucket: the package, with
// the stream of a module before it as in Red Hat's data ("nodejs:12::npm").
func (s Statement) Key() string {
	if s.Module != "" {
		return s.Module + "::" + s.Package
	}
	return s.Package
}

// Applies reports whether the statement is about packages of an architecture.
func (s Statement) Applies(arch string) bool {
	arch = plainArch(arch)
	if len(s.Arches) == 0 || arch == "" {
		return true
	}
	binary := false
	for _, a := range s.Arches {
		a = plainArch(a)
		binary = binary || a != "src"
		// A package that was for all architectures may have been split since.
		if a == arch || a == "" {
			return true
		}
	}
	return !binary
}

// plainArch is "" for a package that is for all architectures, or does not say which.
func plainArch(arch string) string {
	switch arch = strings.ToLower(arch); arch {
	case "noarch", "all", "none", "any":
		return ""
	case "amd64":
		return "x86_64"
	case "arm64":
		return "aarch64"
	}
	return arch
}

// Check says what cannot be filed.
func (s Statement) Check() error {
	switch {
	case s.Package == "" || strings.ContainsFunc(s.Package, notInName):
		return fmt.Errorf("package: got %q, want the name of a package", s.Package)
	case s.Module != "" && (strings.Count(s.Module, ":") != 1 || strings.ContainsFunc(s.Module, notInName)):
		return fmt.Errorf("module: got %q, want name and stream, such as nodejs:12", s.Module)
	case s.FixedVersion == "" && (s.Status == types.StatusUnknown || s.Status == types.StatusFixed || s.Status == types.StatusNotAffected):
		return fmt.Errorf("package %q: there is neither a version with the fix nor a status that says that there is none", s.Package)
	case strings.ContainsFunc(s.FixedVersion, notInName) || s.FixedVersion != "" && !strings.ContainsAny(s.FixedVersion, "0123456789"):
		return fmt.Errorf("package %q: fixed version: got %q", s.Package, s.FixedVersion)
	}
	return nil
}

func notInName(r rune) bool { return r <= ' ' || r >= 0x7f }

// entry is a statement inside Custom.
type entry struct {
	FixedVersion string   `json:"fixedVersion,omitempty"`
	Status       int      `json:"status,omitempty"`
	Source       bool     `json:"source,omitempty"`
	NoEpoch      bool     `json:"noEpoch,omitempty"`
	Arches       []string `json:"arches,omitempty"`
}

// custom is the field Custom of an advisory.
type custom struct {
	Statements []entry `json:"statements"`
}

// Advisory is the statement as a bucket holds it under Key and the vulnerability.
func (s Statement) Advisory() types.Advisory {
	return types.Advisory{VendorIDs: s.VendorIDs, Severity: s.Severity, Custom: custom{[]entry{entryOf(s)}}}
}

func entryOf(s Statement) entry {
	e := entry{FixedVersion: s.FixedVersion, Source: s.Source, NoEpoch: s.NoEpoch}
	if e.FixedVersion == "" {
		e.Status = int(s.Status)
	}
	if len(s.Arches) > 0 {
		e.Arches = slices.Clone(s.Arches)
		slices.Sort(e.Arches)
		e.Arches = slices.Compact(e.Arches)
	}
	return e
}

// Merge joins what was filed under the same key and vulnerability: all statements stay,
// and a package is affected if any of them says so. Both must come from [Statement.Advisory] or Merge.
func Merge(old, adv types.Advisory) types.Advisory {
	older, _ := old.Custom.(custom)
	newer, _ := adv.Custom.(custom)
	list := slices.Clone(older.Statements)
	for _, e := range newer.Statements {
		if !slices.ContainsFunc(list, e.equal) {
			list = append(list, e)
		}
	}
	old.Custom, old.Severity = custom{list}, max(old.Severity, adv.Severity)
	ids := slices.Clone(old.VendorIDs)
	for _, id := range adv.VendorIDs {
		if !slices.Contains(ids, id) {
			ids = append(ids, id)
		}
	}
	old.VendorIDs = ids
	return old
}

func (e entry) equal(o entry) bool {
	return e.FixedVersion == o.FixedVersion && e.Status == o.Status && e.Source == o.Source && e.NoEpoch == o.NoEpoch && slices.Equal(e.Arches, o.Arches)
}

// Read is what a bucket holds under one key and one vulnerability, without the package's
// name. An advisory without the field Custom is one statement about a binary package
// with epochs, as in Trivy's own buckets. Errors: data that is not an advisory.
func Read(data []byte) ([]Statement, error) {
	var v struct {
		FixedVersion string
		Status       int
		Arches       []string
		VendorIDs    []string
		Severity     types.Severity
		Custom       *custom
	}
	if err := json.Unmarshal(data, &v); err != nil {
		return nil, err
	}
	if v.Custom == nil || len(v.Custom.Statements) == 0 { // a composition may note its source there
		v.Custom = &custom{[]entry{{FixedVersion: v.FixedVersion, Status: v.Status, Arches: v.Arches}}}
	}
	list := make([]Statement, 0, len(v.Custom.Statements))
	for _, e := range v.Custom.Statements {
		list = append(list, Statement{
			FixedVersion: e.FixedVersion, Status: types.Status(e.Status), Source: e.Source, NoEpoch: e.NoEpoch, Arches: e.Arches,
			VendorIDs: v.VendorIDs, Severity: v.Severity,
		})
	}
	return list, nil
}

// Unite adds to the row of a source what another one's says of packages that the first is
// silent about: of other architectures, or of the packages built from a source instead of
// one binary package. Where both speak, the first decides. Both are rows of one key and
// vulnerability; added is false, and row the first, where nothing is to be added, as in
// buckets of Trivy's detectors. Errors: data that is not an advisory.
func Unite(first, second []byte) (row []byte, added bool, err error) {
	if !hasStatements(first) && !hasStatements(second) {
		return first, false, nil
	}
	said, err := Read(first)
	if err != nil {
		return nil, false, err
	}
	more, err := Read(second)
	if err != nil {
		return nil, false, err
	}
	var entries []entry
	for _, s := range said {
		entries = append(entries, entryOf(s))
	}
	for _, s := range more {
		arches, silent := s.unsaid(said)
		if !silent {
			continue
		}
		s.Arches = arches
		entries, added = append(entries, entryOf(s)), true
	}
	if !added {
		return first, false, nil
	}
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(first, &fields); err != nil {
		return nil, false, err
	}
	own := map[string]json.RawMessage{}
	if len(fields["Custom"]) > 0 && json.Unmarshal(fields["Custom"], &own) != nil {
		own = map[string]json.RawMessage{} // not an object: nothing of ours
	}
	ids := slices.Clone(said[0].VendorIDs)
	for _, id := range more[0].VendorIDs {
		if !slices.Contains(ids, id) {
			ids = append(ids, id)
		}
	}
	set := func(in map[string]json.RawMessage, key string, v any) {
		if err == nil {
			in[key], err = json.Marshal(v)
		}
	}
	set(own, "statements", entries)
	set(fields, "Custom", own)
	if len(ids) > 0 {
		set(fields, "VendorIDs", ids)
	}
	if grade := more[0].Severity; said[0].Severity == types.SeverityUnknown && grade != types.SeverityUnknown {
		set(fields, "Severity", grade)
	}
	if err != nil {
		return nil, false, err
	}
	row, err = json.Marshal(fields)
	return row, true, err
}

// unsaid are the architectures of s about which no statement of a list speaks, none for
// all of them; silent is false when there is no such architecture.
func (s Statement) unsaid(said []Statement) (arches []string, silent bool) {
	arches = s.Arches
	for _, o := range said {
		if o.Source != s.Source {
			continue
		}
		if len(o.Arches) == 0 {
			return nil, false
		}
		arches = slices.DeleteFunc(slices.Clone(arches), func(a string) bool {
			return slices.ContainsFunc(o.Arches, func(b string) bool { return plainArch(a) == plainArch(b) })
		})
		if len(arches) == 0 && len(s.Arches) > 0 {
			return nil, false
		}
	}
	return arches, true
}

func hasStatements(row []byte) bool { return bytes.Contains(row, []byte(`"statements"`)) }
