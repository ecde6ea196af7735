package tcr_test

import (
	"testing"
	"time"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/webhooks"
	"github.com/digestgate/digestgate/webhooks/tcr"
	"github.com/digestgate/digestgate/webhooks/webhookstest"
)

func suite() webhookstest.Suite {
	nginx := gate.Push{
		Kind: gate.PushArrived, Host: "demo-bj.tencentcloudcr.com", Repository: "public/nginx", Tag: "v1.10.0",
		Digest:     "sha256:1fde0b02049a9bea6fc97de3047c83fc6c72865e6a0f02fed5c1b5327fd69ca6",
		OccurredAt: time.Unix(1589106605, 0).UTC(), Actor: "100001234567",
	}
	gone := nginx
	gone.Kind = gate.PushDeleted
	return webhookstest.Suite{
		Receiver:   tcr.Receiver(),
		Registry:   gate.Registry{Name: "tcr", Type: "tcr", Host: "demo-bj.tencentcloudcr.com"},
		HostInBody: true,
		Dir:        "testdata",
		Cases: []webhookstest.Case{
			{File: "push_image.json", State: gate.PushQueued, Pushes: []gate.Push{nginx}},
			{File: "delete_image.json", State: gate.PushQueued, Pushes: []gate.Push{gone}},
		},
	}
}

func TestReceiver(t *testing.T) { webhookstest.Run(t, suite()) }

func FuzzReceiver(f *testing.F) { webhookstest.Fuzz(f, suite()) }

func BenchmarkReceiver(b *testing.B) { webhookstest.Bench(b, suite()) }

func TestIgnoredEvents(t *testing.T) {
	for _, kind := range []string{"pullImage", "chartPush", "chartPull", "chartDelete", "uploadChart", "testEndpoint", "PUSH_ARTIFACT", "", "anything"} {
		t.Run(kind, func(t *testing.T) {
			body := `{"type":"` + kind + `","event_data":{"resources":[{"tag":"1","resource_url":"demo-bj.tencentcloudcr.com/a/b:1"}],"repository":{"repo_full_name":"a/b"}}}`
			got, err := tcr.Receiver().Parse(webhooks.Delivery{Body: []byte(body)})
			if err != nil || len(got) != 1 || got[0].Kind != gate.PushIgnored || got[0].Reason == "" {
				t.Errorf("Parse(%s): got %+v, %v, want it ignored for a reason", body, got, err)
			}
		})
	}
}
