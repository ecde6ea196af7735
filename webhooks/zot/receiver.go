// Package zot reads the events of zot 2.1.3 and later, which come as
// CloudEvents in binary mode: the kind of event is in the header Ce-Type and
// the body is its data alone.
//
// zot sends one event for each tag that changed and one for each push by
// digest. It tries once, so that an event is lost while we are away; the image
// is then found at its admission. The body names no host.
//
// Sources: project-zot/zot pkg/extensions/events/{events,builder,http_sink,common}.go,
// pkg/storage/imagestore/imagestore.go, test/blackbox/events_http.bats.
//
// All functions are safe for concurrent use.
package zot

import (
	"fmt"
	"strings"
	"time"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/webhooks"
)

// Receiver is the receiver of registries of type zot.
func Receiver() webhooks.Receiver { return webhooks.Receiver{Type: "zot", Parse: parse} }

// data is the body of an event about an image.
type data struct {
	Actor webhooks.Display[struct {
		Name string `json:"name"`
	}] `json:"actor"`
	Name      string `json:"name"`      // the repository
	Reference string `json:"reference"` // a tag or the digest
	Digest    string `json:"digest"`
}

func parse(d webhooks.Delivery) ([]gate.Push, error) {
	var m data
	if err := webhooks.Decode(d.Body, &m); err != nil {
		return nil, err
	}
	types := d.Header.Values("Ce-Type")
	if len(types) > 1 {
		return nil, fmt.Errorf("reading the headers: Ce-Type occurs %d times: %w", len(types), gate.ErrInvalid)
	}
	p := gate.Push{
		Repository: m.Name, EventID: gate.Printable(d.Header.Get("Ce-Id"), 100), Actor: gate.Printable(m.Actor.Value.Name, 200),
	}
	if at, err := time.Parse(time.RFC3339Nano, d.Header.Get("Ce-Time")); err == nil {
		p.OccurredAt = at
	}
	byDigest := strings.Contains(m.Reference, ":") // no tag has a colon
	if !byDigest {
		p.Tag = m.Reference
	}
	switch kind := d.Header.Get("Ce-Type"); kind {
	case "zotregistry.image.updated":
		p.Kind, p.Digest = gate.PushArrived, gate.Digest(m.Digest)
		if m.Digest == "" && byDigest {
			p.Digest = gate.Digest(m.Reference)
		}
	case "zotregistry.image.deleted":
		p.Kind = gate.PushDeleted
		// By tag zot removes the tag alone: the digest may have others.
		if byDigest {
			p.Digest = gate.Digest(m.Reference)
		}
	case "zotregistry.image.lint_failed":
		return []gate.Push{gate.Ignored("zot's own checks have refused this image: it has not stored it")}, nil
	case "zotregistry.image.scanned":
		return []gate.Push{gate.Ignored("a scan by zot itself is not looked at")}, nil
	case "zotregistry.repository.created":
		return []gate.Push{gate.Ignored("a new repository holds nothing yet")}, nil
	case "":
		return []gate.Push{gate.Ignored("not an event of zot: there is no header Ce-Type")}, nil
	default:
		return []gate.Push{gate.Ignored("events of type %s are not known", gate.Quoted(kind, 60))}, nil
	}
	return []gate.Push{p}, nil
}
