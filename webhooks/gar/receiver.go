// Package gar reads the notifications of Google Artifact Registry and Container
// Registry as a push subscription of Pub/Sub delivers them: in its envelope, or
// bare when payload unwrapping is on.
//
// A notification holds full references: of a digest, of a tag, or of both. Pub/Sub
// delivers at least once and in any order, and again until it gets a 2xx or the
// retention ends. Use auth oidc with the service account of the subscription:
// that Google has signed a token proves nothing about who sends
// (GHSA-h9cx-xjg6-5v2w).
//
// Source: cloud.google.com/artifact-registry/docs/configure-notifications.
//
// All functions are safe for concurrent use.
package gar

import (
	"encoding/base64"
	"fmt"
	"strings"
	"time"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/webhooks"
)

// Receiver is the receiver of registries of type gar.
func Receiver() webhooks.Receiver { return webhooks.Receiver{Type: "gar", Parse: parse} }

// envelope is that of Pub/Sub, and a bare notification at once.
type envelope struct {
	Message *struct {
		Data string                      `json:"data"` // base64 of a notification
		ID   string                      `json:"messageId"`
		Time webhooks.Display[time.Time] `json:"publishTime"`
	} `json:"message"`

	Action string `json:"action"`
	Digest string `json:"digest"`
	Tag    string `json:"tag"`
}

type notification struct {
	Action string `json:"action"`
	Digest string `json:"digest"` // HOST/REPOSITORY@DIGEST, or ""
	Tag    string `json:"tag"`    // HOST/REPOSITORY:TAG, or ""
}

func parse(d webhooks.Delivery) ([]gate.Push, error) {
	var e envelope
	if err := webhooks.Decode(d.Body, &e); err != nil {
		return nil, err
	}
	n := notification{Action: e.Action, Digest: e.Digest, Tag: e.Tag}
	id, at := "", time.Time{}
	if e.Message != nil {
		if e.Message.Data == "" {
			return []gate.Push{gate.Ignored("the message has no data")}, nil
		}
		data, err := base64.StdEncoding.DecodeString(e.Message.Data)
		if err != nil {
			return nil, fmt.Errorf("reading message.data as base64: %s: %w", gate.Printable(err.Error(), 100), gate.ErrInvalid)
		}
		if err := webhooks.Decode(data, &n); err != nil {
			return nil, fmt.Errorf("reading message.data: %w", err)
		}
		id, at = e.Message.ID, e.Message.Time.Value
	}
	p := n.push()
	if p.Kind != gate.PushIgnored {
		p.EventID, p.OccurredAt = id, at
	}
	return []gate.Push{p}, nil
}

func (n notification) push() gate.Push {
	p := gate.Push{}
	switch n.Action {
	case "INSERT":
		p.Kind = gate.PushArrived
	case "DELETE":
		p.Kind = gate.PushDeleted
	case "":
		return gate.Ignored("not a notification of Artifact Registry: it has no action")
	default:
		return gate.Ignored("actions of type %s are not known", gate.Quoted(n.Action, 60))
	}
	if n.Digest == "" && n.Tag == "" {
		return gate.Ignored("the notification names neither a digest nor a tag")
	}
	if n.Digest != "" {
		name, digest, ok := strings.Cut(n.Digest, "@")
		if p.Host, p.Repository, _ = strings.Cut(name, "/"); !ok || p.Host == "" || p.Repository == "" {
			return gate.Ignored("digest %s is not HOST/REPOSITORY@DIGEST", gate.Quoted(n.Digest, 200))
		}
		p.Digest = gate.Digest(digest)
	}
	if n.Tag == "" {
		return p
	}
	host, repository, _ := strings.Cut(n.Tag, "/")
	colon := strings.LastIndexByte(repository, ':')
	if host == "" || colon <= 0 || colon == len(repository)-1 || strings.Contains(repository[colon:], "/") {
		return gate.Ignored("tag %s is not HOST/REPOSITORY:TAG", gate.Quoted(n.Tag, 200))
	}
	repository, p.Tag = repository[:colon], repository[colon+1:]
	if n.Digest != "" && (host != p.Host || repository != p.Repository) {
		return gate.Ignored("digest %s and tag %s are of two repositories", gate.Quoted(n.Digest, 150), gate.Quoted(n.Tag, 150))
	}
	p.Host, p.Repository = host, repository
	return p
}
