package ecr_test

import (
	"testing"
	"time"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/webhooks/ecr"
	"github.com/digestgate/digestgate/webhooks/webhookstest"
)

const (
	west = "123456789012.dkr.ecr.us-west-2.amazonaws.com"
	east = "123456789012.dkr.ecr.us-east-1.amazonaws.com"
	app  = gate.Digest("sha256:02915c173f5b5238c520514331165c9c1e1d2a5a6d088b612fd675a5f265a853")
	// short is a digest of AWS's documentation, with 60 digits.
	short = gate.Digest("sha256:7f5b2640fe6fb4f46592dfd3410c4a79dac4f89e4782432e0378abcd1234")
)

func suite() webhookstest.Suite {
	at := func(text string) time.Time {
		v, err := time.Parse(time.RFC3339, text)
		if err != nil {
			panic(err)
		}
		return v
	}
	ignored := func(reason string) []gate.Push { return []gate.Push{{Kind: gate.PushIgnored, Reason: reason}} }
	return webhookstest.Suite{
		Receiver:   ecr.Receiver(),
		Registry:   gate.Registry{Name: "ecr-prod", Type: "ecr", Host: west, Aliases: []string{east}},
		HostInBody: true,
		Dir:        "testdata",
		Cases: []webhookstest.Case{
			{File: "cloudevents_input_transformer_push.json", State: gate.PushQueued, Pushes: []gate.Push{{
				Kind: gate.PushArrived, Host: west, Repository: "team/app", Digest: app, Tag: "latest",
				EventID: "13cde686-328b-6117-af20-0e5566167482", OccurredAt: at("2019-11-16T01:54:34Z"),
			}}},
			{File: "image_action_push.json", State: gate.PushQueued, Pushes: []gate.Push{{
				Kind: gate.PushArrived, Host: west, Repository: "team/app", Digest: app, Tag: "latest",
				EventID: "13cde686-328b-6117-af20-0e5566167482", OccurredAt: at("2019-11-16T01:54:34Z"),
			}}},
			{File: "image_action_push_untagged.json", State: gate.PushQueued, Pushes: []gate.Push{{
				Kind: gate.PushArrived, Host: west, Repository: "team/app",
				Digest:  "sha256:5861314d7fccb39c2192173240eab44fa35ca66426201ca2acd0630a6258dd51",
				EventID: "13cde686-328b-6117-af20-0e5566167483", OccurredAt: at("2019-11-16T01:54:30Z"),
			}}},
			{File: "image_action_delete_whole_digest.json", State: gate.PushQueued, Pushes: []gate.Push{{
				Kind: gate.PushDeleted, Host: west, Repository: "team/app", Digest: app, Tag: "latest",
				EventID: "dd3b46cb-2c74-f49e-393b-28286b67279e", OccurredAt: at("2019-11-16T02:01:05Z"),
			}}},
			{File: "image_action_delete.json", Status: 400, Pushes: []gate.Push{{
				Kind: gate.PushDeleted, Host: west, Repository: "my-repository-name", Digest: short, Tag: "latest",
				EventID: "dd3b46cb-2c74-f49e-393b-28286b67279d", OccurredAt: at("2019-11-16T02:01:05Z"),
			}}},
			{File: "replication_success_whole_digest.json", State: gate.PushQueued, Pushes: []gate.Push{{
				Kind: gate.PushArrived, Host: east, Repository: "team/app", Digest: app, Tag: "latest",
				EventID: "c8b133b1-6029-ee73-e2a1-4f466b8ba990", OccurredAt: at("2024-05-08T20:44:54Z"),
			}}},
			{File: "replication_success.json", Status: 400, Pushes: []gate.Push{{
				Kind: gate.PushArrived, Host: east, Repository: "docker-hub/alpine", Digest: short, Tag: "3.17.2",
				EventID: "c8b133b1-6029-ee73-e2a1-4f466b8ba999", OccurredAt: at("2024-05-08T20:44:54Z"),
			}}},
			{File: "pull_through_cache.json", State: gate.PushQueued, Pushes: []gate.Push{{
				Kind: gate.PushArrived, Host: west, Repository: "docker-hub/alpine", Tag: "3.17.2",
				Digest:  "sha256:954b378c375d852eb3c63ab88978f640b4348b01c1b3456a024a81536dafbbf4",
				EventID: "85fc3613-e913-7fc4-a80c-a3753e4aa9af", OccurredAt: at("2023-02-28T02:36:48Z"),
			}}},
			{File: "image_action_update_storage_class.json", State: gate.PushNotActedOn, Pushes: ignored("a change of the storage class changes no image")},
			{File: "image_scan.json", State: gate.PushNotActedOn, Pushes: ignored("a scan by ECR itself is not looked at")},
		},
	}
}

func TestReceiver(t *testing.T) { webhookstest.Run(t, suite()) }

func FuzzReceiver(f *testing.F) { webhookstest.Fuzz(f, suite()) }

func BenchmarkReceiver(b *testing.B) { webhookstest.Bench(b, suite()) }
