package dockerhub_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/webhooks"
	"github.com/digestgate/digestgate/webhooks/dockerhub"
)

func TestBodies(t *testing.T) {
	push := func(repository string) gate.Push {
		return gate.Push{Kind: gate.PushArrived, Repository: repository, Tag: "1"}
	}
	for name, c := range map[string]struct {
		body string
		want gate.Push
		part string // of the reason, where it is ignored
	}{
		"null":              {body: `null`, part: "both a repository and a tag"},
		"empty":             {body: `{}`, part: "both a repository and a tag"},
		"no_tag":            {body: `{"push_data":{},"repository":{"repo_name":"a/b"}}`, part: "both a repository and a tag"},
		"no_repository":     {body: `{"push_data":{"tag":"1"}}`, part: "both a repository and a tag"},
		"chart":             {body: `{"push_data":{"tag":"1","media_type":"application/vnd.cncf.helm.config.v1+json"},"repository":{"repo_name":"a/b"}}`, part: "charts"},
		"image":             {body: `{"push_data":{"tag":"1","media_type":"application/vnd.oci.image.config.v1+json"},"repository":{"repo_name":"a/b"}}`, want: push("a/b")},
		"official":          {body: `{"push_data":{"tag":"1"},"repository":{"repo_name":"debian"}}`, want: push("library/debian")},
		"shown_of_any_kind": {body: `{"push_data":{"tag":"1","pushed_at":"now","pusher":[],"media_type":1},"repository":{"repo_name":"a/b"}}`, want: push("a/b")},
		// Neither is a host of ours, whatever it says, and nothing is called.
		"urls": {body: `{"callback_url":"http://169.254.169.254/","push_data":{"tag":"1"},"repository":{"repo_name":"a/b","repo_url":"https://evil.example/a/b"}}`, want: push("a/b")},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := dockerhub.Receiver().Parse(webhooks.Delivery{Body: []byte(c.body)})
			if err != nil || len(got) != 1 {
				t.Fatalf("Parse: got %+v, %v, want one event", got, err)
			}
			if c.part != "" {
				if got[0].Kind != gate.PushIgnored || !strings.Contains(got[0].Reason, c.part) {
					t.Errorf("Parse: got %+v, want it ignored because of %q", got[0], c.part)
				}
				return
			}
			if diff := cmp.Diff(c.want, got[0]); diff != "" {
				t.Errorf("Parse (-want +got):\n%s", diff)
			}
		})
	}
	for _, body := range []string{`[]`, `{"push_data":[]}`, `{"push_data":{"tag":1}}`, `{"repository":{"repo_name":1}}`} {
		if got, err := dockerhub.Receiver().Parse(webhooks.Delivery{Body: []byte(body)}); !errors.Is(err, gate.ErrInvalid) {
			t.Errorf("Parse(%s): got %+v, %v, want ErrInvalid", body, got, err)
		}
	}
}
