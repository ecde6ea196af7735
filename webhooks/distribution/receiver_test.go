package distribution_test

import (
	"testing"
	"time"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/webhooks/distribution"
	"github.com/digestgate/digestgate/webhooks/webhookstest"
)

const (
	layerReason = "a layer, a configuration or another blob was pushed; the manifest that uses it sends an event of its own"
	mountReason = "a layer was mounted from another repository; the manifest that uses it sends an event of its own"
	pullReason  = "a pull changes nothing; endpoints[].ignore.actions keeps the registry from sending it"

	// captured is the registry from which the deliveries v3_* come.
	captured = "127.0.0.1:45357"
)

func suite() webhookstest.Suite {
	ignored := func(reason string) gate.Push { return gate.Push{Kind: gate.PushIgnored, Reason: reason} }
	v3 := func(kind gate.PushKind, repository string, digest gate.Digest, tag, id, at string) []gate.Push {
		occurred, err := time.Parse(time.RFC3339Nano, at)
		if err != nil {
			panic(err)
		}
		return []gate.Push{{Kind: kind, Host: captured, Repository: repository, Digest: digest, Tag: tag, EventID: id, OccurredAt: occurred}}
	}
	return webhookstest.Suite{
		Receiver: distribution.Receiver(),
		Registry: gate.Registry{
			Name: "registry", Type: "distribution", Host: "registry.example.com",
			Aliases: []string{"registrycluster.local", "192.168.100.227:5000", captured},
		},
		HostInBody: true,
		Dir:        "testdata",
		Cases: []webhookstest.Case{
			{File: "push_envelope_manifest_and_blobs.json", State: gate.PushQueued, Pushes: []gate.Push{{
				Kind: gate.PushArrived, Host: "registrycluster.local", Repository: "library/test",
				Digest:  "sha256:fea8895f450959fa676bcc1df0611ea93823a735a01205fd8622846041d0c7cf",
				EventID: "asdf-asdf-asdf-asdf-0", OccurredAt: time.Date(2006, 1, 2, 15, 4, 5, 0, time.UTC), Actor: "test-actor",
			}, ignored(layerReason), ignored(layerReason)}},
			{File: "delete_manifest.json", State: gate.PushNotActedOn, Pushes: []gate.Push{{
				Kind: gate.PushDeleted, Host: "registry.example.com", Repository: "library/test",
				Digest:  "sha256:d89e1bee20d9cb344674e213b581f14fbd8e70274ecf9d10c514bab78a307845",
				EventID: "0198c0de-0000-7000-8000-000000000001", OccurredAt: time.Date(2026, 8, 20, 10, 0, 0, 0, time.UTC), Actor: "ci",
			}}},
			{File: "mount_blob.json", State: gate.PushNotActedOn, Pushes: []gate.Push{ignored(mountReason)}},
			{File: "pull.json", State: gate.PushNotActedOn, Pushes: []gate.Push{ignored(pullReason)}},
			{File: "v3_push_image.json", State: gate.PushQueued, Pushes: v3(gate.PushArrived, "team/app",
				"sha256:a578f1592563ac2bae39bd3c2bd640019f8df3737f198481c2541914fc39417b", "1.0",
				"01a20aab-2c61-76f0-a5fa-f8669bde6dad", "2026-11-23T23:08:39.905455232Z")},
			{File: "v3_push_child.json", State: gate.PushQueued, Pushes: v3(gate.PushArrived, "team/multi",
				"sha256:5859e31d11f542a47ea14686b0489b969f9e2e2d4be56fafe32057243fbadada", "",
				"01a20aab-2c85-7cc2-9907-1b31938598a5", "2026-11-23T23:08:39.941836432Z")},
			{File: "v3_push_index.json", State: gate.PushQueued, Pushes: v3(gate.PushArrived, "team/multi",
				"sha256:06d8302ee8b8a1092ac27b97eccafa3e09c9c0e6d12a44fbb6da21f315b90d13", "1.0",
				"01a20aab-2c89-701a-8b23-0dc3bf8967d1", "2026-11-23T23:08:39.945007119Z")},
			{File: "v3_delete_tag.json", State: gate.PushQueued, Pushes: v3(gate.PushDeleted, "other/app",
				"", "2.0",
				"01a20aab-2c94-79dd-98cc-a4da03551224", "2026-11-23T23:08:39.956646625Z")},
			{File: "v3_delete_digest.json", State: gate.PushNotActedOn, Pushes: v3(gate.PushDeleted, "other/app",
				"sha256:a578f1592563ac2bae39bd3c2bd640019f8df3737f198481c2541914fc39417b", "",
				"01a20aab-2c94-7c86-9c1c-dcb98b33e7db", "2026-11-23T23:08:39.956820944Z")},
			{File: "v3_push_layer.json", State: gate.PushNotActedOn, Pushes: []gate.Push{ignored(layerReason)}},
			{File: "v3_mount.json", State: gate.PushNotActedOn, Pushes: []gate.Push{ignored(mountReason)}},
			{File: "v3_pull.json", State: gate.PushNotActedOn, Pushes: []gate.Push{ignored(pullReason)}},
		},
	}
}

func TestReceiver(t *testing.T) { webhookstest.Run(t, suite()) }

func FuzzReceiver(f *testing.F) { webhookstest.Fuzz(f, suite()) }

func BenchmarkReceiver(b *testing.B) { webhookstest.Bench(b, suite()) }
