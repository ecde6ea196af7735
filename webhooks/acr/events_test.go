package acr_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/webhooks"
	"github.com/digestgate/digestgate/webhooks/acr"
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
	for name, c := range map[string]struct {
		body string
		want *gate.Push
		part string // of the reason, where it is ignored
	}{
		"null":                  {body: "null", part: "push_data"},
		"empty_object":          {body: "{}", part: "push_data"},
		"another_registry":      {body: `{"type":"PUSH_ARTIFACT","repository":{"repo_full_name":"a/b"}}`, part: "push_data"},
		"tag_only":              {body: `{"push_data":{"tag":"1"},"repository":{"repo_full_name":"a/b"}}`, want: &arrived},
		"event_without_digest":  {body: `{"specversion":"1.0","type":"cr:Artifact:PushCompleted","data":{"RepoNamespaceName":"a","RepoName":"b","Tag":"1"}}`, want: &arrived},
		"event_of_no_namespace": {body: `{"specversion":"1.0","type":"cr:Artifact:PushCompleted","data":{"RepoName":"b","Tag":"1"}}`, part: "no repository"},
		"event_of_no_name":      {body: `{"specversion":"1.0","type":"cr:Artifact:PushCompleted","data":{"RepoNamespaceName":"a","Tag":"1"}}`, part: "no repository"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := parse(t, c.body)
			if err != nil || len(got) != 1 {
				t.Fatalf("Parse: got %+v, %v, want one event", got, err)
			}
			if c.want != nil {
				if diff := cmp.Diff(*c.want, got[0]); diff != "" {
					t.Errorf("Parse (-want +got):\n%s", diff)
				}
			} else if got[0].Kind != gate.PushIgnored || !strings.Contains(got[0].Reason, c.part) {
				t.Errorf("Parse: got %+v, want it ignored because of %q", got[0], c.part)
			}
		})
	}
	for _, body := range []string{`[]`, `{"push_data":[]}`, `{"push_data":{"digest":1}}`, `{"specversion":1}`, `{"push_data":{"tag":"a","Tag":"b"}}`} {
		if got, err := parse(t, body); !errors.Is(err, gate.ErrInvalid) {
			t.Errorf("Parse(%s): got %+v, %v, want ErrInvalid", body, got, err)
		}
	}
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
