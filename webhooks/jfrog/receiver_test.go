package jfrog_test

import (
	"testing"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/webhooks/jfrog"
	"github.com/digestgate/digestgate/webhooks/webhookstest"
)

const (
	busybox = gate.Digest("sha256:2278daae78b8899e6c7192a8a6f49763b9e0cde6fcf94de34f115df4401b955f")
	ubuntu  = gate.Digest("sha256:35c4a2c15539c6c1e4e5fa4e554dac323ad0107d8eb5c582d6ff386b383b7dce")
)

func suite() webhookstest.Suite {
	return webhookstest.Suite{
		Receiver: jfrog.Receiver(),
		Registry: gate.Registry{
			Name: "artifactory", Type: "jfrog", Host: "trial30g6c2.jfrog.io",
			Aliases: []string{"example.jfrog.io"}, // in a sample of JFrog's documentation
		},
		HostInBody: true,
		Dir:        "testdata",
		Cases: []webhookstest.Case{
			{File: "docker_pushed.json", State: gate.PushQueued, Pushes: []gate.Push{{
				Kind: gate.PushArrived, Host: "trial30g6c2.jfrog.io", Repository: "test-repo/foo/bar/busybox",
				Digest: busybox, Tag: "latest", Actor: "jfrog/jfrt@01jzq1wpac4msw1djjwqwh09w0",
			}}},
			{File: "docker_pushed_multiarch_remote_cache.json", State: gate.PushQueued, Pushes: []gate.Push{{
				Kind: gate.PushArrived, Host: "example.jfrog.io", Repository: "docker-remote-cache/library/ubuntu",
				Digest: ubuntu, Tag: "latest", Actor: "jfrog/user@example.com",
			}}},
			{File: "docker_pushed_test_button_dummy.json", State: gate.PushNotActedOn, Pushes: []gate.Push{
				gate.Ignored("the sample that Artifactory's test button sends names no image"),
			}},
			{File: "docker_promoted_dummy.json", State: gate.PushNotActedOn, Pushes: []gate.Push{
				gate.Ignored("the sample that Artifactory's test button sends names no image"),
			}},
			{File: "artifact_deployed.json", State: gate.PushNotActedOn, Pushes: []gate.Push{
				gate.Ignored(`events of domain "artifact" are not looked at; the webhook in Artifactory should send those of domain docker`),
			}},
		},
	}
}

func TestReceiver(t *testing.T) { webhookstest.Run(t, suite()) }

func FuzzReceiver(f *testing.F) { webhookstest.Fuzz(f, suite()) }

func BenchmarkReceiver(b *testing.B) { webhookstest.Bench(b, suite()) }
