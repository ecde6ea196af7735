package gar_test

import (
	"encoding/base64"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/webhooks"
	"github.com/digestgate/digestgate/webhooks/gar"
	"github.com/digestgate/digestgate/webhooks/webhookstest"
)

func wrap(data string) string {
	return fmt.Sprintf(`{"message":{"data":%q},"subscription":"projects/p/subscriptions/s"}`, base64.StdEncoding.EncodeToString([]byte(data)))
}

func TestNotifications(t *testing.T) {
	at := "h.pkg.dev/p/r/i@" + string(image)
	arrived := gate.Push{Kind: gate.PushArrived, Host: "h.pkg.dev", Repository: "p/r/i", Digest: image, Tag: "1"}
	tagOnly, port, gone := arrived, arrived, arrived
	tagOnly.Digest, gone.Tag, gone.Kind = "", "", gate.PushDeleted
	port.Host = "h.pkg.dev:8443"
	for name, c := range map[string]struct {
		data string
		want gate.Push
		part string // of the reason, where it is ignored
	}{
		"both":             {data: `{"action":"INSERT","digest":"` + at + `","tag":"h.pkg.dev/p/r/i:1"}`, want: arrived},
		"tag_only":         {data: `{"action":"INSERT","tag":"h.pkg.dev/p/r/i:1"}`, want: tagOnly},
		"host_with_port":   {data: `{"action":"INSERT","digest":"h.pkg.dev:8443/p/r/i@` + string(image) + `","tag":"h.pkg.dev:8443/p/r/i:1"}`, want: port},
		"digest_deleted":   {data: `{"action":"DELETE","digest":"` + at + `"}`, want: gone},
		"neither":          {data: `{"action":"INSERT"}`, part: "neither"},
		"no_action":        {data: `{"digest":"` + at + `"}`, part: "no action"},
		"other_action":     {data: `{"action":"UPDATE","digest":"` + at + `"}`, part: "not known"},
		"null":             {data: `null`, part: "no action"},
		"bare_digest":      {data: `{"action":"INSERT","digest":"` + string(image) + `"}`, part: "HOST/REPOSITORY@DIGEST"},
		"no_repository":    {data: `{"action":"INSERT","digest":"h.pkg.dev@` + string(image) + `"}`, part: "HOST/REPOSITORY@DIGEST"},
		"no_host":          {data: `{"action":"INSERT","digest":"/p@` + string(image) + `"}`, part: "HOST/REPOSITORY@DIGEST"},
		"tag_without_tag":  {data: `{"action":"INSERT","tag":"h.pkg.dev:443/p/r/i"}`, part: "HOST/REPOSITORY:TAG"},
		"empty_tag":        {data: `{"action":"INSERT","tag":"h.pkg.dev/p/r/i:"}`, part: "HOST/REPOSITORY:TAG"},
		"tag_alone":        {data: `{"action":"INSERT","tag":"v1"}`, part: "HOST/REPOSITORY:TAG"},
		"other_repository": {data: `{"action":"INSERT","digest":"` + at + `","tag":"h.pkg.dev/p/r/other:1"}`, part: "two repositories"},
		"other_host":       {data: `{"action":"INSERT","digest":"` + at + `","tag":"evil.example/p/r/i:1"}`, part: "two repositories"},
	} {
		t.Run(name, func(t *testing.T) {
			for _, body := range []string{c.data, wrap(c.data)} {
				got, err := gar.Receiver().Parse(webhooks.Delivery{Body: []byte(body)})
				if err != nil || len(got) != 1 {
					t.Fatalf("Parse(%s): got %+v, %v, want one event", body, got, err)
				}
				if c.part != "" {
					if got[0].Kind != gate.PushIgnored || !strings.Contains(got[0].Reason, c.part) {
						t.Errorf("Parse(%s): got %+v, want it ignored because of %q", body, got[0], c.part)
					}
				} else if diff := cmp.Diff(c.want, got[0]); diff != "" {
					t.Errorf("Parse(%s) (-want +got):\n%s", body, diff)
				}
			}
		})
	}
}

func TestEnvelopes(t *testing.T) {
	got, err := gar.Receiver().Parse(webhooks.Delivery{Body: []byte(`{"message":{"attributes":{"a":"b"}}}`)})
	if err != nil || len(got) != 1 || !strings.Contains(got[0].Reason, "no data") {
		t.Errorf("a message without data: got %+v, %v, want it ignored", got, err)
	}
	webhookstest.Wrong(t, gar.Receiver(),
		`[]`, `{"message":[]}`, `{"message":{"data":"%%%"}}`, `{"action":1}`, wrap(`[]`), wrap(`{"action":`), wrap(`{"digest":1}`),
		wrap(`{"action":"INSERT","Action":"DELETE"}`), wrap("\xff"),
	)
}
