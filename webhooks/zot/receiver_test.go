package zot_test

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/webhooks"
	"github.com/digestgate/digestgate/webhooks/webhookstest"
	"github.com/digestgate/digestgate/webhooks/zot"
)

const golang = gate.Digest("sha256:2f7ef7df3251323550b6d2787577fd2180717a61e44c70d96f6bf74c8a037003")

func suite() webhookstest.Suite {
	image := func(kind gate.PushKind, digest gate.Digest, tag, id string) []gate.Push {
		return []gate.Push{{
			Kind: kind, Repository: "golang", Digest: digest, Tag: tag, EventID: "6f1c1a4e-8c0f-4a1e-9a0b-0f9f1d2c3b4" + id,
			OccurredAt: time.Date(2026, 8, 20, 10, 0, 0, 123456789, time.UTC), Actor: "jane.joe",
		}}
	}
	ignored := func(reason string) []gate.Push { return []gate.Push{{Kind: gate.PushIgnored, Reason: reason}} }
	return webhookstest.Suite{
		Receiver: zot.Receiver(),
		Registry: gate.Registry{Name: "zot", Type: "zot", Host: "zot.example.com"},
		Dir:      "testdata",
		Cases: []webhookstest.Case{
			{File: "image_updated.json", State: gate.PushQueued, Pushes: image(gate.PushArrived, golang, "latest", "1")},
			{File: "image_updated_by_digest.json", State: gate.PushQueued, Pushes: image(gate.PushArrived, golang, "", "5")},
			{File: "image_deleted.json", State: gate.PushQueued, Pushes: image(gate.PushDeleted, "", "latest", "2")},
			{File: "image_deleted_by_digest.json", State: gate.PushNotActedOn, Pushes: image(gate.PushDeleted, golang, "", "6")},
			{File: "image_scanned.json", State: gate.PushNotActedOn, Pushes: ignored("a scan by zot itself is not looked at")},
			{File: "repository_created.json", State: gate.PushNotActedOn, Pushes: ignored("a new repository holds nothing yet")},
		},
	}
}

func TestReceiver(t *testing.T) { webhookstest.Run(t, suite()) }

func FuzzReceiver(f *testing.F) { webhookstest.Fuzz(f, suite()) }

func BenchmarkReceiver(b *testing.B) { webhookstest.Bench(b, suite()) }

func TestEventKinds(t *testing.T) {
	body := []byte(fmt.Sprintf(`{"name":"a/b","reference":"1.0","digest":%q}`, golang))
	for kind, want := range map[string]gate.PushKind{
		"zotregistry.image.updated": gate.PushArrived, "zotregistry.image.deleted": gate.PushDeleted,
		"zotregistry.image.lint_failed": gate.PushIgnored, "zotregistry.image.scanned": gate.PushIgnored,
		"zotregistry.repository.created": gate.PushIgnored, "zotregistry.IMAGE.updated": gate.PushIgnored,
		"anything.new": gate.PushIgnored, "": gate.PushIgnored,
	} {
		h := http.Header{}
		if kind != "" {
			h.Set("Ce-Type", kind)
		}
		got, err := zot.Receiver().Parse(webhooks.Delivery{Header: h, Body: body})
		if err != nil || len(got) != 1 || got[0].Kind != want || (want == gate.PushIgnored) != (got[0].Reason != "") {
			t.Errorf("Parse(%q): got %+v, %v, want one %s", kind, got, err, want)
		}
	}
	twice := http.Header{"Ce-Type": {"zotregistry.image.updated", "zotregistry.image.deleted"}}
	if got, err := zot.Receiver().Parse(webhooks.Delivery{Header: twice, Body: body}); !errors.Is(err, gate.ErrInvalid) {
		t.Errorf("Parse with two types: got %+v, %v, want ErrInvalid", got, err)
	}
}

func TestReferences(t *testing.T) {
	for name, c := range map[string]struct {
		kind, data string
		want       gate.Push
	}{
		"digest_in_the_reference_only": {"updated", `"reference":"` + string(golang) + `"`, gate.Push{Kind: gate.PushArrived, Repository: "a/b", Digest: golang}},
		"tag_only":                     {"updated", `"reference":"1.0"`, gate.Push{Kind: gate.PushArrived, Repository: "a/b", Tag: "1.0"}},
		"digest_without_reference":     {"updated", `"digest":"` + string(golang) + `"`, gate.Push{Kind: gate.PushArrived, Repository: "a/b", Digest: golang}},
		"nothing":                      {"updated", `"mediaType":"x"`, gate.Push{Kind: gate.PushArrived, Repository: "a/b"}},
		"actor_of_another_type":        {"updated", `"reference":"1.0","actor":[1]`, gate.Push{Kind: gate.PushArrived, Repository: "a/b", Tag: "1.0"}},
		"delete_of_a_digest":           {"deleted", `"reference":"` + string(golang) + `"`, gate.Push{Kind: gate.PushDeleted, Repository: "a/b", Digest: golang}},
	} {
		t.Run(name, func(t *testing.T) {
			h := http.Header{"Ce-Type": {"zotregistry.image." + c.kind}, "Ce-Time": {strings.Repeat("9", 40)}}
			got, err := zot.Receiver().Parse(webhooks.Delivery{Header: h, Body: []byte(`{"name":"a/b",` + c.data + `}`)})
			if diff := cmp.Diff([]gate.Push{c.want}, got); err != nil || diff != "" {
				t.Errorf("Parse: %v (-want +got):\n%s", err, diff)
			}
		})
	}
}
