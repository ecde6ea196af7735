// Package slack sends messages to an incoming webhook of Slack
// (https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks).
package slack

import (
	"net/url"
	"time"

	"github.com/digestgate/digestgate/gate/notify"
	"github.com/digestgate/digestgate/gate/notify/post"
	"github.com/digestgate/digestgate/gate/notify/text"
)

// limit: a section block takes 3,000 characters.
const limit = 2900

// every: Slack takes one message a second, and answers 429 with Retry-After above.
const every = time.Second

// Vendor is the kind of target.
func Vendor() notify.Vendor {
	k := post.Kind{HTTPS: true, Body: body}
	return notify.Vendor{Type: "slack", Markup: text.Slack, Template: notify.ListTemplate, Limit: limit, Every: every, Open: k.Open}
}

type textObject struct {
	Type     string `json:"type"`
	Text     string `json:"text"`
	Verbatim bool   `json:"verbatim,omitempty"` // names and addresses are not made links
}

type block struct {
	Type string     `json:"type"`
	Text textObject `json:"text"`
}

func body(l notify.Letter, _ []byte, _ *url.URL) (any, error) {
	return struct {
		Text        string  `json:"text"` // of notifications on the screen
		LinkNames   bool    `json:"link_names"`
		UnfurlLinks bool    `json:"unfurl_links"`
		UnfurlMedia bool    `json:"unfurl_media"`
		Blocks      []block `json:"blocks"`
	}{Text: l.Title, Blocks: []block{{"section", textObject{"mrkdwn", l.Text, true}}}}, nil
}
