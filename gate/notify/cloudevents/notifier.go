// Package cloudevents sends messages as CloudEvents 1.0 in structured mode
// (https://github.com/cloudevents/spec), to a broker or a function: its data is the
// message as JSON. It is signed like a webhook when there is a secret.
package cloudevents

import (
	"encoding/json"
	"fmt"
	"net/url"
	"time"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/gate/notify"
	"github.com/digestgate/digestgate/gate/notify/post"
	"github.com/digestgate/digestgate/gate/notify/text"
	"github.com/digestgate/digestgate/gate/notify/webhook"
)

// EventType is the type of all events; its version changes with the data's.
const EventType = "io.digestgate.notification.v1"

// defaultSource is the source where http.externalURL is not configured.
const defaultSource = "digestgate"

// Vendor is the kind of target.
func Vendor() notify.Vendor {
	return notify.Vendor{Type: "cloudevents", Markup: text.JSON, Limit: text.MaxOutput, TakesSecret: true, Open: func(a notify.Access) (notify.Sender, error) {
		source := a.Source
		if source == "" {
			source = defaultSource
		}
		k := post.Kind{ContentType: "application/cloudevents+json; charset=utf-8", Header: webhook.Sign, Body: func(l notify.Letter, _ []byte, _ *url.URL) (any, error) {
			if !json.Valid([]byte(l.Text)) {
				return nil, fmt.Errorf("the output of the template is not JSON: %w", gate.ErrInvalid)
			}
			return event{"1.0", l.ID, source, EventType, l.At.UTC().Format(time.RFC3339), "application/json", json.RawMessage(l.Text)}, nil
		}}
		return k.Open(a)
	}}
}

// event has the attributes in the order of the specification.
type event struct {
	SpecVersion     string          `json:"specversion"`
	ID              string          `json:"id"`
	Source          string          `json:"source"`
	Type            string          `json:"type"`
	Time            string          `json:"time"`
	DataContentType string          `json:"datacontenttype"`
	Data            json.RawMessage `json:"data"`
}
