package distribution_test

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/webhooks"
	"github.com/digestgate/digestgate/webhooks/distribution"
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
	for name, c := range map[string]struct {
		body string
		want []gate.Push
		part string // of the reason, where it is ignored
	}{
		"null":              {body: "null", part: "holds no event"},
		"empty_envelope":    {body: `{"events":[]}`, part: "holds no event"},
		"event_null":        {body: `{"events":[null]}`, part: "no action"},
		"unknown_action":    {body: one("quarantine", "{}"), part: `"quarantine"`},
		"mount":             {body: one("mount", manifest+"}"), part: "mounted"},
		"pull":              {body: one("pull", manifest+"}"), part: "a pull changes nothing"},
		"upper_case_action": {body: one("PUSH", manifest+"}"), part: `"PUSH"`},
		"whole_repository":  {body: one("delete", `{"repository":"a/b"}`), part: "whole repository"},
		"sha512": {
			body: one("push", `{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"sha512:`+strings.Repeat("ab", 64)+`","repository":"a/b"}`),
			part: "not SHA-256",
		},
		"by_digest": {body: one("push", manifest+"}"), want: []gate.Push{arrived}},
		"tagged":    {body: one("push", manifest+`,"tag":"1.0"}`), want: []gate.Push{tagged}},
		"tag_without_mediatype": {
			body: one("push", fmt.Sprintf(`{"digest":%q,"repository":"a/b","tag":"1.0"}`, alpine)), want: []gate.Push{tagged},
		},
		"host_of_the_url": {
			body: `{"events":[{"action":"push","target":` + manifest + `,"url":"https://u:443/v2/a/b/manifests/x"}}]}`, want: []gate.Push{fromURL},
		},
		"no_host":        {body: `{"events":[{"action":"push","target":` + manifest + `}}]}`, want: []gate.Push{noHost}},
		"url_is_no_url":  {body: `{"events":[{"action":"push","target":` + manifest + `,"url":"http://[::1"}}]}`, want: []gate.Push{noHost}},
		"several_events": {body: `{"events":[{"action":"push","request":{"host":"h:5000"},"target":` + manifest + `}},{"action":"push","request":{"host":"h:5000"},"target":` + manifest + `,"tag":"1.0"}}]}`, want: []gate.Push{arrived, tagged}},
		"shown_fields_of_other_types": {
			body: `{"events":[{"id":1,"timestamp":"yesterday","actor":"me","source":[],"action":"push","request":{"host":"h:5000","id":7},"target":` + manifest + `}}]}`,
			want: []gate.Push{arrived},
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
		`[]`, `{"events":{}}`, `{"events":["push"]}`, `{"events":[{"action":1}]}`, `{"events":[{"action":"push","target":[]}]}`,
		`{"events":[{"action":"push","target":{"digest":1}}]}`, `{"events":[{"action":"push","target":{"digest":"a","Digest":"b"}}]}`,
	} {
		if got, err := parse(t, body); !errors.Is(err, gate.ErrInvalid) {
			t.Errorf("Parse(%s): got %+v, %v, want ErrInvalid", body, got, err)
		}
	}
}

func BenchmarkParse(b *testing.B) {
	body, err := os.ReadFile("testdata/v3_push_image.json")
	if err != nil {
		b.Fatal(err)
	}
	d := webhooks.Delivery{Body: body}
	b.ReportAllocs()
	b.SetBytes(int64(len(body)))
	for b.Loop() {
		if _, err := distribution.Parse(d); err != nil {
			b.Fatal(err)
		}
	}
}
