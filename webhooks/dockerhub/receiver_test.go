package dockerhub_test

import (
	"testing"
	"time"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/webhooks/dockerhub"
	"github.com/digestgate/digestgate/webhooks/webhookstest"
)

func suite() webhookstest.Suite {
	return webhookstest.Suite{
		Receiver: dockerhub.Receiver(),
		Registry: gate.Registry{Name: "hub", Type: "dockerhub", Host: "docker.io"},
		Dir:      "testdata", // no host in the body
		Cases: []webhookstest.Case{
			{File: "push_2017_with_images_array.json", State: gate.PushQueued, Pushes: []gate.Push{{
				Kind: gate.PushArrived, Repository: "karolisr/keel", Tag: "0.1.7",
				OccurredAt: time.Unix(1497467660, 0).UTC(), Actor: "karolisr",
			}}},
			{File: "push.json", State: gate.PushQueued, Pushes: []gate.Push{{
				Kind: gate.PushArrived, Repository: "svendowideit/testhook", Tag: "latest",
				OccurredAt: time.Unix(1417566161, 0).UTC(), Actor: "trustedbuilder",
			}}},
			{File: "push_helm_chart.json", State: gate.PushNotActedOn, Pushes: []gate.Push{gate.Ignored("charts are not images")}},
		},
	}
}

func TestReceiver(t *testing.T) { webhookstest.Run(t, suite()) }

func FuzzReceiver(f *testing.F) { webhookstest.Fuzz(f, suite()) }

func BenchmarkReceiver(b *testing.B) { webhookstest.Bench(b, suite()) }
