package acr_test

import (
	"testing"
	"time"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/webhooks/acr"
	"github.com/digestgate/digestgate/webhooks/webhookstest"
)

const app = gate.Digest("sha256:94419b99b12c11133a4dfeccc3e17885974beb48f7827c48239aabfbcad238d8")

func suite() webhookstest.Suite {
	china := time.FixedZone("", 8*60*60)
	return webhookstest.Suite{
		Receiver: acr.Receiver(),
		Registry: gate.Registry{
			Name: "acr-prod", Type: "acr", Host: "demo-registry-vpc.cn-hangzhou.cr.aliyuncs.com",
			Aliases: []string{"demo-registry.cn-hangzhou.cr.aliyuncs.com", "sirong-tongbu-hangzhou-registry.cn-hangzhou.cr.aliyuncs.com"},
		},
		Dir: "testdata", // a trigger names no host; see TestHostOfEvents
		Cases: []webhookstest.Case{
			{File: "push_tag.json", State: gate.PushQueued, Pushes: []gate.Push{{
				Kind: gate.PushArrived, Repository: "team-a/app", Digest: app, Tag: "v1",
			}}},
			{File: "push.json", State: gate.PushNotActedOn, Pushes: []gate.Push{{ // no repository has capitals
				Kind: gate.PushArrived, Repository: "namespace/repoTest", Tag: "latest",
				Digest: "sha256:457f4aa83fc9a6663ab9d1b0a6e2dce25a12a943ed5bf2c1747c58d48bbb4917",
			}}},
			{File: "eventbridge_push_completed.json", State: gate.PushQueued, Pushes: []gate.Push{{
				Kind: gate.PushArrived, Host: "demo-registry.cn-hangzhou.cr.aliyuncs.com", Repository: "team-a/app", Digest: app, Tag: "v1",
				EventID: "45ef4dewdwe1-7c35-447a-bd93-fab00000", OccurredAt: time.Date(2026, 8, 20, 21, 4, 41, 0, china),
			}}},
			{File: "eventbridge_build_completed.json", State: gate.PushQueued, Pushes: []gate.Push{{
				Kind: gate.PushArrived, Host: "sirong-tongbu-hangzhou-registry.cn-hangzhou.cr.aliyuncs.com", Repository: "scan/mix-vuls", Tag: "mix-vuls",
				EventID: "45ef4dewdwe1-7c35-447a-bd93-fab****", OccurredAt: time.Date(2020, 11, 19, 21, 4, 41, 0, china),
			}}},
		},
	}
}

func TestReceiver(t *testing.T) { webhookstest.Run(t, suite()) }

func FuzzReceiver(f *testing.F) { webhookstest.Fuzz(f, suite()) }

func BenchmarkReceiver(b *testing.B) { webhookstest.Bench(b, suite()) }
