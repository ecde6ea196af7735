// Package webhooks takes deliveries of registries in: the HTTP handler that all
// registries share, the ways in which a sender proves itself, and the helpers
// that receivers parse with. Each kind of registry has a receiver in a folder
// of its own, all with the same file names; cmd/digestgate lists them in one
// table. webhooks/webhookstest is the suite that every receiver passes.
//
// A receiver knows a vendor's format and nothing else. It makes no call, keeps
// no state and believes nothing: it turns bytes into [gate.Push] values, and
// intake.Intake compares their hosts with the configuration and queues resolve
// jobs. Which receiver reads a delivery follows from the path, never from the
// body.
//
// Handler, Authenticator and every receiver are safe for concurrent use.
package webhooks

import (
	"context"
	"net/http"

	"github.com/digestgate/digestgate/gate"
)

// Delivery is one authenticated message of a registry.
type Delivery struct {
	// Header holds the request's headers; some formats keep the kind of event
	// or its identity there.
	Header http.Header
	Body   []byte
}

// Receiver reads the deliveries of one kind of registry.
type Receiver struct {
	// Type is the value of registries[].type that selects it.
	Type string
	// Parse turns a delivery into events. An event that is understood and not
	// acted on is a push of kind ignored, never an error: a 4xx makes several
	// registries retry, block or disable the hook. Errors wrap gate.ErrInvalid
	// (a body that cannot be read) or gate.ErrDigestInvalid, and become 400.
	// Parse must not keep the delivery.
	Parse func(Delivery) ([]gate.Push, error)
	// Handshake, for the few senders that first ask whether an endpoint wants
	// their events, is the JSON that they expect with status 200; ok is false
	// for every other delivery. It is asked after authentication. nil for most.
	Handshake func(Delivery) (answer []byte, ok bool)
}

// Taker makes the work that events ask for durable; intake.Intake is one. Errors
// that wrap gate.ErrDigestInvalid or gate.ErrInvalid are the sender's and
// become 400; every other one becomes 503, so that the sender tries again.
type Taker interface {
	// Take returns one result for each push, in order, when all of them are durable; see
	// Taker for what its errors become.
	Take(ctx context.Context, registry string, pushes []gate.Push) ([]gate.PushResult, error)
}

// Answer is the body of a 202 (DESIGN.md §7).
type Answer struct {
	// State is the first of gate.PushStates that occurs among the images.
	State gate.PushState `json:"state"`
	// Reason says why a delivery was ignored as a whole, or what was left out.
	Reason string            `json:"reason,omitempty"`
	Images []gate.PushResult `json:"images"`
}

// newAnswer leaves results without a repository out of the images: they are
// events that are about no image.
func newAnswer(results []gate.PushResult) Answer {
	a := Answer{State: gate.DeliveryState(results), Images: []gate.PushResult{}}
	for _, r := range results {
		if a.State == gate.PushNotActedOn && a.Reason == "" {
			a.Reason = r.Reason
		}
		if r.Repository != "" {
			a.Images = append(a.Images, r)
		}
	}
	if a.State == gate.PushNotActedOn && a.Reason == "" {
		a.Reason = "the delivery holds no event"
	}
	return a
}
