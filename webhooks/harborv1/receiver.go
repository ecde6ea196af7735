// Package harborv1 reads the deliveries of Harbor 1.9 and 1.10; before 1.9
// Harbor has no webhooks. Harbor 2.x is read by harbor, and the body that they
// share by harborevents.
//
// The body is that of Harbor 2.x with other names of events. It is not what
// the documentation of 1.10 prints ("event_type", "events", "image_id"): no
// released code sends that, and here it is ignored as no event. A push without
// a tag is never sent, so that the children of an index are found when the
// index is read.
//
// Sources: goharbor/harbor v1.10.9 src/pkg/notification/model/const.go,
// src/core/notifier/model/event.go,
// src/core/notifier/handler/notification/processor.go.
//
// All functions are safe for concurrent use.
package harborv1

import (
	"github.com/digestgate/digestgate/webhooks"
	"github.com/digestgate/digestgate/webhooks/harborevents"
)

// Receiver is the receiver of registries of type harbor-v1.
func Receiver() webhooks.Receiver {
	dialect := harborevents.Dialect{Sender: "Harbor 1.x", Events: harborevents.Version1()}
	return webhooks.Receiver{Type: "harbor-v1", Parse: dialect.Parse}
}
