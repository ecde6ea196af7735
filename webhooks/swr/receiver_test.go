package swr_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/webhooks"
	"github.com/digestgate/digestgate/webhooks/swr"
	"github.com/digestgate/digestgate/webhooks/webhookstest"
)

const (
	host  = "myinstance-abc123.swr-pro.myhuaweicloud.com"
	nginx = gate.Digest("sha256:74c83db3a468bf3726fd9c9d0257113fe51ec3c4f21acca63d60a0bbf1846427")
)

func suite() webhookstest.Suite {
	return webhookstest.Suite{
		Receiver:   swr.Receiver(),
		Registry:   gate.Registry{Name: "swr", Type: "swr", Host: host},
		HostInBody: true,
		Dir:        "testdata",
		Cases: []webhookstest.Case{
			{File: "enterprise_push_artifact.json", State: gate.PushQueued, Pushes: []gate.Push{{
				Kind: gate.PushArrived, Host: host, Repository: "library1/nginx-demo", Digest: nginx, Tag: "v1",
				OccurredAt: time.Unix(1755764100, 0).UTC(), Actor: "iam-user-name",
			}}},
			{File: "eventgrid_envelope_example_obs.json", State: gate.PushNotActedOn, Pushes: []gate.Push{
				gate.Ignored("not an event of SWR: it has no type"),
			}},
		},
	}
}

func TestReceiver(t *testing.T) { webhookstest.Run(t, suite()) }

func FuzzReceiver(f *testing.F) { webhookstest.Fuzz(f, suite()) }

func BenchmarkReceiver(b *testing.B) { webhookstest.Bench(b, suite()) }

// TestWithoutHost: no source confirms that resource_url is sent. What is there
// and wrong still counts.
func TestWithoutHost(t *testing.T) {
	const body = `{"type":"PUSH_ARTIFACT","event_data":{"resources":[{"digest":"` + string(nginx) + `","tag":"v1","resource_url":"URL"}],"repository":{"repo_full_name":"library1/nginx-demo"}}}`
	arrived := gate.Push{Kind: gate.PushArrived, Repository: "library1/nginx-demo", Digest: nginx, Tag: "v1"}
	for url, want := range map[string]gate.PushKind{
		"": gate.PushArrived, "evil.example/other:v1": gate.PushIgnored, "library1/nginx-demo": gate.PushIgnored,
	} {
		got, err := swr.Receiver().Parse(webhooks.Delivery{Body: []byte(strings.Replace(body, "URL", url, 1))})
		if err != nil || len(got) != 1 || got[0].Kind != want {
			t.Errorf("resource_url %q: got %+v, %v, want %s", url, got, err, want)
		}
		if want == gate.PushArrived {
			if diff := cmp.Diff([]gate.Push{arrived}, got); diff != "" {
				t.Errorf("resource_url %q (-want +got):\n%s", url, diff)
			}
		}
	}
}
