package azure_test

import (
	"testing"
	"time"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/webhooks/azure"
	"github.com/digestgate/digestgate/webhooks/webhookstest"
)

const (
	host  = "myregistry.azurecr.io"
	hello = gate.Digest("sha256:c766679d161d4ffe3dc4503b4c9f90b978f0d363fcedb02d1ae0cd271e645c0a")
	aci   = gate.Digest("sha256:213bbc182920ab41e18edc2001e06abcca6735d87782d9cef68abd83941cf0e5")
)

func suite() webhookstest.Suite {
	at := func(text string) time.Time {
		v, err := time.Parse(time.RFC3339Nano, text)
		if err != nil {
			panic(err)
		}
		return v
	}
	grid := func(kind gate.PushKind, tag, id string) gate.Push {
		return gate.Push{
			Kind: kind, Host: host, Repository: "aci-helloworld", Digest: aci, Tag: tag,
			EventID: id, OccurredAt: at("2018-04-25T21:39:47.6549614Z"),
		}
	}
	const gridID = "831e1650-001e-001b-66ab-eeb76e069631"
	ignored := func(reason string) []gate.Push { return []gate.Push{{Kind: gate.PushIgnored, Reason: reason}} }
	return webhookstest.Suite{
		Receiver: azure.Receiver(),
		Registry: gate.Registry{
			Name: "azure-prod", Type: "azure", Host: host,
			Aliases: []string{"mojrodevops.azurecr.io"}, // in the captured samples
		},
		HostInBody: true,
		Dir:        "testdata",
		Cases: []webhookstest.Case{
			{File: "push.json", State: gate.PushQueued, Pushes: []gate.Push{{
				Kind: gate.PushArrived, Host: "mojrodevops.azurecr.io", Repository: "hello-world", Digest: hello, Tag: "test-v1",
				EventID: "ea889308-3834-4a1d-a631-cadc572dab91", OccurredAt: at("2026-06-01T12:22:07.0958813Z"),
			}}},
			{File: "push_untagged.json", State: gate.PushQueued, Pushes: []gate.Push{{
				Kind: gate.PushArrived, Host: "mojrodevops.azurecr.io", Repository: "hello-world", Digest: hello,
			}}},
			{File: "push_index.json", State: gate.PushQueued, Pushes: []gate.Push{{
				Kind: gate.PushArrived, Host: host, Repository: "team/app", Tag: "1.4.2",
				Digest:  "sha256:b85f0f0d633a253d068dd0a9f902117341e7f68b4cec559998ad025458bcbf10",
				EventID: "ea889308-3834-4a1d-a631-cadc572dab92", OccurredAt: at("2026-06-01T12:22:09.0958813Z"),
			}}},
			// A manifest is deleted, and no tag is named: recorded, no job.
			{File: "delete_whole_digest.json", State: gate.PushNotActedOn, Pushes: []gate.Push{{
				Kind: gate.PushDeleted, Host: "mojrodevops.azurecr.io", Repository: "hello-world", Digest: hello,
				EventID: "afc359ce-df7f-4e32-9b0f-1ff8aa80927b", OccurredAt: at("2026-06-01T12:22:07.0958813Z"),
			}}},
			{File: "delete.json", Status: 400, Pushes: []gate.Push{{ // the digest is masked
				Kind: gate.PushDeleted, Host: host, Repository: "hello-world",
				Digest:  "sha256:xxxxd5c8786bb9e621a45ece0dbxxxx1cdc624ad20da9fe62e9d25490f33xxxx",
				EventID: "afc359ce-df7f-4e32-xxxx-1ff8aa80927b", OccurredAt: at("2023-11-17T16:54:53.657764628Z"),
			}}},
			{File: "eventgrid_image_pushed.json", State: gate.PushQueued, Pushes: []gate.Push{grid(gate.PushArrived, "v1", gridID)}},
			{File: "eventgrid_image_pushed.cloudevents.json", State: gate.PushQueued, Pushes: []gate.Push{grid(gate.PushArrived, "v1", gridID)}},
			{File: "eventgrid_image_deleted.json", State: gate.PushNotActedOn, Pushes: []gate.Push{
				grid(gate.PushDeleted, "", "f06e3921-301f-42ec-b368-212f7d5354bd"),
			}},
			{File: "chart_push.json", State: gate.PushNotActedOn, Pushes: ignored("charts are not images")},
			{File: "ping.json", State: gate.PushNotActedOn, Pushes: ignored("a ping changes nothing; the webhook works")},
		},
	}
}

func TestReceiver(t *testing.T) { webhookstest.Run(t, suite()) }

func FuzzReceiver(f *testing.F) { webhookstest.Fuzz(f, suite()) }

func BenchmarkReceiver(b *testing.B) { webhookstest.Bench(b, suite()) }
