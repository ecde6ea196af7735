// Package harbor reads the deliveries of Harbor 2.x in both of its formats:
// "Default", and "CloudEvents" from 2.8 on. It does not read Harbor 1.x, whose
// events have other names: that is harborv1. The body that they share is read
// by harborevents.
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
	"github.com/digestgate/digestgate/webhooks"
	"github.com/digestgate/digestgate/webhooks/harborevents"
)

// Receiver is the receiver of registries of type harbor.
func Receiver() webhooks.Receiver {
	dialect := harborevents.Dialect{Sender: "Harbor", Events: harborevents.Version2(), CloudEvents: true}
	for name, meaning := range cloudEvents() {
		dialect.Events[name] = meaning
	}
	return webhooks.Receiver{Type: "harbor", Parse: dialect.Parse}
}

// cloudEvents gives the names of the CloudEvents format the meanings of the
// Default format.
func cloudEvents() map[string]harborevents.Meaning {
	names := map[string]string{
		"harbor.artifact.pushed":            "PUSH_ARTIFACT",
		"harbor.artifact.deleted":           "DELETE_ARTIFACT",
		"harbor.artifact.pulled":            "PULL_ARTIFACT",
		"harbor.scan.completed":             "SCANNING_COMPLETED",
		"harbor.scan.failed":                "SCANNING_FAILED",
		"harbor.scan.stopped":               "SCANNING_STOPPED",
		"harbor.quota.exceeded":             "QUOTA_EXCEED",
		"harbor.quota.warned":               "QUOTA_WARNING",
		"harbor.replication.status.changed": "REPLICATION",
		"harbor.tag_retention.finished":     "TAG_RETENTION",
	}
	byDefault := harborevents.Version2()
	out := make(map[string]harborevents.Meaning, len(names))
	for name, other := range names {
		out[name] = byDefault[other]
	}
	return out
}
