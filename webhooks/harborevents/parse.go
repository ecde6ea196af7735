// Package harborevents reads the body that Harbor sends and that others have taken over
// from it: Harbor 1.x and 2.x, Tencent's TCR and Huawei's SWR differ in the names of
// their events and in little else. A [Dialect] is that difference as data; the
// receivers harbor, harborv1, tcr and swr each have one. It is not a receiver itself.
//
// Sources: goharbor/harbor src/pkg/notifier/model/event.go (2.x) and
// src/core/notifier/model/event.go (1.10.9).
//
// All functions are safe for concurrent use.
package harborevents

import (
	"bytes"
	"strings"
	"time"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/webhooks"
)

// Meaning is what an event means here: pushed, deleted, or ignored with the reason that
// the sender's operator is told.
type Meaning struct {
	Kind   gate.PushKind
	Reason string // of gate.PushIgnored
}

// Pushed is the meaning of an event after which content or a tag is there.
func Pushed() Meaning { return Meaning{Kind: gate.PushArrived} }

// Deleted is the meaning of an event after which content or a tag is gone.
func Deleted() Meaning { return Meaning{Kind: gate.PushDeleted} }

// Ignored is the meaning of an event that nothing is done about.
func Ignored(reason string) Meaning { return Meaning{gate.PushIgnored, reason} }

// Dialect is what distinguishes one sender of this body from the others. It
// must not change once Parse is in use.
type Dialect struct {
	// Sender is its name in reasons.
	Sender string
	// Events are its kinds of event by the value of "type", which is compared
	// exactly. Every other kind is ignored and named in the reason.
	Events map[string]Meaning
	// CloudEvents says that there is a second format, with "specversion" and
	// the data under "data" (Harbor 2.8 and later).
	CloudEvents bool
	// HostOptional takes resources without resource_url, where no source
	// confirms that it is always sent. Such an event names no host.
	HostOptional bool
}

// message is both formats at once; "specversion" tells them apart.
type message struct {
	Type string `json:"type"`

	// Default format.
	OccurAt   webhooks.Display[int64] `json:"occur_at"` // Unix seconds
	EventData eventData               `json:"event_data"`

	// CloudEvents format.
	SpecVersion string                      `json:"specversion"`
	ID          string                      `json:"id"`
	Time        webhooks.Display[time.Time] `json:"time"`
	Data        eventData                   `json:"data"`

	Operator webhooks.Display[string] `json:"operator"`
}

type eventData struct {
	// Resources is one for most events; Harbor 1.x sends several for a delete,
	// and null when none of them has a tag (1.10.9 processor.go).
	Resources  []resource `json:"resources"`
	Repository struct {
		FullName string `json:"repo_full_name"`
	} `json:"repository"`
}

type resource struct {
	Digest      string `json:"digest"`
	Tag         string `json:"tag"` // the digest again for a push by digest
	ResourceURL string `json:"resource_url"`
}

// meaning is what events of a type are in this dialect.
func (d Dialect) meaning(name string) Meaning {
	if m, ok := d.Events[name]; ok {
		return m
	}
	if name == "" {
		return Ignored("not an event of " + d.Sender + ": it has no type")
	}
	reason := "events of type " + gate.Quoted(name, 60) + " are not known"
	if _, ok := Version1()[name]; ok {
		reason += "; Harbor 1.x sends them, which is type harbor-v1"
	} else if _, ok := Version2()[name]; ok {
		reason += "; Harbor 2.x sends them, which is type harbor"
	}
	return Ignored(reason)
}

// Parse is the Parse of a receiver for this dialect.
func (d Dialect) Parse(delivery webhooks.Delivery) ([]gate.Push, error) {
	if len(bytes.TrimSpace(delivery.Body)) == 0 {
		// Harbor 1.9 to 2.5: src/pkg/notification/policy/manager/manager.go, policyHTTPTest.
		return []gate.Push{gate.Ignored("the body is empty, as Harbor's test button sends it")}, nil
	}
	var m message
	if err := webhooks.Decode(delivery.Body, &m); err != nil {
		return nil, err
	}
	meaning := d.meaning(m.Type)
	if meaning.Kind == gate.PushIgnored {
		return []gate.Push{gate.Ignored("%s", meaning.Reason)}, nil
	}
	event := gate.Push{Kind: meaning.Kind, Actor: gate.Printable(m.Operator.Value, 200)}
	if m.OccurAt.Value > 0 {
		event.OccurredAt = time.Unix(m.OccurAt.Value, 0).UTC()
	}
	data := m.EventData
	if d.CloudEvents {
		event.EventID = m.ID
		if m.SpecVersion != "" {
			data, event.OccurredAt = m.Data, m.Time.Value
		}
	}
	if len(data.Resources) == 0 {
		return []gate.Push{gate.Ignored("the event names no artifact")}, nil
	}
	pushes := make([]gate.Push, 0, len(data.Resources))
	for _, res := range data.Resources {
		pushes = append(pushes, d.push(event, data.Repository.FullName, res))
	}
	return pushes, nil
}

// push completes event for one resource, or says why it cannot.
func (d Dialect) push(event gate.Push, repository string, res resource) gate.Push {
	host, ok := hostOf(res.ResourceURL, repository)
	if !ok && (!d.HostOptional || res.ResourceURL != "") {
		p := gate.Ignored("resource_url %s is not a host and repository %s", gate.Quoted(res.ResourceURL, 150), gate.Quoted(repository, 100))
		p.Repository = repository
		return p
	}
	event.Host, event.Repository, event.Digest, event.Tag = host, repository, gate.Digest(res.Digest), res.Tag
	if event.Tag == res.Digest {
		event.Tag = ""
	}
	if event.Repository != "" && event.Digest == "" && event.Tag == "" {
		p := gate.Ignored("the event names neither a digest nor a tag")
		p.Repository = repository
		return p
	}
	return event
}

// hostOf is the host in a resource_url, HOST/REPOSITORY followed by nothing,
// :TAG or @DIGEST. Nothing else is taken from it: Harbor 2.0 and 2.1 wrote
// HOST/REPOSITORY:sha256:HEX there, which is no reference.
func hostOf(resourceURL, repository string) (host string, ok bool) {
	host, rest, _ := strings.Cut(resourceURL, "/")
	after, ok := strings.CutPrefix(rest, repository)
	if host == "" || repository == "" || !ok {
		return "", false
	}
	return host, after == "" || after[0] == ':' || after[0] == '@'
}
