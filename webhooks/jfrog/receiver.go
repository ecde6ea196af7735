// Package jfrog reads the webhooks of JFrog Artifactory's domain "docker":
// pushed, promoted (a copy into another repository) and deleted. Events of
// other domains are ignored.
//
// The digest is the checksum of the manifest's file, which Artifactory stores
// as it was pushed. Repository and tag are taken from the file's path, because
// image_name is sometimes the last part of the repository alone (seen in
// akuity/kargo#4498). Push.Repository is REPO_KEY/REPOSITORY, as images are
// pulled by the repository path method; webhook.repositories changes it for
// the subdomain and port methods and for virtual repositories.
//
// Artifactory names its host only if a Custom Base URL is set (jpd_origin).
//
// Sources: jfrog.com/help "Domain: Docker"; docs.jfrog.com/administration/docs/event-types;
// jfrog/terraform-provider-artifactory docs/resources/docker_webhook.md;
// akuity/kargo#4498 and #4899.
//
// All functions are safe for concurrent use.
package jfrog

import (
	"net/url"
	"strings"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/webhooks"
)

// Receiver is the receiver of registries of type jfrog.
func Receiver() webhooks.Receiver { return webhooks.Receiver{Type: "jfrog", Parse: parse} }

type message struct {
	Domain    string `json:"domain"`
	EventType string `json:"event_type"`
	Data      data   `json:"data"`
	JPDOrigin string `json:"jpd_origin"` // URL of the platform, may be absent

	Source webhooks.Display[string] `json:"source"` // "jfrog/" and a service or a user
}

type data struct {
	RepoKey string `json:"repo_key"`
	Path    string `json:"path"`   // "REPOSITORY/TAG/manifest.json"
	SHA256  string `json:"sha256"` // of that file, without "sha256:"
}

// sampleChecksum is data.sha256 of what the button "Test" sends.
const sampleChecksum = "sample_checksum"

func parse(d webhooks.Delivery) ([]gate.Push, error) {
	var m message
	if err := webhooks.Decode(d.Body, &m); err != nil {
		return nil, err
	}
	kind, reason := m.event()
	if kind == gate.PushIgnored {
		return []gate.Push{gate.Ignored("%s", reason)}, nil
	}
	repository, folder, ok := split(m.Data.Path)
	if !ok || m.Data.RepoKey == "" {
		return []gate.Push{gate.Ignored("path %s in repository %s is not that of a manifest",
			gate.Quoted(m.Data.Path, 150), gate.Quoted(m.Data.RepoKey, 60))}, nil
	}
	p := gate.Push{
		Kind: kind, Host: hostOf(m.JPDOrigin), Repository: m.Data.RepoKey + "/" + repository,
		Actor: gate.Printable(m.Source.Value, 200),
	}
	if m.Data.SHA256 != "" {
		p.Digest = gate.Digest("sha256:" + m.Data.SHA256)
	}
	switch {
	case !byDigest(folder):
		p.Tag = folder
		if kind == gate.PushDeleted {
			// The folder of one tag is gone; the digest may have others, each
			// of which is a copy of its own.
			p.Digest = ""
		}
	case p.Digest == "":
		return []gate.Push{gate.Ignored("the event names neither a digest nor a tag")}, nil
	}
	return []gate.Push{p}, nil
}

func (m message) event() (kind gate.PushKind, reason string) {
	switch {
	case m.Domain == "":
		return gate.PushIgnored, "not an event of Artifactory: it has no domain"
	case m.Domain != "docker":
		return gate.PushIgnored, "events of domain " + gate.Quoted(m.Domain, 60) + " are not looked at; the webhook in Artifactory should send those of domain docker"
	case m.Data.SHA256 == sampleChecksum:
		return gate.PushIgnored, "the sample that Artifactory's test button sends names no image"
	}
	switch m.EventType {
	case "pushed", "promoted":
		return gate.PushArrived, ""
	case "deleted":
		return gate.PushDeleted, ""
	}
	return gate.PushIgnored, "events of type " + gate.Quoted(m.EventType, 60) + " are not known"
}

// split cuts the path of a manifest at its end: a repository may have any
// number of parts.
func split(path string) (repository, folder string, ok bool) {
	rest, file, ok := cutLast(path)
	if !ok || (file != "manifest.json" && file != "list.manifest.json") {
		return "", "", false
	}
	repository, folder, ok = cutLast(rest)
	return repository, folder, ok && repository != "" && folder != ""
}

func cutLast(path string) (before, after string, ok bool) {
	i := strings.LastIndexByte(path, '/')
	if i < 0 {
		return "", path, false
	}
	return path[:i], path[i+1:], true
}

// byDigest reports whether a manifest was pushed by digest: it lies in a folder
// such as "sha256__" and the digest in hexadecimal, which no tag needs to look
// like.
func byDigest(folder string) bool {
	return strings.HasPrefix(folder, "sha256__") || strings.HasPrefix(folder, "sha256:")
}

// hostOf is the host of a URL. What is no URL stays as it is, so that it is
// compared and found foreign instead of counting as absent.
func hostOf(origin string) string {
	if u, err := url.Parse(origin); err == nil && u.Host != "" {
		return u.Host
	}
	return origin
}
