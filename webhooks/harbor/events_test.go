package harbor_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/webhooks"
	"github.com/digestgate/digestgate/webhooks/harbor"
	"github.com/digestgate/digestgate/webhooks/webhookstest"
)

func parse(t *testing.T, body string) ([]gate.Push, error) {
	t.Helper()
	return harbor.Receiver().Parse(webhooks.Delivery{Body: []byte(body)})
}

// TestEventKinds walks every kind that Harbor documents or has sent, in both
// formats.
func TestEventKinds(t *testing.T) {
	acted := map[string]gate.PushKind{
		"PUSH_ARTIFACT": gate.PushArrived, "harbor.artifact.pushed": gate.PushArrived,
		"DELETE_ARTIFACT": gate.PushDeleted, "harbor.artifact.deleted": gate.PushDeleted,
	}
	ignored := []string{
		"PULL_ARTIFACT", "SCANNING_COMPLETED", "SCANNING_FAILED", "SCANNING_STOPPED", "QUOTA_EXCEED", "QUOTA_WARNING", "REPLICATION",
		"TAG_RETENTION", "UPLOAD_CHART", "DOWNLOAD_CHART", "DELETE_CHART",
		"harbor.artifact.pulled", "harbor.scan.completed", "harbor.scan.failed", "harbor.scan.stopped", "harbor.quota.exceeded",
		"harbor.quota.warned", "harbor.replication.status.changed", "harbor.tag_retention.finished",
		"push_artifact", "pushImage", "anything.new", "",
	}
	for _, kind := range ignored {
		acted[kind] = gate.PushIgnored
	}
	data := fmt.Sprintf(`{"resources":[{"digest":%q,"tag":"1.0","resource_url":"harbor.example.com/a/b:1.0"}],"repository":{"repo_full_name":"a/b"}}`, alpine)
	for kind, want := range acted {
		t.Run(strings.NewReplacer(".", "_", " ", "_").Replace(strings.ToLower(kind)), func(t *testing.T) {
			for _, body := range []string{
				fmt.Sprintf(`{"type":%q,"event_data":%s}`, kind, data),
				fmt.Sprintf(`{"specversion":"1.0","type":%q,"data":%s}`, kind, data),
			} {
				pushes, err := parse(t, body)
				if err != nil || len(pushes) != 1 || pushes[0].Kind != want {
					t.Fatalf("Parse(%s): got %+v, %v, want one %s", body, pushes, err, want)
				}
				if want == gate.PushIgnored && pushes[0].Reason == "" {
					t.Error("no reason is given")
				}
			}
		})
	}
}

func TestBodies(t *testing.T) {
	push := func(resources, repository string) string {
		return fmt.Sprintf(`{"type":"PUSH_ARTIFACT","event_data":{"resources":%s,"repository":{"repo_full_name":%q}}}`, resources, repository)
	}
	arrived := func(tag string) gate.Push {
		return gate.Push{Kind: gate.PushArrived, Host: "h:8443", Repository: "a/b", Digest: alpine, Tag: tag}
	}
	webhookstest.Bodies(t, harbor.Receiver(), map[string]webhookstest.Body{
		"test_button":       {Body: " \n", Part: "test button"},
		"null":              {Body: "null", Part: "no type"},
		"empty_object":      {Body: "{}", Part: "no type"},
		"resources_null":    {Body: push("null", "a/b"), Part: "names no artifact"},
		"resources_empty":   {Body: push("[]", "a/b"), Part: "names no artifact"},
		"resource_null":     {Body: push("[null]", "a/b"), Part: "resource_url"},
		"event_data_null":   {Body: `{"type":"PUSH_ARTIFACT","event_data":null}`, Part: "names no artifact"},
		"no_repository":     {Body: push(`[{"resource_url":"h:8443/a/b:1"}]`, ""), Part: "resource_url"},
		"no_host":           {Body: push(`[{"tag":"1","resource_url":"a/b"}]`, "a/b"), Part: "resource_url"},
		"empty_host":        {Body: push(`[{"tag":"1","resource_url":"/a/b:1"}]`, "a/b"), Part: "resource_url"},
		"other_repository":  {Body: push(`[{"tag":"1","resource_url":"h/evil:1"}]`, "a/b"), Part: "resource_url"},
		"longer_repository": {Body: push(`[{"tag":"1","resource_url":"h/a/bc:1"}]`, "a/b"), Part: "resource_url"},
		"digest_by_colon": { // Harbor 2.0.0 to 2.1.0
			Body: push(fmt.Sprintf(`[{"digest":%[1]q,"tag":%[1]q,"resource_url":"h:8443/a/b:%[1]s"}]`, alpine), "a/b"),
			Want: []gate.Push{arrived("")},
		},
		"several_resources": {
			Body: push(fmt.Sprintf(`[{"digest":%[1]q,"tag":"1","resource_url":"h:8443/a/b:1"},{"digest":%[1]q,"tag":"2","resource_url":"h:8443/a/b:2"}]`, alpine), "a/b"),
			Want: []gate.Push{arrived("1"), arrived("2")},
		},
		"shown_fields_of_other_types": {
			Body: fmt.Sprintf(`{"type":"PUSH_ARTIFACT","occur_at":"yesterday","operator":{"id":1},"event_data":{"resources":[{"digest":%q,"tag":"1","resource_url":"h:8443/a/b:1"}],"repository":{"repo_full_name":"a/b"}}}`, alpine),
			Want: []gate.Push{arrived("1")},
		},
		"same_key_in_free_data": {
			Body: fmt.Sprintf(`{"type":"PUSH_ARTIFACT","event_data":{"custom_attributes":{"Owner":"a","owner":"b"},"resources":[{"digest":%q,"tag":"1","resource_url":"h:8443/a/b:1"}],"repository":{"repo_full_name":"a/b"}}}`, alpine),
			Want: []gate.Push{arrived("1")},
		},
	})
}

func TestWrongTypesAreErrors(t *testing.T) {
	webhookstest.Wrong(t, harbor.Receiver(),
		`[]`, `"PUSH_ARTIFACT"`, `{"type":1}`, `{"type":"PUSH_ARTIFACT","event_data":[]}`,
		`{"type":"PUSH_ARTIFACT","event_data":{"resources":{}}}`,
		`{"type":"PUSH_ARTIFACT","event_data":{"resources":[{"digest":1}]}}`,
		`{"type":"PUSH_ARTIFACT","event_data":{"resources":[{"digest":"a","Digest":"b"}]}}`,
	)
}
