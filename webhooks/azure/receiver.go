// Package azure reads the deliveries of Azure Container Registry: those of its
// webhooks, and those of Event Grid in both of its schemas (an array of events,
// or CloudEvents).
//
// A webhook is sent once and never again, whatever it is answered; Event Grid
// tries again. The media type in an event tells an index from a manifest but
// not an image from a signature, so everything but charts is a push here and
// the resolve job tells them apart. The deletion of a tag alone sends nothing.
//
// Sources: MicrosoftDocs/azure-management-docs
// articles/container-registry/container-registry-webhook-reference.md;
// Azure/acr#681; docs.azure.cn/en-us/event-grid/event-schema-container-registry;
// learn.microsoft.com/en-us/azure/event-grid/webhook-event-delivery.
//
// All functions are safe for concurrent use.
package azure

import (
	"bytes"
	"encoding/json"
	"time"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/webhooks"
)

// Receiver is the receiver of registries of type azure.
func Receiver() webhooks.Receiver {
	return webhooks.Receiver{Type: "azure", Parse: parse, Handshake: handshake}
}

// message is a webhook's message and an event of Event Grid at once; a kind of
// event tells them apart.
type message struct {
	ID string `json:"id"`

	// Webhook.
	Timestamp webhooks.Display[time.Time] `json:"timestamp"`
	Action    string                      `json:"action"`
	Target    target                      `json:"target"`
	Request   request                     `json:"request"`

	// Event Grid; the second name of each is that of CloudEvents.
	EventType string                      `json:"eventType"`
	Type      string                      `json:"type"`
	EventTime webhooks.Display[time.Time] `json:"eventTime"`
	Time      webhooks.Display[time.Time] `json:"time"`
	Data      struct {
		Action         string  `json:"action"`
		Target         target  `json:"target"`
		Request        request `json:"request"`
		ValidationCode string  `json:"validationCode"`
	} `json:"data"`
}

type target struct {
	Repository string `json:"repository"`
	Digest     string `json:"digest"`
	Tag        string `json:"tag"` // "" or absent for a push by digest
}

type request struct {
	Host string `json:"host"` // charts have no request
}

const validation = "Microsoft.EventGrid.SubscriptionValidationEvent"

// kind is the kind of event of Event Grid, "" for a webhook's message.
func (m message) kind() string {
	if m.EventType != "" {
		return m.EventType
	}
	return m.Type
}

// action says what the action of a webhook means here.
func action(name string) (kind gate.PushKind, reason string) {
	switch name {
	case "push":
		return gate.PushArrived, ""
	case "quarantine":
		// An image that was pushed while quarantine is on; it can be read with
		// the role AcrQuarantineReader, and its resolve job waits otherwise.
		return gate.PushArrived, ""
	case "delete":
		return gate.PushDeleted, ""
	case "chart_push", "chart_delete":
		return gate.PushIgnored, "charts are not images"
	case "ping":
		return gate.PushIgnored, "a ping changes nothing; the webhook works"
	case "":
		return gate.PushIgnored, "not an event of Container Registry: it has no action"
	}
	return gate.PushIgnored, "actions of type " + gate.Quoted(name, 60) + " are not known"
}

// gridAction is the action that a kind of event of Event Grid stands for. The
// kind counts: it is what a subscription filters by.
func gridAction(name string) (act, reason string) {
	switch name {
	case "Microsoft.ContainerRegistry.ImagePushed":
		return "push", ""
	case "Microsoft.ContainerRegistry.ImageDeleted":
		return "delete", ""
	case "Microsoft.ContainerRegistry.ChartPushed", "Microsoft.ContainerRegistry.ChartDeleted":
		return "", "charts are not images"
	case validation:
		return "", "the validation of a subscription is answered to a request that holds nothing else"
	}
	return "", "events of type " + gate.Quoted(name, 60) + " are not known"
}

func parse(d webhooks.Delivery) ([]gate.Push, error) {
	messages, err := decode(d.Body)
	if err != nil {
		return nil, err
	}
	if len(messages) == 0 {
		return []gate.Push{gate.Ignored("the batch holds no event")}, nil
	}
	pushes := make([]gate.Push, len(messages))
	for i, m := range messages {
		pushes[i] = m.push()
	}
	return pushes, nil
}

// decode reads one message, or the array in which Event Grid sends.
func decode(body []byte) ([]message, error) {
	if bytes.HasPrefix(bytes.TrimSpace(body), []byte("[")) {
		var list []message
		err := webhooks.Decode(body, &list)
		return list, err
	}
	var m message
	err := webhooks.Decode(body, &m)
	return []message{m}, err
}

func (m message) push() gate.Push {
	act, tgt, req, occurred := m.Action, m.Target, m.Request, m.Timestamp.Value
	if name := m.kind(); name != "" {
		var reason string
		if act, reason = gridAction(name); reason != "" {
			return gate.Ignored("%s", reason)
		}
		tgt, req, occurred = m.Data.Target, m.Data.Request, m.EventTime.Value
		if occurred.IsZero() {
			occurred = m.Time.Value
		}
	}
	kind, reason := action(act)
	if kind == gate.PushIgnored {
		return gate.Ignored("%s", reason)
	}
	p := gate.Push{
		Kind: kind, Host: req.Host, Repository: tgt.Repository, Digest: gate.Digest(tgt.Digest), Tag: tgt.Tag,
		EventID: m.ID, OccurredAt: occurred,
	}
	if p.Tag == tgt.Digest {
		p.Tag = ""
	}
	return p
}

// handshake proves to Event Grid that the endpoint wants its events: it sends
// one validation event alone and expects its code back with status 200; 202
// does not count. The other way, a GET of a URL in the event, is not gone: no
// host in a delivery is ever contacted.
func handshake(d webhooks.Delivery) (answer []byte, ok bool) {
	messages, err := decode(d.Body)
	if err != nil || len(messages) != 1 || messages[0].EventType != validation {
		return nil, false
	}
	code := messages[0].Data.ValidationCode
	if code == "" || len(code) > 256 {
		return nil, false
	}
	answer, err = json.Marshal(map[string]string{"validationResponse": code})
	return answer, err == nil
}
