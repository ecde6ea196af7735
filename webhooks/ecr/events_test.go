package ecr_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/webhooks"
	"github.com/digestgate/digestgate/webhooks/ecr"
	"github.com/digestgate/digestgate/webhooks/webhookstest"
)

func parse(t *testing.T, body string) gate.Push {
	t.Helper()
	got, err := ecr.Receiver().Parse(webhooks.Delivery{Body: []byte(body)})
	if err != nil || len(got) != 1 {
		t.Fatalf("Parse(%s): got %+v, %v, want one event", body, got, err)
	}
	return got[0]
}

// TestEventKinds walks every detail-type and what is inside.
func TestEventKinds(t *testing.T) {
	for _, c := range []struct {
		name, detailType, action, result, sync string
		want                                   gate.PushKind
		part                                   string // of the reason
	}{
		{"push", "ECR Image Action", "PUSH", "SUCCESS", "", gate.PushArrived, ""},
		{"push_failed", "ECR Image Action", "PUSH", "FAILURE", "", gate.PushIgnored, "did not succeed"},
		{"delete", "ECR Image Action", "DELETE", "SUCCESS", "", gate.PushDeleted, ""},
		{"delete_failed", "ECR Image Action", "DELETE", "FAILURE", "", gate.PushIgnored, "did not succeed"},
		{"storage", "ECR Image Action", "UPDATE_STORAGE_CLASS", "SUCCESS", "", gate.PushIgnored, "storage class"},
		{"other_action", "ECR Image Action", "COPY", "SUCCESS", "", gate.PushIgnored, "not known"},
		{"no_action", "ECR Image Action", "", "SUCCESS", "", gate.PushIgnored, "not known"},
		{"replication", "ECR Replication Action", "REPLICATE", "SUCCESS", "", gate.PushArrived, ""},
		{"replication_failed", "ECR Replication Action", "REPLICATE", "FAILED", "", gate.PushIgnored, "did not succeed"},
		{"replication_other", "ECR Replication Action", "DELETE", "SUCCESS", "", gate.PushIgnored, "not known"},
		{"cache", "ECR Pull Through Cache Action", "", "", "SUCCESS", gate.PushArrived, ""},
		{"cache_failed", "ECR Pull Through Cache Action", "", "SUCCESS", "FAILED", gate.PushIgnored, "did not succeed"},
		{"scan", "ECR Image Scan", "", "", "", gate.PushIgnored, "scan"},
		{"scan_resource", "ECR Scan Resource Change", "", "", "", gate.PushIgnored, "scan"},
		{"referrer", "ECR Referrer Action", "PUSH", "SUCCESS", "", gate.PushIgnored, "signature"},
		{"artifact", "ECR Artifact Action", "PUSH", "SUCCESS", "", gate.PushIgnored, "no image"},
		{"other", "EC2 Instance State-change Notification", "", "", "", gate.PushIgnored, "not known"},
		{"none", "", "PUSH", "SUCCESS", "", gate.PushIgnored, "no detail-type"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := parse(t, fmt.Sprintf(`{"detail-type":%q,"account":"1","region":"r","detail":{"action-type":%q,"result":%q,"sync-status":%q,"repository-name":"a/b","image-digest":%q}}`,
				c.detailType, c.action, c.result, c.sync, app))
			if got.Kind != c.want || (c.part == "") != (got.Reason == "") || !strings.Contains(got.Reason, c.part) {
				t.Errorf("Parse: got %+v, want %s because of %q", got, c.want, c.part)
			}
		})
	}
}

// TestHosts: what names no registry is not acted on, least of all as the
// configured one.
func TestHosts(t *testing.T) {
	event := func(account, region string) string {
		return fmt.Sprintf(`{"detail-type":"ECR Image Action","account":%q,"region":%q,"detail":{"action-type":"PUSH","result":"SUCCESS","repository-name":"a/b","image-tag":"1"}}`, account, region)
	}
	cloudEvent := func(kind, source string) string {
		return fmt.Sprintf(`{"specversion":"1.0","type":%q,"source":%q,"data":{"repositoryName":"a/b","imageTag":"1"}}`, kind, source)
	}
	const push = "com.amazon.ecr.image.push"
	for name, c := range map[string]struct{ body, host, part string }{
		"global":          {body: event("123456789012", "eu-central-1"), host: "123456789012.dkr.ecr.eu-central-1.amazonaws.com"},
		"china":           {body: event("123456789012", "cn-north-1"), host: "123456789012.dkr.ecr.cn-north-1.amazonaws.com.cn"},
		"no_account":      {body: event("", "eu-central-1"), part: "no account"},
		"no_region":       {body: event("123456789012", ""), part: "no account and region"},
		"cloud_event":     {body: cloudEvent(push, "urn:aws:ecr:cn-north-1:123456789012:repository/a/b"), host: "123456789012.dkr.ecr.cn-north-1.amazonaws.com.cn"},
		"other_source":    {body: cloudEvent(push, "urn:aws:s3:eu-central-1:123456789012:bucket"), part: "source"},
		"short_source":    {body: cloudEvent(push, "urn:aws:ecr:eu-central-1"), part: "source"},
		"no_source":       {body: cloudEvent(push, ""), part: "source"},
		"source_no_owner": {body: cloudEvent(push, "urn:aws:ecr:eu-central-1::repository/a"), part: "source"},
		"other_type":      {body: cloudEvent("com.amazon.ecr.image.pull", "urn:aws:ecr:r:1:repository/a/b"), part: "not known"},
		"null":            {body: `null`, part: "no detail-type"},
	} {
		t.Run(name, func(t *testing.T) {
			got := parse(t, c.body)
			if got.Host != c.host || (c.part != "") != (got.Kind == gate.PushIgnored) || !strings.Contains(got.Reason, c.part) {
				t.Errorf("Parse: got %+v, want host %q, ignored because of %q", got, c.host, c.part)
			}
		})
	}
}

func TestWrongTypesAreErrors(t *testing.T) {
	webhookstest.Wrong(t, ecr.Receiver(), `[]`, `{"detail-type":1}`, `{"detail":[]}`, `{"detail":{"image-digest":1}}`, `{"account":123456789012}`, `{"data":[]}`)
}
