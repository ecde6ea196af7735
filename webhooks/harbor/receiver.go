// Package harbor reads the deliveries of Harbor 2.x in both of its formats:
// "Default", and "CloudEvents" from 2.8 on. It does not read Harbor 1.x, whose
// events have other names.
//
// Harbor sends one event for each manifest that is pushed: for each child of
// an index (by digest), for the index itself, and for every signature and
// SBOM. The body does not say which of these it is, so all of them are pushes
// here and the resolve job tells them apart. A tag that is set on a digest
// that Harbor has already sends nothing (goharbor/harbor#22640).
//
// Sources: goharbor/harbor src/pkg/notifier/model/event.go,
// src/pkg/notifier/formats/{default,cloudevents}.go and
// src/controller/event/handler/webhook; goharbor/website
// docs/working-with-projects/project-configuration/configure-webhooks.md.
//
// All functions are safe for concurrent use.
package harbor

import (
	"bytes"
	"strings"
	"time"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/webhooks"
)

// Receiver is the receiver of registries of type harbor.
func Receiver() webhooks.Receiver { return webhooks.Receiver{Type: "harbor", Parse: parse} }

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
	Resources []struct {
		Digest      string `json:"digest"`
		Tag         string `json:"tag"` // the digest again for a push by digest
		ResourceURL string `json:"resource_url"`
	} `json:"resources"`
	Repository struct {
		FullName string `json:"repo_full_name"`
	} `json:"repository"`
}

// event says what an event is to us; the names of the Default format come
// first, those of CloudEvents after them.
func event(name string) (kind gate.PushKind, reason string) {
	switch name {
	case "PUSH_ARTIFACT", "harbor.artifact.pushed":
		return gate.PushArrived, ""
	case "DELETE_ARTIFACT", "harbor.artifact.deleted":
		return gate.PushDeleted, ""
	case "PULL_ARTIFACT", "harbor.artifact.pulled":
		return gate.PushIgnored, "a pull changes nothing; the policy in Harbor need not send it"
	case "SCANNING_COMPLETED", "SCANNING_FAILED", "SCANNING_STOPPED",
		"harbor.scan.completed", "harbor.scan.failed", "harbor.scan.stopped":
		return gate.PushIgnored, "a scan by Harbor itself is not looked at"
	case "QUOTA_EXCEED", "harbor.quota.exceeded":
		return gate.PushIgnored, "Harbor's quota is exceeded: it has not stored this artifact"
	case "QUOTA_WARNING", "harbor.quota.warned":
		return gate.PushIgnored, "a warning about Harbor's quota changes nothing"
	case "REPLICATION", "harbor.replication.status.changed":
		return gate.PushIgnored, "a replication sends a push of its own for each artifact"
	case "TAG_RETENTION", "harbor.tag_retention.finished":
		return gate.PushIgnored, "a retention run sends a delete of its own for each artifact"
	case "UPLOAD_CHART", "DOWNLOAD_CHART", "DELETE_CHART":
		return gate.PushIgnored, "charts are not images"
	case "":
		return gate.PushIgnored, "not an event of Harbor: it has no type"
	}
	return gate.PushIgnored, "events of type \"" + gate.Printable(name, 60) + "\" are not known"
}

func parse(d webhooks.Delivery) ([]gate.Push, error) {
	if len(bytes.TrimSpace(d.Body)) == 0 {
		return []gate.Push{gate.Ignored("the body is empty, as Harbor's test button sends it")}, nil
	}
	var m message
	if err := webhooks.Decode(d.Body, &m); err != nil {
		return nil, err
	}
	data, occurred := m.EventData, time.Time{}
	if m.OccurAt.Value > 0 {
		occurred = time.Unix(m.OccurAt.Value, 0).UTC()
	}
	if m.SpecVersion != "" {
		data, occurred = m.Data, m.Time.Value
	}
	kind, reason := event(m.Type)
	if kind == gate.PushIgnored {
		return []gate.Push{gate.Ignored("%s", reason)}, nil
	}
	if len(data.Resources) == 0 {
		return []gate.Push{gate.Ignored("the event names no artifact")}, nil
	}
	repository := data.Repository.FullName
	pushes := make([]gate.Push, 0, len(data.Resources))
	for _, res := range data.Resources {
		host, ok := hostOf(res.ResourceURL, repository)
		if !ok {
			p := gate.Ignored("resource_url %q is not a host and repository %q", gate.Printable(res.ResourceURL, 150), gate.Printable(repository, 100))
			p.Repository = repository
			pushes = append(pushes, p)
			continue
		}
		p := gate.Push{
			Kind: kind, Host: host, Repository: repository, Digest: gate.Digest(res.Digest), Tag: res.Tag,
			EventID: m.ID, OccurredAt: occurred, Actor: gate.Printable(m.Operator.Value, 200),
		}
		if p.Tag == res.Digest {
			p.Tag = ""
		}
		pushes = append(pushes, p)
	}
	return pushes, nil
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
