// Package gitlab reads the notifications of GitLab's container registry, a
// fork of CNCF Distribution that kept its envelope. GitLab's Rails application
// names the content type …events.v1+json, newer registries send
// …events.v2+json; neither is looked at.
//
// They are configured by the administrator in gitlab.rb,
// registry['notifications']; GitLab.com does not offer them. A "package" or
// "pipeline" webhook of a project says nothing about images.
//
// Sources: GitLab's documentation "Container registry notifications" and
// "Geo: container registry replication"; the envelope as in package
// distribution.
//
// All functions are safe for concurrent use.
package gitlab

import (
	"github.com/digestgate/digestgate/webhooks"
	"github.com/digestgate/digestgate/webhooks/distribution"
)

// Receiver is the receiver of registries of type gitlab.
func Receiver() webhooks.Receiver {
	return webhooks.Receiver{Type: "gitlab", Parse: distribution.Parse}
}
