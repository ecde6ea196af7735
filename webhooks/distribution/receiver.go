// Package distribution reads the notifications of CNCF Distribution 2.x and
// 3.x ("registry:2", "registry:3") and of what is built on it. Both versions
// send the same envelope; only its content type differs (…events.v1+json from
// 2.x, …events.v2+json from 3.x) and is not looked at.
//
// The registry tells everything that happens: one push for each layer, one for
// the image's configuration, one for each manifest, and a pull for each of our
// own reads. Pushes of manifests and indexes are the ones that count; the
// resolve job tells images, signatures and SBOMs apart.
//
// A delivery that is not answered with 2xx or 3xx is sent again without end,
// one at a time and with everything else behind it, so that whatever can be
// read here is taken or ignored and never refused.
//
// Sources: distribution/distribution notifications/{event,bridge,http,sinks}.go,
// docs/content/about/notifications.md.
//
// All functions are safe for concurrent use.
package distribution

import (
	"net/url"
	"regexp"
	"strings"
	"time"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/webhooks"
)

// Receiver is the receiver of registries of type distribution.
func Receiver() webhooks.Receiver { return webhooks.Receiver{Type: "distribution", Parse: Parse} }

// envelope is notifications.Envelope. In practice it holds one event.
type envelope struct {
	Events []event `json:"events"`
}

type event struct {
	ID        webhooks.Display[string]    `json:"id"`
	Timestamp webhooks.Display[time.Time] `json:"timestamp"`
	Action    string                      `json:"action"`
	Target    struct {
		MediaType  string `json:"mediaType"` // absent from deletes
		Digest     string `json:"digest"`
		Repository string `json:"repository"`
		Tag        string `json:"tag"` // absent from pushes by digest
		URL        string `json:"url"`
	} `json:"target"`
	Request struct {
		Host string `json:"host"` // the Host header of whoever pushed
	} `json:"request"`
	Actor webhooks.Display[struct {
		Name string `json:"name"`
	}] `json:"actor"`
}

// Parse reads an envelope. The receivers of registries with the same envelope
// share it; see [webhooks.Receiver] for its errors.
func Parse(d webhooks.Delivery) ([]gate.Push, error) {
	var m envelope
	if err := webhooks.Decode(d.Body, &m); err != nil {
		return nil, err
	}
	if len(m.Events) == 0 {
		return []gate.Push{gate.Ignored("the envelope holds no event")}, nil
	}
	pushes := make([]gate.Push, 0, len(m.Events))
	for _, e := range m.Events {
		pushes = append(pushes, e.push())
	}
	return pushes, nil
}

// push says what one event means here.
func (e event) push() gate.Push {
	switch e.Action {
	case "push":
		if reason := notManifest(e.Target.MediaType, e.Target.Tag); reason != "" {
			return gate.Ignored("%s", reason)
		}
		return e.of(gate.PushArrived)
	case "delete":
		if e.Target.Digest == "" && e.Target.Tag == "" {
			return gate.Ignored("a whole repository was deleted; the event names neither a digest nor a tag")
		}
		return e.of(gate.PushDeleted)
	case "pull":
		return gate.Ignored("a pull changes nothing; endpoints[].ignore.actions keeps the registry from sending it")
	case "mount":
		return gate.Ignored("a layer was mounted from another repository; the manifest that uses it sends an event of its own")
	case "":
		return gate.Ignored("not an event of Distribution: it has no action")
	}
	return gate.Ignored("events with action %s are not known", gate.Quoted(e.Action, 60))
}

func (e event) of(kind gate.PushKind) gate.Push {
	if foreignAlgorithm(e.Target.Digest) {
		return gate.Ignored("the digest %s is not SHA-256; images are known by their SHA-256 digest only", gate.Quoted(e.Target.Digest, 40))
	}
	return gate.Push{
		Kind: kind, Host: e.host(), Repository: e.Target.Repository, Digest: gate.Digest(e.Target.Digest), Tag: e.Target.Tag,
		EventID: gate.Printable(e.ID.Value, 100), OccurredAt: e.Timestamp.Value, Actor: gate.Printable(e.Actor.Value.Name, 200),
	}
}

// host is what the client called the registry. The URL is built from the same
// header unless http.host is configured, and stands in when it is missing.
func (e event) host() string {
	if e.Request.Host != "" || e.Target.URL == "" {
		return e.Request.Host
	}
	u, err := url.Parse(e.Target.URL)
	if err != nil {
		return ""
	}
	return u.Host
}

// notManifest is why a push is of no manifest, "" when it is one. A push
// without a media type but with a tag is taken: only manifests have tags.
func notManifest(mediaType, tag string) (reason string) {
	mediaType, _, _ = strings.Cut(mediaType, ";")
	switch strings.ToLower(strings.TrimSpace(mediaType)) {
	case "application/vnd.oci.image.manifest.v1+json",
		"application/vnd.oci.image.index.v1+json",
		"application/vnd.docker.distribution.manifest.v2+json",
		"application/vnd.docker.distribution.manifest.list.v2+json",
		"application/vnd.docker.distribution.manifest.v1+json",
		"application/vnd.docker.distribution.manifest.v1+prettyjws":
		return ""
	case "":
		if tag != "" {
			return ""
		}
		return "the event does not say whether a manifest or a layer was pushed"
	}
	return "a layer, a configuration or another blob was pushed; the manifest that uses it sends an event of its own"
}

// otherDigest is a digest of any algorithm but SHA-256, as OCI image-spec v1.1
// writes it ("Digests").
var otherDigest = regexp.MustCompile(`^[a-z0-9]+(?:[+._-][a-z0-9]+)*:[a-zA-Z0-9=_-]{32,}$`)

// foreignAlgorithm keeps a manifest that was pushed by another digest from
// becoming a 400, which would block the sender for good.
func foreignAlgorithm(digest string) bool {
	return !strings.HasPrefix(digest, "sha256:") && otherDigest.MatchString(digest)
}
