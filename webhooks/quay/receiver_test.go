package quay_test

import (
	"testing"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/webhooks/quay"
	"github.com/digestgate/digestgate/webhooks/webhookstest"
)

func suite() webhookstest.Suite {
	return webhookstest.Suite{
		Receiver:   quay.Receiver(),
		Registry:   gate.Registry{Name: "quay", Type: "quay", Host: "quay.io"},
		HostInBody: true,
		Dir:        "testdata",
		Cases: []webhookstest.Case{
			{File: "repo_push_two_tags.json", State: gate.PushQueued, Pushes: []gate.Push{
				{Kind: gate.PushArrived, Host: "quay.io", Repository: "mynamespace/repository", Tag: "1.4.2"},
				{Kind: gate.PushArrived, Host: "quay.io", Repository: "mynamespace/repository", Tag: "latest"},
			}},
			{File: "repo_push.json", State: gate.PushQueued, Pushes: []gate.Push{
				{Kind: gate.PushArrived, Host: "quay.io", Repository: "mynamespace/repository", Tag: "latest"},
			}},
			{File: "repo_push_empty_tags.json", State: gate.PushNotActedOn, Pushes: []gate.Push{
				gate.Ignored("the event names no updated tag"),
			}},
			{File: "vulnerability_found.json", State: gate.PushNotActedOn, Pushes: []gate.Push{
				gate.Ignored("a vulnerability that Quay itself has found is not looked at"),
			}},
			{File: "build_success.json", State: gate.PushNotActedOn, Pushes: []gate.Push{
				gate.Ignored("a build by Quay sends a push of its own for what it has built"),
			}},
		},
	}
}

func TestReceiver(t *testing.T) { webhookstest.Run(t, suite()) }

func FuzzReceiver(f *testing.F) { webhookstest.Fuzz(f, suite()) }

func BenchmarkReceiver(b *testing.B) { webhookstest.Bench(b, suite()) }

func TestBodies(t *testing.T) {
	arrived := func(tag string) gate.Push {
		return gate.Push{Kind: gate.PushArrived, Host: "quay.example.com:8443", Repository: "ns/app", Tag: tag}
	}
	about := func(reason string) gate.Push {
		p := gate.Ignored("%s", reason)
		p.Repository = "ns/app"
		return p
	}
	const image = `"repository":"ns/app","docker_url":"quay.example.com:8443/ns/app"`
	webhookstest.Bodies(t, quay.Receiver(), map[string]webhookstest.Body{
		"several_tags": {Body: `{` + image + `,"updated_tags":["1.0","latest"]}`, Want: []gate.Push{arrived("1.0"), arrived("latest")}},
		"no_tag":       {Body: `{` + image + `,"updated_tags":["1.0","a:b",""]}`, Want: []gate.Push{arrived("1.0"), about(`"a:b" cannot be a tag, and Quay names no digest`), about(`"" cannot be a tag, and Quay names no digest`)}},
		"mirror":       {Body: `{` + image + `,"message":"started"}`, Want: []gate.Push{gate.Ignored("a message about a mirror, an expiry or a quota names no new image")}},
		"quota":        {Body: `{"namespace":"ns","quota_percent_used":"90"}`, Want: []gate.Push{gate.Ignored("not a push of Quay: it has no docker_url and updated_tags")}},
		"other_name":   {Body: `{"repository":"ns/app","docker_url":"quay.io/other/app","updated_tags":["1"]}`, Want: []gate.Push{about(`docker_url "quay.io/other/app" is not a host and repository "ns/app"`)}},
		"with_scheme":  {Body: `{"repository":"ns/app","docker_url":"https://quay.io/ns/app","updated_tags":["1"]}`, Want: []gate.Push{about(`docker_url "https://quay.io/ns/app" is not a host and repository "ns/app"`)}},
		"longer_name":  {Body: `{"repository":"app","docker_url":"quay.io/ns/app","updated_tags":["1"]}`, Part: "is not a host and repository"},
		"no_host":      {Body: `{"repository":"ns/app","docker_url":"/ns/app","updated_tags":["1"]}`, Want: []gate.Push{about(`docker_url "/ns/app" is not a host and repository "ns/app"`)}},
	})
}
