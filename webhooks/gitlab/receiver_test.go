package gitlab_test

import (
	"testing"
	"time"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/webhooks/gitlab"
	"github.com/digestgate/digestgate/webhooks/webhookstest"
)

func suite() webhookstest.Suite {
	push := gate.Push{
		Kind: gate.PushArrived, Host: "registry.git.erxes.io", Repository: "foo/bar", Tag: "1.6.1",
		Digest:     "sha256:4afff550708506c5b8b7384ad10d401a02b29ed587cb2730cb02753095b5178d",
		EventID:    "d83e8796-7ba5-46ad-b239-d88473e21b2b",
		OccurredAt: time.Date(2018, 10, 11, 13, 53, 21, 859222576, time.UTC), Actor: "foo",
	}
	tagGone := push
	tagGone.Kind, tagGone.Digest, tagGone.Actor = gate.PushDeleted, "", ""
	tagGone.EventID = "d83e8796-7ba5-46ad-b239-d88473e21b2c"
	return webhookstest.Suite{
		Receiver:   gitlab.Receiver(),
		Registry:   gate.Registry{Name: "gitlab", Type: "gitlab", Host: "registry.git.erxes.io"},
		HostInBody: true,
		Dir:        "testdata",
		Cases: []webhookstest.Case{
			{File: "push.json", State: gate.PushQueued, Pushes: []gate.Push{push}},
			{File: "delete_tag.json", State: gate.PushQueued, Pushes: []gate.Push{tagGone}},
			{File: "push_layer.json", State: gate.PushNotActedOn, Pushes: []gate.Push{
				gate.Ignored("a layer, a configuration or another blob was pushed; the manifest that uses it sends an event of its own"),
			}},
			{File: "pull.json", State: gate.PushNotActedOn, Pushes: []gate.Push{
				gate.Ignored("a pull changes nothing; endpoints[].ignore.actions keeps the registry from sending it"),
			}},
		},
	}
}

func TestReceiver(t *testing.T) { webhookstest.Run(t, suite()) }

func FuzzReceiver(f *testing.F) { webhookstest.Fuzz(f, suite()) }

func BenchmarkReceiver(b *testing.B) { webhookstest.Bench(b, suite()) }
