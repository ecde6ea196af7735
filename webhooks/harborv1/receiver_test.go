package harborv1_test

import (
	"testing"
	"time"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/webhooks/harborv1"
	"github.com/digestgate/digestgate/webhooks/webhookstest"
)

const centos = gate.Digest("sha256:a36b9e68613d07eec4ef553da84d0012a5ca5ae4a830cf825bb68b929475c869")

func suite() webhookstest.Suite {
	return webhookstest.Suite{
		Receiver:   harborv1.Receiver(),
		Registry:   gate.Registry{Name: "old-harbor", Type: "harbor-v1", Host: "harbor.sunvalley.com.cn"},
		HostInBody: true,
		Dir:        "testdata",
		Cases: []webhookstest.Case{
			{File: "push_image.json", State: gate.PushQueued, Pushes: []gate.Push{{
				Kind: gate.PushArrived, Host: "harbor.sunvalley.com.cn", Repository: "library/centos", Digest: centos, Tag: "7",
				OccurredAt: time.Unix(1572414199, 0).UTC(), Actor: "robot$library-robot",
			}}},
			{File: "docs_wrong_shape.json", State: gate.PushNotActedOn, Pushes: []gate.Push{
				gate.Ignored("not an event of Harbor 1.x: it has no type"),
			}},
		},
	}
}

func TestReceiver(t *testing.T) { webhookstest.Run(t, suite()) }

func FuzzReceiver(f *testing.F) { webhookstest.Fuzz(f, suite()) }

func BenchmarkReceiver(b *testing.B) { webhookstest.Bench(b, suite()) }

func TestEvents(t *testing.T) {
	event := func(kind, resources string) string {
		return `{"type":"` + kind + `","event_data":{"resources":` + resources + `,"repository":{"repo_full_name":"library/centos"}}}`
	}
	image := func(kind gate.PushKind, digest gate.Digest, tag string) gate.Push {
		return gate.Push{Kind: kind, Host: "h", Repository: "library/centos", Digest: digest, Tag: tag}
	}
	const two = `[{"tag":"7","resource_url":"h/library/centos:7"},{"digest":"` + string(centos) + `","tag":"8","resource_url":"h/library/centos:8"}]`
	nothing := gate.Ignored("the event names neither a digest nor a tag")
	nothing.Repository = "library/centos"
	webhookstest.Bodies(t, harborv1.Receiver(), map[string]webhookstest.Body{
		"test_button":        {Body: "", Want: []gate.Push{gate.Ignored("the body is empty, as Harbor's test button sends it")}},
		"test_endpoint":      {Body: event("testEndpoint", "null"), Want: []gate.Push{gate.Ignored("the test button names no image")}},
		"pull":               {Body: event("pullImage", two), Want: []gate.Push{gate.Ignored("a pull changes nothing; the webhook need not send it")}},
		"chart":              {Body: event("uploadChart", two), Want: []gate.Push{gate.Ignored("charts are not images")}},
		"scan":               {Body: event("scanningFailed", two), Want: []gate.Push{gate.Ignored("a scan by the registry itself is not looked at")}},
		"name_of_version_2":  {Body: event("PUSH_ARTIFACT", two), Want: []gate.Push{gate.Ignored(`events of type "PUSH_ARTIFACT" are not known; Harbor 2.x sends them, which is type harbor`)}},
		"resources_null":     {Body: event("pushImage", "null"), Want: []gate.Push{gate.Ignored("the event names no artifact")}},
		"no_cloud_events":    {Body: `{"specversion":"1.0","type":"pushImage","data":{"resources":` + two + `,"repository":{"repo_full_name":"library/centos"}}}`, Want: []gate.Push{gate.Ignored("the event names no artifact")}},
		"delete_several":     {Body: event("deleteImage", two), Want: []gate.Push{image(gate.PushDeleted, "", "7"), image(gate.PushDeleted, centos, "8")}},
		"neither_of_the_two": {Body: event("pushImage", `[{"resource_url":"h/library/centos"}]`), Want: []gate.Push{nothing}},
		"digest_without_a_tag": {Body: event("pushImage", `[{"digest":"`+string(centos)+`","resource_url":"h/library/centos"}]`),
			Want: []gate.Push{image(gate.PushArrived, centos, "")}},
	})
}
