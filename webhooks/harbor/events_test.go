package harbor_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/webhooks"
	"github.com/digestgate/digestgate/webhooks/harbor"
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
	for name, c := range map[string]struct {
		body string
		want []gate.Push
		part string // of the reason, where it is ignored
	}{
		"test_button":       {body: " \n", part: "test button"},
		"null":              {body: "null", part: "no type"},
		"empty_object":      {body: "{}", part: "no type"},
		"resources_null":    {body: push("null", "a/b"), part: "names no artifact"},
		"resources_empty":   {body: push("[]", "a/b"), part: "names no artifact"},
		"resource_null":     {body: push("[null]", "a/b"), part: "resource_url"},
		"event_data_null":   {body: `{"type":"PUSH_ARTIFACT","event_data":null}`, part: "names no artifact"},
		"no_repository":     {body: push(`[{"resource_url":"h:8443/a/b:1"}]`, ""), part: "resource_url"},
		"no_host":           {body: push(`[{"tag":"1","resource_url":"a/b"}]`, "a/b"), part: "resource_url"},
		"empty_host":        {body: push(`[{"tag":"1","resource_url":"/a/b:1"}]`, "a/b"), part: "resource_url"},
		"other_repository":  {body: push(`[{"tag":"1","resource_url":"h/evil:1"}]`, "a/b"), part: "resource_url"},
		"longer_repository": {body: push(`[{"tag":"1","resource_url":"h/a/bc:1"}]`, "a/b"), part: "resource_url"},
		"digest_by_colon": { // Harbor 2.0.0 to 2.1.0
			body: push(fmt.Sprintf(`[{"digest":%[1]q,"tag":%[1]q,"resource_url":"h:8443/a/b:%[1]s"}]`, alpine), "a/b"),
			want: []gate.Push{arrived("")},
		},
		"several_resources": {
			body: push(fmt.Sprintf(`[{"digest":%[1]q,"tag":"1","resource_url":"h:8443/a/b:1"},{"digest":%[1]q,"tag":"2","resource_url":"h:8443/a/b:2"}]`, alpine), "a/b"),
			want: []gate.Push{arrived("1"), arrived("2")},
		},
		"shown_fields_of_other_types": {
			body: fmt.Sprintf(`{"type":"PUSH_ARTIFACT","occur_at":"yesterday","operator":{"id":1},"event_data":{"resources":[{"digest":%q,"tag":"1","resource_url":"h:8443/a/b:1"}],"repository":{"repo_full_name":"a/b"}}}`, alpine),
			want: []gate.Push{arrived("1")},
		},
		"same_key_in_free_data": {
			body: fmt.Sprintf(`{"type":"PUSH_ARTIFACT","event_data":{"custom_attributes":{"Owner":"a","owner":"b"},"resources":[{"digest":%q,"tag":"1","resource_url":"h:8443/a/b:1"}],"repository":{"repo_full_name":"a/b"}}}`, alpine),
			want: []gate.Push{arrived("1")},
		},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := parse(t, c.body)
			if err != nil {
				t.Fatal(err)
			}
			if c.part == "" {
				if diff := cmp.Diff(c.want, got); diff != "" {
					t.Errorf("Parse (-want +got):\n%s", diff)
				}
				return
			}
			if len(got) != 1 || got[0].Kind != gate.PushIgnored || !strings.Contains(got[0].Reason, c.part) {
				t.Errorf("Parse: got %+v, want it ignored because of %q", got, c.part)
			}
		})
	}
}

func TestWrongTypesAreErrors(t *testing.T) {
	for _, body := range []string{
		`[]`, `"PUSH_ARTIFACT"`, `{"type":1}`, `{"type":"PUSH_ARTIFACT","event_data":[]}`,
		`{"type":"PUSH_ARTIFACT","event_data":{"resources":{}}}`,
		`{"type":"PUSH_ARTIFACT","event_data":{"resources":[{"digest":1}]}}`,
		`{"type":"PUSH_ARTIFACT","event_data":{"resources":[{"digest":"a","Digest":"b"}]}}`,
	} {
		if got, err := parse(t, body); !errors.Is(err, gate.ErrInvalid) {
			t.Errorf("Parse(%s): got %+v, %v, want ErrInvalid", body, got, err)
		}
	}
}
