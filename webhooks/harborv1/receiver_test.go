package harborv1_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/webhooks"
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
	for name, c := range map[string]struct {
		body string
		want []gate.Push
	}{
		"test_button":        {"", []gate.Push{gate.Ignored("the body is empty, as Harbor's test button sends it")}},
		"test_endpoint":      {event("testEndpoint", "null"), []gate.Push{gate.Ignored("the test button names no image")}},
		"pull":               {event("pullImage", two), []gate.Push{gate.Ignored("a pull changes nothing; the webhook need not send it")}},
		"chart":              {event("uploadChart", two), []gate.Push{gate.Ignored("charts are not images")}},
		"scan":               {event("scanningFailed", two), []gate.Push{gate.Ignored("a scan by the registry itself is not looked at")}},
		"name_of_version_2":  {event("PUSH_ARTIFACT", two), []gate.Push{gate.Ignored(`events of type "PUSH_ARTIFACT" are not known`)}},
		"resources_null":     {event("pushImage", "null"), []gate.Push{gate.Ignored("the event names no artifact")}},
		"no_cloud_events":    {`{"specversion":"1.0","type":"pushImage","data":{"resources":` + two + `,"repository":{"repo_full_name":"library/centos"}}}`, []gate.Push{gate.Ignored("the event names no artifact")}},
		"delete_several":     {event("deleteImage", two), []gate.Push{image(gate.PushDeleted, "", "7"), image(gate.PushDeleted, centos, "8")}},
		"neither_of_the_two": {event("pushImage", `[{"resource_url":"h/library/centos"}]`), []gate.Push{nothing}},
		"digest_without_a_tag": {event("pushImage", `[{"digest":"`+string(centos)+`","resource_url":"h/library/centos"}]`),
			[]gate.Push{image(gate.PushArrived, centos, "")}},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := harborv1.Receiver().Parse(webhooks.Delivery{Body: []byte(c.body)})
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("Parse(%s) (-want +got):\n%s", c.body, diff)
			}
		})
	}
}
