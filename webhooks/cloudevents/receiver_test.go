package cloudevents_test

import (
	"testing"
	"time"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/webhooks/cloudevents"
	"github.com/digestgate/digestgate/webhooks/webhookstest"
)

const alpine = gate.Digest("sha256:954b378c375d852eb3c63ab88978f640b4348b01c1b3456a024a81536dafbbf4")

func suite() webhookstest.Suite {
	image := func(kind gate.PushKind, digest gate.Digest, tag, id, actor string) []gate.Push {
		return []gate.Push{{
			Kind: kind, Host: "registry.example.com", Repository: "team/app", Digest: digest, Tag: tag, EventID: id,
			OccurredAt: time.Date(2026, 8, 20, 10, 0, 0, 500_000_000, time.UTC), Actor: actor,
		}}
	}
	return webhookstest.Suite{
		Receiver:   cloudevents.Receiver(),
		Registry:   gate.Registry{Name: "pipeline", Type: "cloudevents", Host: "registry.example.com"},
		HostInBody: true,
		Dir:        "testdata",
		Cases: []webhookstest.Case{
			{File: "push.structured.json", State: gate.PushQueued, Pushes: image(gate.PushArrived, alpine, "1.0", "a-1", "ci")},
			{File: "push_by_tag.structured.json", State: gate.PushQueued, Pushes: image(gate.PushArrived, "", "1.0", "a-2", "")},
			{File: "delete.structured.json", State: gate.PushQueued, Pushes: image(gate.PushDeleted, alpine, "1.0", "a-3", "")},
			{File: "other_action.structured.json", State: gate.PushNotActedOn, Pushes: []gate.Push{
				gate.Ignored(`the action "scan" is neither push nor delete`),
			}},
			{File: "push.binary.json", State: gate.PushQueued, Pushes: image(gate.PushArrived, alpine, "", "b-1", "ci")},
			{File: "delete_digest.binary.json", State: gate.PushNotActedOn, Pushes: image(gate.PushDeleted, alpine, "", "b-2", "")},
		},
	}
}

func TestReceiver(t *testing.T) { webhookstest.Run(t, suite()) }

func FuzzReceiver(f *testing.F) { webhookstest.Fuzz(f, suite()) }

func BenchmarkReceiver(b *testing.B) { webhookstest.Bench(b, suite()) }
