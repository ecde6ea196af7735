package notify

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/gate/notify/text"
)

// data is what a template sees. Every string in it is escaped for the target.
type data struct {
	ID, Target, Title    string
	At, From, Until      string // RFC 3339, UTC
	Test, Missed, Bad    bool
	Images               int
	MoreImages           bool
	Denied, Flipped      int
	New, Raised, Fixed   gate.Counts
	NewTotal, FixedTotal int
	Items                []itemData
	More                 int
	Dropped              int64
	Link                 string
	// JSON is the whole message, for the bodies of webhooks; "" for other targets.
	JSON string
}

type itemData struct {
	What, Line, Digest, Registry, Repository string
	Images                                   int
	Before, After, Code                      string
	Rules                                    []string
	Vulnerability, Severity, Package         string
	Installed, FixedIn, Text                 string
}

func dataOf(m *Message, v Vendor) (data, error) {
	esc := func(s string) string { return text.Escape(v.Markup, s) }
	at := func(t time.Time) string { return t.UTC().Format(time.RFC3339) }
	t := m.Totals
	d := data{
		ID: esc(m.ID), Target: esc(m.Target), Title: esc(m.Title), At: at(m.At), From: at(m.From), Until: at(m.Until), Test: m.Test, Missed: m.Missed, Bad: m.bad(),
		Images: t.Images, MoreImages: t.MoreImages, Denied: t.Denied, Flipped: t.Flipped, New: t.New, Raised: t.Raised, Fixed: t.Fixed,
		NewTotal: t.New.Total(), FixedTotal: t.Fixed.Total(), More: m.More, Dropped: m.Dropped, Items: make([]itemData, len(m.Items)),
		Link: link(m.Link, v.Markup),
	}
	for i, item := range m.Items {
		rules := make([]string, len(item.Rules))
		for n, r := range item.Rules {
			rules[n] = esc(r)
		}
		d.Items[i] = itemData{
			What: string(item.What), Line: item.line(esc), Digest: esc(string(item.Digest)), Registry: esc(item.Registry), Repository: esc(item.Repository), Images: item.Images,
			Before: esc(string(item.Before)), After: esc(string(item.After)), Code: esc(string(item.Code)), Rules: rules,
			Vulnerability: esc(item.Vulnerability), Severity: esc(string(item.Severity)), Package: esc(item.Package), Installed: esc(item.Installed), FixedIn: esc(item.FixedIn), Text: esc(item.Text),
		}
	}
	if v.Markup != text.JSON {
		return d, nil
	}
	body, err := json.Marshal(m)
	d.JSON = string(body)
	return d, err
}

// link is the configured address of the installation, which is to be a link.
func link(address string, m text.Markup) string {
	switch m {
	case text.JSON:
		return text.Escape(m, address)
	case text.Slack:
		return strings.NewReplacer("&", "&amp;", "<", "%3C", ">", "%3E").Replace(address)
	}
	return address
}

// bad: something became worse.
func (m *Message) bad() bool {
	return m.Totals.Denied > 0 || m.Totals.New.Total() > 0 || m.Totals.Raised.Total() > 0
}

// line is an item as a sentence.
func (i Item) line(esc func(string) string) string {
	place := ""
	if i.Repository != "" {
		place = esc(i.Registry) + "/" + esc(i.Repository) + " "
	}
	if i.Digest != "" {
		place += esc("sha256:" + i.Digest.Hex()[:min(12, len(i.Digest.Hex()))])
	}
	switch i.What {
	case Denied, Flipped:
		before := string(i.Before)
		if before == "" {
			before = "none"
		}
		why := ""
		if i.Code != "" && i.After != gate.OutcomeAllow {
			why = ", " + esc(string(i.Code))
		}
		for n, r := range i.Rules {
			if n == 0 {
				why += ": "
			} else {
				why += ", "
			}
			why += esc(r)
		}
		return fmt.Sprintf("%s: verdict %s, before %s%s", place, strings.ToUpper(string(i.After)), before, why)
	case New, Raised, Fixed:
		if i.Vulnerability == "" {
			return fmt.Sprintf("%s: %s", place, esc(i.Text))
		}
		fix := ", no fix known"
		if i.FixedIn != "" {
			fix = ", fixed in " + esc(i.FixedIn)
		}
		in := place
		if i.Images > 1 {
			in = fmt.Sprintf("%d images, such as %s", i.Images, place)
		}
		word := map[What]string{New: "new in", Raised: "raised in", Fixed: "fixed in"}[i.What]
		return fmt.Sprintf("%s %s in %s %s%s: %s %s", esc(string(i.Severity)), esc(i.Vulnerability), esc(i.Package), esc(i.Installed), fix, word, in)
	}
	return esc(i.Text)
}

// render makes the letter of a message: with the target's template, or with the shipped
// one when that fails, so that nothing is lost. A text that is too long for the vendor
// lists fewer lines. The error of the target's template comes with the letter.
func render(ctx context.Context, v Vendor, t *text.Template, m *Message, at time.Time) (l Letter, failed error) {
	l = Letter{ID: m.ID, At: at, Title: text.Escape(v.Markup, m.Title), Bad: m.bad()}
	if t != nil {
		if l.Text, failed = renderWith(ctx, v, t, m); failed == nil {
			return l, nil
		}
	}
	if v.Template == "" {
		body, err := json.Marshal(m)
		l.Text = string(body)
		return l, errors.Join(failed, err)
	}
	shipped, err := text.Parse(v.Template)
	if err == nil {
		l.Text, err = renderWith(ctx, v, shipped, m)
	}
	if err != nil { // not even the shipped one: a slow machine; the title says what counts
		l.Text = l.Title
	}
	return l, failed
}

func renderWith(ctx context.Context, v Vendor, t *text.Template, m *Message) (string, error) {
	for {
		d, err := dataOf(m, v)
		if err != nil {
			return "", err
		}
		out, err := t.Run(ctx, d, v.Limit)
		if err == nil && v.Markup == text.JSON && !json.Valid([]byte(out)) {
			err = fmt.Errorf("the output of the template is not JSON: %w", gate.ErrInvalid)
		}
		if err == nil && strings.TrimSpace(out) == "" {
			err = fmt.Errorf("the output of the template is empty: %w", gate.ErrInvalid)
		}
		if !errors.Is(err, gate.ErrTooLarge) || len(m.Items) == 0 {
			return out, err
		}
		shorter := *m
		keep := len(m.Items) / 2
		shorter.Items, shorter.More = m.Items[:keep], m.More+len(m.Items)-keep
		m = &shorter
	}
}

// try runs a template over the samples; gate.ErrInvalid says what is wrong with it.
func try(ctx context.Context, v Vendor, t *text.Template, now time.Time) error {
	for _, m := range []*Message{Sample("sample", "https://gate.example.com", now), TestMessage("0", "sample", "", now)} {
		if _, err := renderWith(ctx, v, t, m); err != nil {
			return fmt.Errorf("trying the template with a sample: %w", err)
		}
	}
	return nil
}

// Render makes the letter of a message, with a template or, for "", the shipped one. It is
// what a send does, for those who try a template or a target.
func Render(ctx context.Context, v Vendor, source string, m *Message, at time.Time) (Letter, error) {
	var t *text.Template
	if source != "" {
		var err error
		if t, err = text.Parse(source); err != nil {
			return Letter{}, err
		}
	}
	return render(ctx, v, t, m, at)
}
