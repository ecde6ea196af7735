// Package dockerhub reads the deliveries of Docker Hub's webhooks.
//
// They name a repository and a tag but no digest (docker/roadmap#440), so that
// every push leads to a look at the tag. They name no kind of event either:
// only pushes send anything. callback_url belongs to a chain of webhooks that
// no longer exists; nothing in a delivery is ever called.
//
// Sources: docker/docs content/manuals/docker-hub/repos/manage/webhooks.md;
// akuity/kargo pkg/webhook/external/dockerhub_test.go for media_type.
//
// All functions are safe for concurrent use.
package dockerhub

import (
	"strings"
	"time"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/webhooks"
)

// Receiver is the receiver of registries of type dockerhub.
func Receiver() webhooks.Receiver { return webhooks.Receiver{Type: "dockerhub", Parse: parse} }

type message struct {
	PushData struct {
		Tag      string                   `json:"tag"`
		PushedAt webhooks.Display[int64]  `json:"pushed_at"` // Unix seconds
		Pusher   webhooks.Display[string] `json:"pusher"`
		Config   webhooks.Display[string] `json:"media_type"` // of the configuration; undocumented
	} `json:"push_data"`
	Repository struct {
		Name string `json:"repo_name"`
	} `json:"repository"`
}

func parse(d webhooks.Delivery) ([]gate.Push, error) {
	var m message
	if err := webhooks.Decode(d.Body, &m); err != nil {
		return nil, err
	}
	switch {
	case m.Repository.Name == "" || m.PushData.Tag == "":
		return []gate.Push{gate.Ignored("not a push of Docker Hub: it does not name both a repository and a tag")}, nil
	case strings.HasPrefix(m.PushData.Config.Value, "application/vnd.cncf.helm."):
		return []gate.Push{gate.Ignored("charts are not images")}, nil
	}
	p := gate.Push{
		Kind: gate.PushArrived, Repository: m.Repository.Name, Tag: m.PushData.Tag,
		Actor: gate.Printable(m.PushData.Pusher.Value, 200),
	}
	if !strings.Contains(p.Repository, "/") {
		p.Repository = "library/" + p.Repository // what the registry calls official images
	}
	if at := m.PushData.PushedAt.Value; at > 0 {
		p.OccurredAt = time.Unix(at, 0).UTC()
	}
	return []gate.Push{p}, nil
}
