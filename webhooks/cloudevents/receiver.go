// Package cloudevents reads CloudEvents 1.0 with data of our own schema, for
// registries and pipelines that no other receiver knows. Anything that can
// send an HTTP request can use it:
//
//	{"repository": "team/app", "digest": "sha256:…", "tag": "1.0", "host": "registry.example.com", "action": "push"}
//
// repository and action are required, and at least one of digest and tag. host
// is optional and compared with the configuration. action is push (content
// arrived or a tag was set) or delete. Other keys are allowed and not read.
//
// Both modes of the HTTP binding are read. Structured: the body is the event
// and the data its member "data". Binary: the attributes are headers that
// begin with Ce-, the body is the data. The content type
// application/cloudevents+json means structured; otherwise a header
// Ce-Specversion means binary. Batches and data_base64 are refused.
//
// The type, source and subject of an event are the sender's own and not looked
// at.
//
// Sources: cloudevents/spec v1.0.2 cloudevents/spec.md,
// cloudevents/bindings/http-protocol-binding.md,
// cloudevents/formats/json-format.md.
//
// All functions are safe for concurrent use.
package cloudevents

import (
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/webhooks"
)

// Receiver is the receiver of registries of type cloudevents.
func Receiver() webhooks.Receiver { return webhooks.Receiver{Type: "cloudevents", Parse: parse} }

// data is our schema.
type data struct {
	Repository string                   `json:"repository"`
	Digest     string                   `json:"digest"`
	Tag        string                   `json:"tag"`
	Host       string                   `json:"host"`
	Action     string                   `json:"action"`
	Actor      webhooks.Display[string] `json:"actor"` // optional, shown
}

// message is a structured event.
type message struct {
	SpecVersion string                      `json:"specversion"`
	ID          string                      `json:"id"`
	Time        webhooks.Display[time.Time] `json:"time"`
	Data        *data                       `json:"data"`
}

func parse(d webhooks.Delivery) ([]gate.Push, error) {
	m, err := read(d)
	if err != nil {
		return nil, err
	}
	if major, _, _ := strings.Cut(m.SpecVersion, "."); major != "1" {
		return nil, fmt.Errorf("reading a CloudEvent: specversion %s is not 1.0: %w", gate.Quoted(m.SpecVersion, 40), gate.ErrInvalid)
	}
	if m.Data == nil {
		return nil, fmt.Errorf("reading a CloudEvent: it has no data; data_base64 is not read: %w", gate.ErrInvalid)
	}
	p := gate.Push{
		Host: m.Data.Host, Repository: m.Data.Repository, Digest: gate.Digest(m.Data.Digest), Tag: m.Data.Tag,
		EventID: gate.Printable(m.ID, 100), OccurredAt: m.Time.Value, Actor: gate.Printable(m.Data.Actor.Value, 200),
	}
	switch m.Data.Action {
	case "push":
		p.Kind = gate.PushArrived
	case "delete":
		p.Kind = gate.PushDeleted
	case "":
		return []gate.Push{gate.Ignored("the data has no action; say push or delete")}, nil
	default:
		return []gate.Push{gate.Ignored("the action %s is neither push nor delete", gate.Quoted(m.Data.Action, 60))}, nil
	}
	return []gate.Push{p}, nil
}

// read reads an event in either mode.
func read(d webhooks.Delivery) (message, error) {
	mediaType, _, _ := strings.Cut(d.Header.Get("Content-Type"), ";")
	mediaType = strings.ToLower(strings.TrimSpace(mediaType))
	if len(d.Header.Values("Ce-Specversion")) > 0 && !strings.HasPrefix(mediaType, "application/cloudevents") {
		return readBinary(d)
	}
	var m message
	err := webhooks.Decode(d.Body, &m)
	return m, err
}

func readBinary(d webhooks.Delivery) (message, error) {
	m := message{Data: &data{}}
	if err := webhooks.Decode(d.Body, m.Data); err != nil {
		return message{}, err
	}
	var err error
	if m.SpecVersion, err = attribute(d.Header, "Ce-Specversion"); err != nil {
		return message{}, err
	}
	if m.ID, err = attribute(d.Header, "Ce-Id"); err != nil {
		return message{}, err
	}
	if at, err := time.Parse(time.RFC3339Nano, d.Header.Get("Ce-Time")); err == nil {
		m.Time.Value = at
	}
	return m, nil
}

// attribute takes the only value there is: of two it would be unclear which
// one a proxy in front has looked at.
func attribute(h http.Header, name string) (string, error) {
	values := h.Values(name)
	if len(values) > 1 {
		return "", fmt.Errorf("reading a CloudEvent: header %s occurs %d times: %w", name, len(values), gate.ErrInvalid)
	}
	return h.Get(name), nil
}
