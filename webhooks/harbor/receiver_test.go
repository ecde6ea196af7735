package harbor_test

import (
	"testing"
	"time"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/webhooks/harbor"
	"github.com/digestgate/digestgate/webhooks/webhookstest"
)

const (
	alpine = gate.Digest("sha256:954b378c375d852eb3c63ab88978f640b4348b01c1b3456a024a81536dafbbf4")
	index  = gate.Digest("sha256:1bc04b5291c26a46d918139138b992d2de976d6851d0893b0476b85bfbdfc6e6")
)

func suite() webhookstest.Suite {
	ci := func(digest gate.Digest, tag string, at int64) gate.Push {
		return gate.Push{
			Kind: gate.PushArrived, Host: "harbor.example.com", Repository: "team-a/app", Digest: digest, Tag: tag,
			OccurredAt: time.Unix(at, 0).UTC(), Actor: "robot$team-a+ci",
		}
	}
	sbom := ci("sha256:98f3ae1ef67113d8140d4f6cb8d2830070e21ea48f091be519659846c771a374", "", 1755764120)
	sbom.Actor = "robot$team-a+Trivy-1b2c"
	ignored := func(reason string) []gate.Push { return []gate.Push{{Kind: gate.PushIgnored, Reason: reason}} }
	return webhookstest.Suite{
		Receiver: harbor.Receiver(),
		Registry: gate.Registry{
			Name: "harbor-prod", Type: "harbor", Host: "harbor.example.com",
			Aliases: []string{"hub.harbor.com", "localhost"}, // in the samples of Harbor's documentation
		},
		HostInBody: true,
		Dir:        "testdata",
		Cases: []webhookstest.Case{
			{File: "push_artifact.default.json", State: gate.PushQueued, Pushes: []gate.Push{{
				Kind: gate.PushArrived, Host: "hub.harbor.com", Repository: "test-webhook/debian", Tag: "latest",
				Digest:     "sha256:8a9e9863dbb6e10edb5adfe917c00da84e1700fa76e7ed02476aa6e6fb8ee0d8",
				OccurredAt: time.Unix(1586922308, 0).UTC(), Actor: "admin",
			}}},
			{File: "push_artifact_by_digest.default.json", State: gate.PushQueued, Pushes: []gate.Push{{
				Kind: gate.PushArrived, Host: "localhost", Repository: "harbor/alpine", Digest: alpine,
				OccurredAt: time.Unix(1680501893, 0).UTC(), Actor: "harbor-jobservice",
			}}},
			{File: "push_artifact_by_digest.cloudevents.json", State: gate.PushQueued, Pushes: []gate.Push{{
				Kind: gate.PushArrived, Host: "localhost", Repository: "harbor/alpine", Digest: alpine,
				EventID:    "66e18103-09c1-41f6-982f-37df223f3eeb",
				OccurredAt: time.Date(2023, 4, 3, 6, 4, 46, 0, time.UTC), Actor: "harbor-jobservice",
			}}},
			{File: "multiarch_1_child_amd64.default.json", State: gate.PushQueued, Pushes: []gate.Push{
				ci("sha256:5861314d7fccb39c2192173240eab44fa35ca66426201ca2acd0630a6258dd51", "", 1755764100),
			}},
			{File: "multiarch_3_index_tagged.default.json", State: gate.PushQueued, Pushes: []gate.Push{ci(index, "1.4.2", 1755764102)}},
			{File: "accessory_cosign_signature.default.json", State: gate.PushQueued, Pushes: []gate.Push{
				ci("sha256:a543997d84f12798350c09bdef2cdb171bf41ed3e4a5f808af2feb0c56263009", "sha256-"+index.Hex()+".sig", 1755764110),
			}},
			{File: "accessory_sbom_pushed_by_digest.default.json", State: gate.PushQueued, Pushes: []gate.Push{sbom}},
			{File: "delete_artifact.default.json", State: gate.PushQueued, Pushes: []gate.Push{{
				Kind: gate.PushDeleted, Host: "localhost", Repository: "harbor/alpine", Tag: "3.8",
				Digest:     "sha256:2bb501e6173d9d006e56de5bce2720eb06396803300fe1687b58a7ff32bf4c14",
				OccurredAt: time.Unix(1680502598, 0).UTC(), Actor: "harbor-jobservice",
			}}},
			{File: "pull_artifact.default.json", State: gate.PushNotActedOn, Pushes: ignored("a pull changes nothing; the policy in Harbor need not send it")},
			{File: "scanning_completed.default.json", State: gate.PushNotActedOn, Pushes: ignored("a scan by Harbor itself is not looked at")},
			{File: "scanning_completed.cloudevents.json", State: gate.PushNotActedOn, Pushes: ignored("a scan by Harbor itself is not looked at")},
			{File: "quota_exceed.default.json", State: gate.PushNotActedOn, Pushes: ignored("Harbor's quota is exceeded: it has not stored this artifact")},
			{File: "tag_retention.default.json", State: gate.PushNotActedOn, Pushes: ignored("a retention run sends a delete of its own for each artifact")},
			// An event of Harbor 1.x, which has a receiver of its own.
			{File: "malformed_resource_url_without_host.json", State: gate.PushNotActedOn, Pushes: ignored(`events of type "pushImage" are not known; Harbor 1.x sends them, which is type harbor-v1`)},
		},
	}
}

func TestReceiver(t *testing.T) { webhookstest.Run(t, suite()) }

func FuzzReceiver(f *testing.F) { webhookstest.Fuzz(f, suite()) }

func BenchmarkReceiver(b *testing.B) { webhookstest.Bench(b, suite()) }
