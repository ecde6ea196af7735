// Package ubuntu reads what Ubuntu's security team publishes about its packages: records
// of the CVE tracker as JSON (https://github.com/aquasecurity/vuln-list), the answers
// of the security API (https://ubuntu.com/security/cves.json) and its notices
// (https://ubuntu.com/security/notices.json). All of them name source packages. Their OVAL
// files name binary ones, which no detector looks up.
package ubuntu

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	tracker "github.com/aquasecurity/trivy-db/pkg/vulnsrc/ubuntu"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/scanner/advisory/format"
)

// Format is one of the files that are read.
type Format int

// The values of Format.
const (
	None    Format = iota
	Tracker        // one CVE, or a list of them: Candidate and Patches
	API            // one CVE of the API, or {"cves": […]}
	Notices        // one notice, or {"notices": […]}
)

// Recognise tells from the names of the top-level fields what a document is.
func Recognise(has func(field string) bool) Format {
	switch {
	case has("Candidate") && has("Patches"):
		return Tracker
	case has("cves") && has("total_results"), has("id") && has("packages") && has("priority"):
		return API
	case has("notices") && has("total_results"), has("id") && has("release_packages"):
		return Notices
	}
	return None
}

// Read reads a document. Errors: gate.ErrInvalid, and those of the sink.
func Read(data []byte, f Format, sink format.Sink) error {
	switch f {
	case Tracker:
		var c tracker.UbuntuCVE
		if err := decode(data, &c); err != nil {
			return err
		}
		return record(c, sink)
	case API:
		var doc struct {
			CVEs []json.RawMessage `json:"cves"`
		}
		return each(data, &doc, func() []json.RawMessage { return doc.CVEs }, func(one []byte, at string) error { return apiCVE(one, at, sink) })
	case Notices:
		var doc struct {
			Notices []json.RawMessage `json:"notices"`
		}
		return each(data, &doc, func() []json.RawMessage { return doc.Notices }, func(one []byte, at string) error { return notice(one, at, sink) })
	}
	return fmt.Errorf("the document is none of Ubuntu's: %w", gate.ErrInvalid)
}

func decode(data []byte, v any) error {
	if err := json.Unmarshal(data, v); err != nil {
		return fmt.Errorf("parsing JSON: %w: %w", err, gate.ErrInvalid)
	}
	return nil
}

// each calls fn with the elements of the list in a document, or with the document.
func each(data []byte, doc any, list func() []json.RawMessage, fn func(one []byte, at string) error) error {
	if err := decode(data, doc); err != nil {
		return err
	}
	if list() == nil {
		return fn(data, "the document")
	}
	for i, one := range list() {
		if err := fn(one, fmt.Sprintf("entry %d", i)); err != nil {
			return fmt.Errorf("entry %d: %w", i, err)
		}
	}
	return nil
}

// record is one CVE of the tracker.
func record(c tracker.UbuntuCVE, sink format.Sink) error {
	if !format.ID(c.Candidate) {
		return fmt.Errorf("field Candidate: got %s: %w", gate.Quoted(c.Candidate, 60), gate.ErrInvalid)
	}
	e := format.Entry{
		References: c.References, At: c.Candidate,
		Vulnerabilities: []format.Vulnerability{{ID: c.Candidate, Severity: priority(c.Priority), Description: c.Description, PublishedAt: format.Time(c.PublicDate)}},
	}
	for _, pkg := range slices.Sorted(maps.Keys(c.Patches)) {
		patch := c.Patches[pkg]
		for _, release := range slices.Sorted(maps.Keys(patch)) {
			s, ok := statement(string(pkg), string(release), patch[release].Status, patch[release].Note, c.Candidate, e.At, sink)
			if ok {
				e.Statements = append(e.Statements, s)
			}
		}
	}
	if len(e.Statements) == 0 {
		return nil
	}
	return sink.Entry(e)
}

// statement reads a status of the tracker (ubuntu-cve-tracker, README). ok is false for one
// that says nothing about the package in the release.
func statement(pkg, codename, status, note, id, at string, sink format.Sink) (s format.Statement, ok bool) {
	number, ok := tracker.UbuntuReleasesMapping[codename]
	if !ok {
		switch codename {
		case "upstream", "devel", "snap":
		default:
			sink.Skip("statements about Ubuntu releases that have no number")
		}
		return s, false
	}
	s = format.Statement{Release: format.Release{"Ubuntu " + number}, Names: format.Source, Package: pkg}
	gap := func(why string) {
		sink.Gap(format.Gap{What: "package " + pkg, Of: id, At: at, Why: why, Release: s.Release})
	}
	switch status {
	case "released":
		s.State, s.Version = format.Fixed, strings.TrimSpace(note)
		if s.Version == "" || strings.ContainsAny(s.Version, " \t()") || !strings.ContainsAny(s.Version, "0123456789") {
			gap("it is released, and the version is " + gate.Quoted(note, 60))
			return s, false
		}
	case "needed", "pending", "active":
		s.State = format.Affected
	case "deferred":
		s.State = format.FixDeferred
	case "ignored":
		s.State = format.WillNotFix
		if strings.Contains(note, "end of life") || strings.Contains(note, "end of standard support") {
			s.State = format.EndOfLife
		}
	case "not-affected":
		s.State = format.NotAffected
	case "needs-triage", "":
		sink.Skip("packages that Ubuntu has not looked at, as in Trivy's database")
		return s, false
	case "DNE":
		return s, false
	default:
		gap("its status is " + gate.Quoted(status, 40))
		return s, false
	}
	return s, true
}

// priority is a severity in the words of advisories.
func priority(word string) string {
	if word == "untriaged" || word == "unknown" {
		return ""
	}
	return word
}

// apiCVE is one CVE of the security API.
func apiCVE(data []byte, at string, sink format.Sink) error {
	var c struct {
		ID          string   `json:"id"`
		Priority    string   `json:"priority"`
		Description string   `json:"description"`
		Published   string   `json:"published"`
		UpdatedAt   string   `json:"updated_at"`
		References  []string `json:"references"`
		Packages    []struct {
			Name     string `json:"name"`
			Statuses []struct {
				Codename    string `json:"release_codename"`
				Status      string `json:"status"`
				Description string `json:"description"`
				Pocket      string `json:"pocket"`
			} `json:"statuses"`
		} `json:"packages"`
	}
	if err := decode(data, &c); err != nil {
		return err
	}
	if !format.ID(c.ID) {
		return fmt.Errorf("field id: got %s: %w", gate.Quoted(c.ID, 60), gate.ErrInvalid)
	}
	e := format.Entry{
		References: c.References, At: at, ModifiedAt: format.Time(c.UpdatedAt), PublishedAt: format.Time(c.Published),
		Vulnerabilities: []format.Vulnerability{{ID: c.ID, Severity: priority(c.Priority), Description: c.Description, PublishedAt: format.Time(c.Published)}},
	}
	for _, pkg := range c.Packages {
		for _, st := range pkg.Statuses {
			codename := st.Codename
			if strings.HasPrefix(st.Pocket, "esm-") {
				codename = st.Pocket + "/" + codename
			}
			if s, ok := statement(pkg.Name, codename, st.Status, st.Description, c.ID, at, sink); ok {
				e.Statements = append(e.Statements, s)
			}
		}
	}
	if len(e.Statements) == 0 {
		return nil
	}
	return sink.Entry(e)
}

// notice is one USN.
func notice(data []byte, at string, sink format.Sink) error {
	var n struct {
		ID         string   `json:"id"`
		Title      string   `json:"title"`
		Summary    string   `json:"summary"`
		Published  string   `json:"published"`
		CVEs       []string `json:"cves_ids"`
		References []string `json:"references"`
		Packages   map[string][]struct {
			Name     string `json:"name"`
			Version  string `json:"version"`
			IsSource bool   `json:"is_source"`
			Pocket   string `json:"pocket"`
		} `json:"release_packages"`
	}
	if err := decode(data, &n); err != nil {
		return err
	}
	if !format.ID(n.ID) {
		return fmt.Errorf("field id: got %s: %w", gate.Quoted(n.ID, 60), gate.ErrInvalid)
	}
	e := format.Entry{Advisory: n.ID, References: n.References, At: at, PublishedAt: format.Time(n.Published)}
	for _, codename := range slices.Sorted(maps.Keys(n.Packages)) {
		for _, pkg := range n.Packages[codename] {
			if !pkg.IsSource {
				continue
			}
			release := codename
			if strings.HasPrefix(pkg.Pocket, "esm-") {
				release = pkg.Pocket + "/" + codename
			}
			if s, ok := statement(pkg.Name, release, "released", pkg.Version, n.ID, at, sink); ok {
				e.Statements = append(e.Statements, s)
			}
		}
	}
	if len(e.Statements) == 0 {
		return nil
	}
	for _, id := range n.CVEs {
		if format.CVE(id) {
			e.Vulnerabilities = append(e.Vulnerabilities, format.Vulnerability{ID: id, PublishedAt: e.PublishedAt})
		}
	}
	if len(e.Vulnerabilities) == 0 {
		e.Vulnerabilities = []format.Vulnerability{{ID: n.ID, Title: n.Title, Description: n.Summary, PublishedAt: e.PublishedAt}}
	}
	return sink.Entry(e)
}
