package ghcr_test

import (
	"testing"
	"time"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/webhooks/ghcr"
	"github.com/digestgate/digestgate/webhooks/webhookstest"
)

const (
	utaitebox = gate.Digest("sha256:7d3848ba2f2e7f69bebb4b576e5fad0379b64a0b1512aee6ad0ec9e7c6319fed")
	hello     = gate.Digest("sha256:3da1996a8115d7616457760d9920b815241d0a03b34cf5f04e9a0e9d8de37498")
)

func suite() webhookstest.Suite {
	delivery := func(last string) string { return "72d3162e-cc78-11e3-81ab-4c9367dc09" + last }
	example := gate.Push{
		Kind: gate.PushArrived, Host: "ghcr.io", Repository: "codertocat/hello-world", Digest: hello, EventID: delivery("59"),
		OccurredAt: time.Date(2019, 5, 9, 23, 28, 29, 0, time.UTC), Actor: "Codertocat",
	}
	tagged := example
	tagged.Tag, tagged.EventID = "1.0", delivery("61")
	return webhookstest.Suite{
		Receiver: ghcr.Receiver(),
		Registry: gate.Registry{Name: "ghcr", Type: "ghcr", Host: "ghcr.io"},
		Dir:      "testdata", // bodies of 2020 name no host: TestForeignHost looks at the others
		Cases: []webhookstest.Case{
			{File: "package_published.json", State: gate.PushQueued, Pushes: []gate.Push{{
				Kind: gate.PushArrived, Repository: "utaitebox/utaitebox-server", Digest: utaitebox, Tag: "3.2.1",
				EventID: delivery("58"), Actor: "DingGGu",
			}}},
			{File: "package_published_untagged.json", State: gate.PushQueued, Pushes: []gate.Push{example}},
			{File: "registry_package_updated.json", State: gate.PushQueued, Pushes: []gate.Push{tagged}},
			{File: "package_published_npm.json", State: gate.PushNotActedOn, Pushes: []gate.Push{gate.Ignored(`a package of type "npm" is not an image`)}},
			{File: "ping.json", State: gate.PushNotActedOn, Pushes: []gate.Push{gate.Ignored("GitHub's ping: the webhook works")}},
		},
	}
}

func TestReceiver(t *testing.T) { webhookstest.Run(t, suite()) }

func FuzzReceiver(f *testing.F) { webhookstest.Fuzz(f, suite()) }

func BenchmarkReceiver(b *testing.B) { webhookstest.Bench(b, suite()) }
