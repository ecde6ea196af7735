package distribution_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/webhooks"
	"github.com/digestgate/digestgate/webhooks/distribution"
	"github.com/digestgate/digestgate/webhooks/webhookstest"
)

const alpine = gate.Digest("sha256:954b378c375d852eb3c63ab88978f640b4348b01c1b3456a024a81536dafbbf4")

func parse(t *testing.T, body string) ([]gate.Push, error) {
	t.Helper()
	return distribution.Receiver().Parse(webhooks.Delivery{Body: []byte(body)})
}

func one(action, target string) string {
	return fmt.Sprintf(`{"events":[{"action":%q,"target":%s,"request":{"host":"h:5000"}}]}`, action, target)
}

// TestMediaTypes: manifests and indexes count, everything else that is pushed
// is a part of one.
func TestMediaTypes(t *testing.T) {
	for mediaType, want := range map[string]gate.PushKind{
		"application/vnd.oci.image.manifest.v1+json":                   gate.PushArrived,
		"application/vnd.oci.image.index.v1+json":                      gate.PushArrived,
		"application/vnd.docker.distribution.manifest.v2+json":         gate.PushArrived,
		"application/vnd.docker.distribution.manifest.list.v2+json":    gate.PushArrived,
		"application/vnd.docker.distribution.manifest.v1+prettyjws":    gate.PushArrived,
		"application/vnd.docker.distribution.manifest.v1+json":         gate.PushArrived,
		"Application/vnd.oci.image.index.v1+json; charset=utf-8":       gate.PushArrived,
		"application/octet-stream":                                     gate.PushIgnored,
		"application/vnd.docker.container.image.rootfs.diff+x-gtar":    gate.PushIgnored,
		"application/vnd.oci.image.layer.v1.tar+gzip":                  gate.PushIgnored,
		"application/vnd.oci.image.config.v1+json":                     gate.PushIgnored,
		"application/vnd.oci.image.manifest.v1+json.is.something.else": gate.PushIgnored,
		"": gate.PushIgnored,
	} {
		t.Run(mediaType, func(t *testing.T) {
			got, err := parse(t, one("push", fmt.Sprintf(`{"mediaType":%q,"digest":%q,"repository":"a/b"}`, mediaType, alpine)))
			if err != nil || len(got) != 1 || got[0].Kind != want || (want == gate.PushIgnored) != (got[0].Reason != "") {
				t.Errorf("Parse: got %+v, %v, want one %s", got, err, want)
			}
		})
	}
}

func TestBodies(t *testing.T) {
	arrived := gate.Push{Kind: gate.PushArrived, Host: "h:5000", Repository: "a/b", Digest: alpine}
	tagged := arrived
	tagged.Tag = "1.0"
	fromURL := arrived
	fromURL.Host = "u:443"
	noHost := arrived
	noHost.Host = ""
	manifest := fmt.Sprintf(`{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":%q,"repository":"a/b"`, alpine)
	webhookstest.Bodies(t, distribution.Receiver(), map[string]webhookstest.Body{
		"null":              {Body: "null", Part: "holds no event"},
		"empty_envelope":    {Body: `{"events":[]}`, Part: "holds no event"},
		"event_null":        {Body: `{"events":[null]}`, Part: "no action"},
		"unknown_action":    {Body: one("quarantine", "{}"), Part: `"quarantine"`},
		"mount":             {Body: one("mount", manifest+"}"), Part: "mounted"},
		"pull":              {Body: one("pull", manifest+"}"), Part: "a pull changes nothing"},
		"upper_case_action": {Body: one("PUSH", manifest+"}"), Part: `"PUSH"`},
		"whole_repository":  {Body: one("delete", `{"repository":"a/b"}`), Part: "whole repository"},
		"sha512": {
			Body: one("push", `{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"sha512:`+strings.Repeat("ab", 64)+`","repository":"a/b"}`),
			Part: "not SHA-256",
		},
		"by_digest": {Body: one("push", manifest+"}"), Want: []gate.Push{arrived}},
		"tagged":    {Body: one("push", manifest+`,"tag":"1.0"}`), Want: []gate.Push{tagged}},
		"tag_without_mediatype": {
			Body: one("push", fmt.Sprintf(`{"digest":%q,"repository":"a/b","tag":"1.0"}`, alpine)), Want: []gate.Push{tagged},
		},
		"host_of_the_url": {
			Body: `{"events":[{"action":"push","target":` + manifest + `,"url":"https://u:443/v2/a/b/manifests/x"}}]}`, Want: []gate.Push{fromURL},
		},
		"no_host":        {Body: `{"events":[{"action":"push","target":` + manifest + `}}]}`, Want: []gate.Push{noHost}},
		"url_is_no_url":  {Body: `{"events":[{"action":"push","target":` + manifest + `,"url":"http://[::1"}}]}`, Want: []gate.Push{noHost}},
		"several_events": {Body: `{"events":[{"action":"push","request":{"host":"h:5000"},"target":` + manifest + `}},{"action":"push","request":{"host":"h:5000"},"target":` + manifest + `,"tag":"1.0"}}]}`, Want: []gate.Push{arrived, tagged}},
		"shown_fields_of_other_types": {
			Body: `{"events":[{"id":1,"timestamp":"yesterday","actor":"me","source":[],"action":"push","request":{"host":"h:5000","id":7},"target":` + manifest + `}}]}`,
			Want: []gate.Push{arrived},
		},
	})
}

func TestWrongTypesAreErrors(t *testing.T) {
	webhookstest.Wrong(t, distribution.Receiver(),
		`[]`, `{"events":{}}`, `{"events":["push"]}`, `{"events":[{"action":1}]}`, `{"events":[{"action":"push","target":[]}]}`,
		`{"events":[{"action":"push","target":{"digest":1}}]}`, `{"events":[{"action":"push","target":{"digest":"a","Digest":"b"}}]}`,
	)
}
