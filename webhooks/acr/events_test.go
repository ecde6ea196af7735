package acr_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/webhooks"
	"github.com/digestgate/digestgate/webhooks/acr"
	"github.com/digestgate/digestgate/webhooks/webhookstest"
)

func parse(t *testing.T, body string) ([]gate.Push, error) {
	t.Helper()
	return acr.Receiver().Parse(webhooks.Delivery{Body: []byte(body)})
}

// TestEventKinds walks every type of EventBridge that is documented.
func TestEventKinds(t *testing.T) {
	for name, want := range map[string]string{ // part of the reason; "" is a push
		"cr:Artifact:PushCompleted":            "",
		"cr:Artifact:BuildCompleted":           "did not succeed",
		"cr:Artifact:ScanCompleted":            "scan by the registry",
		"cr:Artifact:SigningCompleted":         "signature",
		"cr:Artifact:SynchronizationCompleted": "which images",
		"cr:Artifact:DeliveryChainCompleted":   "which images",
		"cr:ActionTrail:ApiCall":               "audit",
		"cr:ActionTrail:ConsoleOperation":      "audit",
		"cr:Artifact:pushcompleted":            "not known",
		"oss:ObjectCreated:PutObject":          "not known",
		"":                                     "no type",
	} {
		t.Run(strings.ReplaceAll(strings.ToLower(name), ":", "_"), func(t *testing.T) {
			got, err := parse(t, fmt.Sprintf(`{"specversion":"1.0","type":%q,"data":{"RepoNamespaceName":"a","RepoName":"b","Tag":"1","BuildStatus":"FAILED"}}`, name))
			if err != nil || len(got) != 1 {
				t.Fatalf("Parse: got %+v, %v, want one event", got, err)
			}
			if ignored := got[0].Kind == gate.PushIgnored; ignored != (want != "") || !strings.Contains(got[0].Reason, want) {
				t.Errorf("Parse: got %+v, want a reason with %q", got[0], want)
			}
		})
	}
}

func TestBodies(t *testing.T) {
	arrived := gate.Push{Kind: gate.PushArrived, Repository: "a/b", Tag: "1"}
	webhookstest.Bodies(t, acr.Receiver(), map[string]webhookstest.Body{
		"null":                  {Body: "null", Part: "push_data"},
		"empty_object":          {Body: "{}", Part: "push_data"},
		"another_registry":      {Body: `{"type":"PUSH_ARTIFACT","repository":{"repo_full_name":"a/b"}}`, Part: "push_data"},
		"tag_only":              {Body: `{"push_data":{"tag":"1"},"repository":{"repo_full_name":"a/b"}}`, Want: []gate.Push{arrived}},
		"event_without_digest":  {Body: `{"specversion":"1.0","type":"cr:Artifact:PushCompleted","data":{"RepoNamespaceName":"a","RepoName":"b","Tag":"1"}}`, Want: []gate.Push{arrived}},
		"event_of_no_namespace": {Body: `{"specversion":"1.0","type":"cr:Artifact:PushCompleted","data":{"RepoName":"b","Tag":"1"}}`, Part: "no repository"},
		"event_of_no_name":      {Body: `{"specversion":"1.0","type":"cr:Artifact:PushCompleted","data":{"RepoNamespaceName":"a","Tag":"1"}}`, Part: "no repository"},
	})
	webhookstest.Wrong(t, acr.Receiver(), `[]`, `{"push_data":[]}`, `{"push_data":{"digest":1}}`, `{"specversion":1}`, `{"push_data":{"tag":"a","Tag":"b"}}`)
}

// TestHostOfEvents: the default bus carries the events of every instance of an
// account; only those of the configured one are taken.
func TestHostOfEvents(t *testing.T) {
	body := func(instance, region string) string {
		return fmt.Sprintf(`{"specversion":"1.0","type":"cr:Artifact:PushCompleted","data":{"InstanceName":%q,"RegionId":%q,"RepoNamespaceName":"a","RepoName":"b","Tag":"1"}}`, instance, region)
	}
	for _, c := range []struct{ instance, region, want string }{
		{"demo", "cn-hangzhou", "demo-registry.cn-hangzhou.cr.aliyuncs.com"},
		{"other", "cn-beijing", "other-registry.cn-beijing.cr.aliyuncs.com"},
		{"", "cn-hangzhou", ""}, {"demo", "", ""},
	} {
		got, err := parse(t, body(c.instance, c.region))
		if err != nil || len(got) != 1 || got[0].Host != c.want {
			t.Errorf("Parse of instance %q in %q: got %+v, %v, want host %q", c.instance, c.region, got, err, c.want)
		}
	}
}
