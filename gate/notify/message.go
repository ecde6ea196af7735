package notify

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/digestgate/digestgate/gate"
)

// MaxItems is how many lines a message lists. A phone shows ten; what is below the
// worst thirty is counted, and is in the API.
const MaxItems = 30

// Message is what one message to one target says. It is bounded: [MaxItems] lines, whose
// texts are cut; everything else is counted. Its JSON is the body of a generic webhook
// and the data of a CloudEvent, and only ever grows.
type Message struct {
	// ID is the same at every try, so that a receiver can drop a repetition.
	ID     string `json:"id"`
	Target string `json:"target"`
	// At is when it was closed, From and Until are the first and the last change in it.
	At    time.Time `json:"at"`
	From  time.Time `json:"from"`
	Until time.Time `json:"until"`
	// Test: somebody tries the target, nothing happened.
	Test   bool   `json:"test,omitempty"`
	Title  string `json:"title"`
	Totals Totals `json:"totals"`
	Items  []Item `json:"items"`
	// More counts what happened and is not listed.
	More int `json:"more,omitempty"`
	// Dropped counts messages before this one that were given up. Missed: changes before
	// this one were not read in time, and are not known any more.
	Dropped int64 `json:"dropped,omitempty"`
	Missed  bool  `json:"missed,omitempty"`
	// Link is where the installation is reached, "" when that is not configured.
	Link string `json:"link,omitempty"`
}

// Totals count everything that a message is about, listed or not.
type Totals struct {
	// Images are distinct digests; MoreImages: there are more than were told apart.
	Images     int  `json:"images"`
	MoreImages bool `json:"moreImages,omitempty"`
	// Denied and Flipped are verdicts at locations: flipped to deny, and otherwise.
	Denied  int `json:"denied"`
	Flipped int `json:"flipped"`
	// New, Raised and Fixed are findings of digests.
	New    gate.Counts `json:"new"`
	Raised gate.Counts `json:"raised"`
	Fixed  gate.Counts `json:"fixed"`
	// Conditions are quotas and data.
	Conditions int `json:"conditions,omitempty"`
}

// Item is one line. Findings of one vulnerability in one package are one line, whatever
// the number of images.
type Item struct {
	What What `json:"what"`
	// Digest and its place are an example where there are several images.
	Digest     gate.Digest `json:"digest,omitempty"`
	Registry   string      `json:"registry,omitempty"`
	Repository string      `json:"repository,omitempty"`
	Images     int         `json:"images,omitempty"`
	// Before, After, Code and Rules are of a verdict.
	Before gate.Outcome `json:"before,omitempty"`
	After  gate.Outcome `json:"after,omitempty"`
	Code   gate.Code    `json:"code,omitempty"`
	Rules  []string     `json:"rules,omitempty"`
	// The rest is of a finding.
	Vulnerability string        `json:"vulnerability,omitempty"`
	Severity      gate.Severity `json:"severity,omitempty"`
	Package       string        `json:"package,omitempty"`
	Installed     string        `json:"installed,omitempty"`
	FixedIn       string        `json:"fixedIn,omitempty"`
	// Text is of a quota or of data.
	Text string `json:"text,omitempty"`
}

// key is what makes two items one line.
func (i Item) key() string {
	switch i.What {
	case New, Raised, Fixed:
		if i.Vulnerability == "" { // a first scan
			return string(i.What) + "\x00" + string(i.Digest)
		}
		return string(i.What) + "\x00" + i.Vulnerability + "\x00" + i.Package
	case Denied, Flipped: // of the location, so that a flip and its way back are one line
		return "verdict\x00" + string(i.Digest) + "\x00" + i.Registry + "\x00" + i.Repository
	}
	return string(i.What) + "\x00" + i.Text
}

// cut bounds the texts of an item: 2 kB at most.
func (i Item) cut() Item {
	// A part of a large text would keep all of it in memory.
	short := func(s *string, limit int) { *s = strings.Clone(gate.Printable(*s, limit)) }
	short(&i.Registry, 63)
	short(&i.Repository, 255) // as long as registries take them
	short(&i.Vulnerability, 64)
	short(&i.Package, 120)
	short(&i.Installed, 60)
	short(&i.FixedIn, 60)
	short(&i.Text, 300)
	rules := slices.Clone(i.Rules[:min(len(i.Rules), 5)])
	for n := range rules {
		short(&rules[n], 80)
	}
	i.Rules = rules
	return i
}

func worse(a, b Item) int {
	return cmp.Or(
		a.What.rank()-b.What.rank(), a.Severity.Rank()-b.Severity.Rank(), b.Images-a.Images,
		strings.Compare(a.Vulnerability, b.Vulnerability), strings.Compare(a.Repository, b.Repository), strings.Compare(a.key(), b.key()))
}

// Title is a line of our own words and numbers; nothing of an image is in it.
func (m *Message) title() string {
	if m.Test {
		return "digestgate: test of the notification target " + m.Target
	}
	var parts []string
	add := func(n int, one, many string) {
		switch {
		case n == 1:
			parts = append(parts, "1 "+one)
		case n > 1:
			parts = append(parts, fmt.Sprintf("%d %s", n, many))
		}
	}
	t := m.Totals
	add(t.Denied, "verdict flipped to deny", "verdicts flipped to deny")
	add(t.Flipped, "verdict flipped", "verdicts flipped")
	add(t.New.Total(), "new finding"+worst(t.New), "new findings"+worst(t.New))
	add(t.Raised.Total(), "finding raised"+worst(t.Raised), "findings raised"+worst(t.Raised))
	add(t.Fixed.Total(), "finding fixed", "findings fixed")
	add(t.Conditions, "warning about the installation", "warnings about the installation")
	if len(parts) == 0 {
		add(m.More, "change that is not listed", "changes that are not listed")
	}
	if m.Missed {
		parts = append(parts, "earlier changes were missed")
	}
	text := "digestgate: " + strings.Join(parts, ", ")
	switch {
	case t.MoreImages:
		text += fmt.Sprintf(" (more than %d images)", t.Images)
	case t.Images == 1:
		text += " (1 image)"
	case t.Images > 1:
		text += fmt.Sprintf(" (%d images)", t.Images)
	}
	return text
}

// worst names the two worst severities that there are.
func worst(c gate.Counts) string {
	var parts []string
	for _, s := range []struct {
		n    int
		name string
	}{{c.Critical, "critical"}, {c.High, "high"}, {c.Medium, "medium"}, {c.Low, "low"}} {
		if s.n > 0 && len(parts) < 2 {
			parts = append(parts, fmt.Sprintf("%d %s", s.n, s.name))
		}
	}
	if len(parts) == 0 {
		return ""
	}
	return " (" + strings.Join(parts, ", ") + ")"
}

// Sample is a message in which every field is set, with hostile texts: a template is
// tried with it before it is used.
func Sample(target, link string, at time.Time) *Message {
	hostile := "x\"'<!channel>@all[a](http://example.com)`*_&{{.}}\\\r\n\u202e"
	one := gate.Counts{Critical: 1}
	m := &Message{
		ID: "00000000000000000000000000000000", Target: target, At: at, From: at, Until: at, Link: link, More: 2, Dropped: 1, Missed: true,
		Totals: Totals{Images: 2, Denied: 1, Flipped: 1, New: one, Raised: one, Fixed: one, Conditions: 2},
		Items: []Item{
			{What: Denied, Digest: gate.Digest("sha256:" + strings.Repeat("0", 64)), Registry: "r", Repository: hostile, Before: gate.OutcomeAllow, After: gate.OutcomeDeny, Code: "POLICY", Rules: []string{hostile, "b"}},
			{What: New, Digest: gate.Digest("sha256:" + strings.Repeat("1", 64)), Registry: "r", Repository: "team/app", Images: 2, Vulnerability: "CVE-2026-1", Severity: "CRITICAL", Package: hostile, Installed: "1", FixedIn: "2"},
			{What: Quota, Text: "a text"},
		},
	}
	m.Title = m.title()
	return m
}

// TestMessage is what a test of a target sends.
func TestMessage(id, target, link string, at time.Time) *Message {
	m := &Message{ID: id, Target: target, At: at, From: at, Until: at, Link: link, Test: true, Items: []Item{}}
	m.Title = m.title()
	return m
}
