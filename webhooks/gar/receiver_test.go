package gar_test

import (
	"testing"
	"time"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/webhooks/gar"
	"github.com/digestgate/digestgate/webhooks/webhookstest"
)

const (
	image = gate.Digest("sha256:b974ebb9a97901339d70cbd59a98baeb15228d9f39e326d41014aa938512c4e9")
	hello = gate.Digest("sha256:3ec28cfe74368bdde3965ac6c0a587cd49c2f3ac5d2557d359cabf7f2812e434")
)

func suite() webhookstest.Suite {
	push := gate.Push{
		Kind: gate.PushArrived, Host: "us-docker.pkg.dev", Repository: "my-project/my-repo/my-image", Digest: image, Tag: "v1.0.0",
	}
	wrapped := push
	wrapped.EventID, wrapped.OccurredAt = "2070443601311540", time.Date(2026, 2, 26, 19, 13, 55, 749e6, time.UTC)
	return webhookstest.Suite{
		Receiver: gar.Receiver(),
		Registry: gate.Registry{
			Name: "gar-prod", Type: "gar", Host: "us-docker.pkg.dev", Aliases: []string{"us-west1-docker.pkg.dev"},
		},
		HostInBody: true,
		Dir:        "testdata",
		Cases: []webhookstest.Case{
			{File: "pubsub_push_insert_tag.json", State: gate.PushQueued, Pushes: []gate.Push{wrapped}},
			{File: "data_insert_tag.json", State: gate.PushQueued, Pushes: []gate.Push{push}},
			{File: "data_insert_digest_only.json", State: gate.PushQueued, Pushes: []gate.Push{{
				Kind: gate.PushArrived, Host: "us-west1-docker.pkg.dev", Repository: "my-project/my-repo/hello-world", Digest: hello,
			}}},
			{File: "data_delete_tag.json", State: gate.PushQueued, Pushes: []gate.Push{{
				Kind: gate.PushDeleted, Host: "us-west1-docker.pkg.dev", Repository: "my-project/my-repo/hello-world", Tag: "1.1",
			}}},
		},
	}
}

func TestReceiver(t *testing.T) { webhookstest.Run(t, suite()) }

func FuzzReceiver(f *testing.F) { webhookstest.Fuzz(f, suite()) }

func BenchmarkReceiver(b *testing.B) { webhookstest.Bench(b, suite()) }
