// Package quay reads the notifications of Red Hat Quay and quay.io for
// "Push to Repository".
//
// The body names no event and no digest. An event is a push when it has
// docker_url and updated_tags; what else Quay sends to the same URL is told
// apart by its keys. There is one push for each updated tag, and the resolve
// job reads what the tag names. Quay fires for pushes by tag alone: the
// children of an index are found when the index is read, and a tag that is
// moved in the console or by the API sends nothing. There is no event for a
// delete.
//
// Quay gives up on a notification after three deliveries that were not
// answered with 2xx, so that everything that can be read is a 202.
//
// Sources: quay/quay notifications/{__init__,notificationevent,notificationmethod}.py,
// endpoints/v2/manifest.py, workers/notificationworker, data/model/notification.py.
//
// All functions are safe for concurrent use.
package quay

import (
	"encoding/json"
	"strings"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/webhooks"
)

// Receiver is the receiver of registries of type quay.
func Receiver() webhooks.Receiver { return webhooks.Receiver{Type: "quay", Parse: parse} }

// message is what is read of any notification. The raw fields are looked at
// for their presence only.
type message struct {
	Repository  string   `json:"repository"` // "namespace/name"
	DockerURL   string   `json:"docker_url"` // "host/namespace/name", no scheme
	UpdatedTags []string `json:"updated_tags"`

	Vulnerability json.RawMessage `json:"vulnerability"`
	BuildID       json.RawMessage `json:"build_id"`
	Message       json.RawMessage `json:"message"`
}

func parse(d webhooks.Delivery) ([]gate.Push, error) {
	var m message
	if err := webhooks.Decode(d.Body, &m); err != nil {
		return nil, err
	}
	if m.DockerURL == "" || len(m.UpdatedTags) == 0 {
		return []gate.Push{gate.Ignored("%s", m.other())}, nil
	}
	host, ok := strings.CutSuffix(m.DockerURL, "/"+m.Repository)
	if !ok || host == "" || m.Repository == "" || strings.Contains(host, "/") {
		p := gate.Ignored("docker_url %s is not a host and repository %s", gate.Quoted(m.DockerURL, 150), gate.Quoted(m.Repository, 100))
		p.Repository = m.Repository
		return []gate.Push{p}, nil
	}
	pushes := make([]gate.Push, 0, len(m.UpdatedTags))
	for _, tag := range m.UpdatedTags {
		p := gate.Push{Kind: gate.PushArrived, Host: host, Repository: m.Repository, Tag: tag}
		if !gate.ValidTag(tag) {
			p = gate.Ignored("%s cannot be a tag, and Quay names no digest", gate.Quoted(tag, 100))
			p.Repository = m.Repository
		}
		pushes = append(pushes, p)
	}
	return pushes, nil
}

// other says what a notification is that is no push.
func (m message) other() string {
	switch {
	case m.Vulnerability != nil:
		return "a vulnerability that Quay itself has found is not looked at"
	case m.BuildID != nil:
		return "a build by Quay sends a push of its own for what it has built"
	case m.Message != nil:
		return "a message about a mirror, an expiry or a quota names no new image"
	case m.DockerURL != "":
		return "the event names no updated tag"
	}
	return "not a push of Quay: it has no docker_url and updated_tags"
}
