// Package teams sends messages to a workflow of Microsoft Teams that posts to a channel
// when a webhook request is received: an Adaptive Card in a message
// (https://learn.microsoft.com/microsoftteams/platform/webhooks-and-connectors).
package teams

import (
	"net/url"
	"time"

	"github.com/digestgate/digestgate/gate/notify"
	"github.com/digestgate/digestgate/gate/notify/post"
	"github.com/digestgate/digestgate/gate/notify/text"
)

const (
	// limit: a message has at most 28 KB, and JSON escapes some.
	limit = 16_000
	// every: four requests a second.
	every = time.Second
)

// Vendor is the kind of target.
func Vendor() notify.Vendor {
	k := post.Kind{HTTPS: true, Body: body}
	return notify.Vendor{Type: "teams", Markup: text.Markdown, Template: notify.ListTemplate, Limit: limit, Every: every, Open: k.Open}
}

type textBlock struct {
	Type   string `json:"type"`
	Text   string `json:"text"`
	Wrap   bool   `json:"wrap"`
	Size   string `json:"size,omitempty"`
	Weight string `json:"weight,omitempty"`
	Color  string `json:"color,omitempty"`
}

type card struct {
	Schema  string      `json:"$schema"`
	Type    string      `json:"type"`
	Version string      `json:"version"`
	Body    []textBlock `json:"body"`
}

type attachment struct {
	ContentType string  `json:"contentType"`
	ContentURL  *string `json:"contentUrl"` // null
	Content     card    `json:"content"`
}

func body(l notify.Letter, _ []byte, _ *url.URL) (any, error) {
	title := textBlock{Type: "TextBlock", Text: l.Title, Wrap: true, Size: "Medium", Weight: "Bolder"}
	if l.Bad {
		title.Color = "Attention"
	}
	return struct {
		Type        string       `json:"type"`
		Attachments []attachment `json:"attachments"`
	}{"message", []attachment{{
		ContentType: "application/vnd.microsoft.card.adaptive",
		Content: card{
			Schema: "http://adaptivecards.io/schemas/adaptive-card.json", Type: "AdaptiveCard", Version: "1.4",
			Body: []textBlock{title, {Type: "TextBlock", Text: l.Text, Wrap: true}},
		},
	}}}, nil
}
