// Package ecr reads the deliveries of Amazon Elastic Container Registry, which
// EventBridge forwards to an API destination: its events as they are, or
// reshaped by an input transformer into CloudEvents of type
// com.amazon.ecr.image.push, the template of argocd-image-updater.
//
// An event names the account and the region, from which the registry's host
// follows; that host is compared with the configuration. ECR sends its events
// as best effort, so some never arrive.
//
// Sources: AWS documentation, "Amazon ECR events and EventBridge";
// argoproj-labs/argocd-image-updater docs/configuration/webhook.md.
//
// All functions are safe for concurrent use.
package ecr

import (
	"strings"
	"time"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/webhooks"
)

// Receiver is the receiver of registries of type ecr.
func Receiver() webhooks.Receiver { return webhooks.Receiver{Type: "ecr", Parse: parse} }

// message is both formats at once; "specversion" tells them apart.
type message struct {
	ID   string                      `json:"id"`
	Time webhooks.Display[time.Time] `json:"time"`

	// EventBridge.
	DetailType string `json:"detail-type"`
	Account    string `json:"account"`
	Region     string `json:"region"`
	Detail     detail `json:"detail"`

	// CloudEvents.
	SpecVersion string `json:"specversion"`
	Type        string `json:"type"`
	Source      string `json:"source"` // urn:aws:ecr:REGION:ACCOUNT:repository/NAME
	Data        struct {
		Repository string `json:"repositoryName"`
		Digest     string `json:"imageDigest"`
		Tag        string `json:"imageTag"`
	} `json:"data"`
}

type detail struct {
	Action     string `json:"action-type"`
	Result     string `json:"result"`
	SyncStatus string `json:"sync-status"` // of a pull-through cache
	Repository string `json:"repository-name"`
	Digest     string `json:"image-digest"`
	Tag        string `json:"image-tag"`
}

// event says what an event means here. One detail-type carries pushes, deletes and
// changes of storage.
func event(detailType string, d detail) (kind gate.PushKind, reason string) {
	switch detailType {
	case "ECR Image Action":
		switch {
		case d.Action == "UPDATE_STORAGE_CLASS":
			return gate.PushIgnored, "a change of the storage class changes no image"
		case d.Action != "PUSH" && d.Action != "DELETE":
			return gate.PushIgnored, "image actions of type " + gate.Quoted(d.Action, 60) + " are not known"
		case d.Result != "SUCCESS":
			return gate.PushIgnored, "the action did not succeed"
		case d.Action == "DELETE":
			return gate.PushDeleted, ""
		}
		return gate.PushArrived, ""
	case "ECR Replication Action":
		switch {
		case d.Action != "REPLICATE":
			return gate.PushIgnored, "replication actions of type " + gate.Quoted(d.Action, 60) + " are not known"
		case d.Result != "SUCCESS":
			return gate.PushIgnored, "the replication did not succeed"
		}
		return gate.PushArrived, "" // in the region that sends the event
	case "ECR Pull Through Cache Action":
		if d.SyncStatus != "SUCCESS" {
			return gate.PushIgnored, "the pull through the cache did not succeed"
		}
		return gate.PushArrived, ""
	case "ECR Image Scan", "ECR Scan Resource Change":
		return gate.PushIgnored, "a scan by ECR itself is not looked at"
	case "ECR Referrer Action":
		return gate.PushIgnored, "a signature or SBOM is found when the image is looked at"
	case "ECR Artifact Action":
		return gate.PushIgnored, "artifact actions are about no image"
	case "":
		return gate.PushIgnored, "not an event of ECR: it has no detail-type"
	}
	return gate.PushIgnored, "events of type " + gate.Quoted(detailType, 60) + " are not known"
}

func parse(d webhooks.Delivery) ([]gate.Push, error) {
	var m message
	if err := webhooks.Decode(d.Body, &m); err != nil {
		return nil, err
	}
	if m.SpecVersion != "" {
		return []gate.Push{m.cloudEvent()}, nil
	}
	kind, reason := event(m.DetailType, m.Detail)
	if kind == gate.PushIgnored {
		return []gate.Push{gate.Ignored("%s", reason)}, nil
	}
	if m.Account == "" || m.Region == "" {
		return []gate.Push{gate.Ignored("the event names no account and region, so that its registry is not known")}, nil
	}
	return []gate.Push{{
		Kind: kind, Host: host(m.Account, m.Region), Repository: m.Detail.Repository,
		Digest: gate.Digest(m.Detail.Digest), Tag: m.Detail.Tag, EventID: m.ID, OccurredAt: m.Time.Value,
	}}, nil
}

func (m message) cloudEvent() gate.Push {
	if m.Type != "com.amazon.ecr.image.push" {
		return gate.Ignored("events of type %s are not known", gate.Quoted(m.Type, 60))
	}
	parts := strings.SplitN(m.Source, ":", 6)
	if len(parts) != 6 || parts[2] != "ecr" || parts[3] == "" || parts[4] == "" {
		return gate.Ignored("source %s is not urn:aws:ecr:REGION:ACCOUNT:repository/NAME, so that the registry is not known", gate.Quoted(m.Source, 150))
	}
	return gate.Push{
		Kind: gate.PushArrived, Host: host(parts[4], parts[3]), Repository: m.Data.Repository,
		Digest: gate.Digest(m.Data.Digest), Tag: m.Data.Tag, EventID: m.ID, OccurredAt: m.Time.Value,
	}
}

// host is the registry of an account in a region.
func host(account, region string) string {
	domain := ".amazonaws.com"
	if strings.HasPrefix(region, "cn-") {
		domain += ".cn"
	}
	return account + ".dkr.ecr." + region + domain
}
