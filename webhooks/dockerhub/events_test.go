package dockerhub_test

import (
	"testing"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/webhooks/dockerhub"
	"github.com/digestgate/digestgate/webhooks/webhookstest"
)

func TestBodies(t *testing.T) {
	push := func(repository string) gate.Push {
		return gate.Push{Kind: gate.PushArrived, Repository: repository, Tag: "1"}
	}
	webhookstest.Bodies(t, dockerhub.Receiver(), map[string]webhookstest.Body{
		"null":              {Body: `null`, Part: "both a repository and a tag"},
		"empty":             {Body: `{}`, Part: "both a repository and a tag"},
		"no_tag":            {Body: `{"push_data":{},"repository":{"repo_name":"a/b"}}`, Part: "both a repository and a tag"},
		"no_repository":     {Body: `{"push_data":{"tag":"1"}}`, Part: "both a repository and a tag"},
		"chart":             {Body: `{"push_data":{"tag":"1","media_type":"application/vnd.cncf.helm.config.v1+json"},"repository":{"repo_name":"a/b"}}`, Part: "charts"},
		"image":             {Body: `{"push_data":{"tag":"1","media_type":"application/vnd.oci.image.config.v1+json"},"repository":{"repo_name":"a/b"}}`, Want: []gate.Push{push("a/b")}},
		"official":          {Body: `{"push_data":{"tag":"1"},"repository":{"repo_name":"debian"}}`, Want: []gate.Push{push("library/debian")}},
		"shown_of_any_kind": {Body: `{"push_data":{"tag":"1","pushed_at":"now","pusher":[],"media_type":1},"repository":{"repo_name":"a/b"}}`, Want: []gate.Push{push("a/b")}},
		// Neither is a host of ours, whatever it says, and nothing is called.
		"urls": {Body: `{"callback_url":"http://169.254.169.254/","push_data":{"tag":"1"},"repository":{"repo_name":"a/b","repo_url":"https://evil.example/a/b"}}`, Want: []gate.Push{push("a/b")}},
	})
	webhookstest.Wrong(t, dockerhub.Receiver(), `[]`, `{"push_data":[]}`, `{"push_data":{"tag":1}}`, `{"repository":{"repo_name":1}}`)
}
