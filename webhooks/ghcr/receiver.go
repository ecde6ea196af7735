// Package ghcr reads the webhooks that GitHub sends for packages in its
// container registry: the event "package" of a repository or an organisation,
// and "registry_package" of a GitHub App. Other kinds of package come as the
// same events and are ignored.
//
// GitHub signs the body (auth hmac-sha256, header X-Hub-Signature-256). It
// gives up after 10 s and does not try again by itself. The children of an
// index, attestations and the tags of cosign are packages too; the resolve job
// tells them apart.
//
// Sources: octokit/webhooks payload-examples/api.github.com/{package,registry_package};
// keel-hq/keel pkg/http/github_webhook_trigger_test.go; akuity/kargo
// pkg/webhook/external/github.go; GitHub's documentation "Webhook events and
// payloads" and "Validating webhook deliveries".
//
// All functions are safe for concurrent use.
package ghcr

import (
	"fmt"
	"strings"
	"time"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/webhooks"
)

// Receiver is the receiver of registries of type ghcr.
func Receiver() webhooks.Receiver { return webhooks.Receiver{Type: "ghcr", Parse: parse} }

// message is both events at once; they differ in the key of the package.
type message struct {
	Action          string `json:"action"`
	Package         *pkg   `json:"package"`
	RegistryPackage *pkg   `json:"registry_package"`
	Sender          webhooks.Display[struct {
		Login string `json:"login"`
	}] `json:"sender"`
}

type pkg struct {
	Name        string                      `json:"name"`
	Namespace   string                      `json:"namespace"`
	Ecosystem   string                      `json:"ecosystem"`    // CONTAINER, docker, …
	PackageType string                      `json:"package_type"` // absent from older bodies
	UpdatedAt   webhooks.Display[time.Time] `json:"updated_at"`
	Version     struct {
		Version    string             `json:"version"`
		Name       string             `json:"name"`
		PackageURL string             `json:"package_url"` // HOST/OWNER/NAME:TAG, the tag may be empty
		Container  *containerMetadata `json:"container_metadata"`
	} `json:"package_version"`
}

type containerMetadata struct {
	Tag struct {
		Name   string `json:"name"` // "" for a push by digest
		Digest string `json:"digest"`
	} `json:"tag"`
	Manifest struct {
		Digest string `json:"digest"`
	} `json:"manifest"`
}

func parse(d webhooks.Delivery) ([]gate.Push, error) {
	var m message
	if err := webhooks.Decode(d.Body, &m); err != nil {
		return nil, err
	}
	kinds := d.Header.Values("X-GitHub-Event")
	if len(kinds) > 1 {
		return nil, fmt.Errorf("reading the headers: X-GitHub-Event occurs %d times: %w", len(kinds), gate.ErrInvalid)
	}
	ignored := func(format string, args ...any) ([]gate.Push, error) {
		return []gate.Push{gate.Ignored(format, args...)}, nil
	}
	switch kind := d.Header.Get("X-GitHub-Event"); kind {
	case "package", "registry_package", "": // without the header the body decides
	case "ping":
		return ignored("GitHub's ping: the webhook works")
	default:
		return ignored("events of kind %s say nothing about images; the webhook needs the event Packages only", gate.Quoted(kind, 60))
	}
	p := m.Package
	if p == nil {
		p = m.RegistryPackage
	}
	switch {
	case p == nil:
		return ignored("the event names no package")
	case !p.isImage():
		return ignored("a package of type %s is not an image", gate.Quoted(p.kind(), 40))
	}
	switch m.Action {
	case "published", "updated", "create": // "create" of 2020
	case "":
		return ignored("the event has no action")
	default:
		return ignored("the action %s is not known", gate.Quoted(m.Action, 60))
	}
	host, repository := p.repository()
	return []gate.Push{{
		Kind: gate.PushArrived, Host: host, Repository: repository, Digest: p.digest(), Tag: p.tag(),
		EventID:    gate.Printable(d.Header.Get("X-GitHub-Delivery"), 100),
		OccurredAt: p.UpdatedAt.Value, Actor: gate.Printable(m.Sender.Value.Login, 200),
	}}, nil
}

func (p *pkg) kind() string {
	if p.PackageType != "" {
		return p.PackageType
	}
	return p.Ecosystem
}

// isImage: GitHub's own examples contradict themselves. That of an image says
// package_type npm beside ecosystem docker and has container_metadata; that of
// an npm package says the same and has none.
func (p *pkg) isImage() bool {
	container := func(s string) bool { return strings.EqualFold(s, "container") || strings.EqualFold(s, "docker") }
	if p.Version.Container == nil {
		return container(p.PackageType)
	}
	return container(p.PackageType) || container(p.Ecosystem) || p.kind() == ""
}

// repository reads package_url and, in bodies that are older than it, the
// namespace and the name. GitHub keeps the owner's upper-case letters, the
// registry knows lower-case ones only.
func (p *pkg) repository() (host, repository string) {
	if host, rest, ok := strings.Cut(p.Version.PackageURL, "/"); ok {
		rest, _, _ = strings.Cut(rest, "@")
		rest, _, _ = strings.Cut(rest, ":")
		return host, strings.ToLower(rest)
	}
	return "", strings.ToLower(strings.Trim(p.Namespace+"/"+p.Name, "/"))
}

// digest is the first field that holds one: version and name hold the version
// of other kinds of package, and GitHub's example has 40 digits in the last.
func (p *pkg) digest() gate.Digest {
	candidates := []string{p.Version.Version, p.Version.Name}
	if c := p.Version.Container; c != nil {
		candidates = append(candidates, c.Manifest.Digest, c.Tag.Digest)
	}
	for _, c := range candidates {
		if d := gate.Digest(c); d.Valid() {
			return d
		}
	}
	return ""
}

func (p *pkg) tag() string {
	if p.Version.Container == nil {
		return ""
	}
	return p.Version.Container.Tag.Name
}
