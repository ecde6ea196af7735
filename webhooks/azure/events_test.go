package azure_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/gate/intake"
	"github.com/digestgate/digestgate/webhooks"
	"github.com/digestgate/digestgate/webhooks/azure"
	"github.com/digestgate/digestgate/webhooks/webhookstest"
)

func parse(t *testing.T, body string) []gate.Push {
	t.Helper()
	got, err := azure.Receiver().Parse(webhooks.Delivery{Body: []byte(body)})
	if err != nil || len(got) == 0 {
		t.Fatalf("Parse(%s): got %+v, %v, want events", body, got, err)
	}
	return got
}

// TestEventKinds walks the actions of webhooks and the kinds of Event Grid.
func TestEventKinds(t *testing.T) {
	content := `"target":{"digest":"` + string(hello) + `","repository":"a/b","tag":"1"},"request":{"host":"` + host + `"}`
	type want struct {
		kind gate.PushKind
		part string // of the reason
	}
	for name, c := range map[string]want{
		"push": {gate.PushArrived, ""}, "quarantine": {gate.PushArrived, ""}, "delete": {gate.PushDeleted, ""},
		"chart_push": {gate.PushIgnored, "charts"}, "chart_delete": {gate.PushIgnored, "charts"}, "ping": {gate.PushIgnored, "ping"},
		"PUSH": {gate.PushIgnored, "not known"}, "": {gate.PushIgnored, "no action"},
	} {
		t.Run("action_"+strings.ToLower(name), func(t *testing.T) {
			got := parse(t, fmt.Sprintf(`{"action":%q,%s}`, name, content))
			if len(got) != 1 || got[0].Kind != c.kind || (c.part == "") != (got[0].Reason == "") || !strings.Contains(got[0].Reason, c.part) {
				t.Errorf("Parse: got %+v, want %s because of %q", got, c.kind, c.part)
			}
		})
	}
	for name, c := range map[string]want{
		"Microsoft.ContainerRegistry.ImagePushed":         {gate.PushArrived, ""},
		"Microsoft.ContainerRegistry.ImageDeleted":        {gate.PushDeleted, ""},
		"Microsoft.ContainerRegistry.ChartPushed":         {gate.PushIgnored, "charts"},
		"Microsoft.ContainerRegistry.ChartDeleted":        {gate.PushIgnored, "charts"},
		"Microsoft.EventGrid.SubscriptionValidationEvent": {gate.PushIgnored, "validation"},
		"Microsoft.Storage.BlobCreated":                   {gate.PushIgnored, "not known"},
	} {
		t.Run(strings.ReplaceAll(strings.ToLower(name), ".", "_"), func(t *testing.T) {
			// The action inside says something else: the kind of event counts.
			for _, body := range []string{
				fmt.Sprintf(`[{"eventType":%q,"data":{"action":"ping",%s}}]`, name, content),
				fmt.Sprintf(`{"specversion":"1.0","type":%q,"data":{"action":"ping",%s}}`, name, content),
			} {
				got := parse(t, body)
				if len(got) != 1 || got[0].Kind != c.kind || (c.part == "") != (got[0].Reason == "") || !strings.Contains(got[0].Reason, c.part) {
					t.Errorf("Parse: got %+v, want %s because of %q", got, c.kind, c.part)
				}
			}
		})
	}
}

func TestBodies(t *testing.T) {
	arrived := gate.Push{Kind: gate.PushArrived, Host: host, Repository: "a/b", Digest: hello}
	event := func(tag string) string {
		return fmt.Sprintf(`{"eventType":"Microsoft.ContainerRegistry.ImagePushed","data":{"target":{"digest":%q,"repository":"a/b","tag":%q},"request":{"host":%q}}}`, hello, tag, host)
	}
	tagged := arrived
	tagged.Tag = "1"
	for name, c := range map[string]struct {
		body string
		want []gate.Push
	}{
		"batch":         {"[" + event("1") + "," + event("") + "]", []gate.Push{tagged, arrived}},
		"digest_as_tag": {event(string(hello)), []gate.Push{arrived}},
		"empty_batch":   {" [] ", []gate.Push{gate.Ignored("the batch holds no event")}},
		"null_in_batch": {"[null]", []gate.Push{gate.Ignored("not an event of Container Registry: it has no action")}},
		"null":          {"null", []gate.Push{gate.Ignored("not an event of Container Registry: it has no action")}},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(c.want, parse(t, c.body)); diff != "" {
				t.Errorf("Parse (-want +got):\n%s", diff)
			}
		})
	}
	webhookstest.Wrong(t, azure.Receiver(), `"ping"`, `{"action":1}`, `{"target":[]}`, `[[]]`, `[1]`, `[{"data":[]}]`, `{"data":{"target":{"digest":1}}}`)
}

// TestHandshake: Event Grid's validation is answered with 200 and the code,
// only to who knows the secret, and only when nothing else is in the request.
func TestHandshake(t *testing.T) {
	recorded, err := os.ReadFile(filepath.Join("testdata", "handshake", "subscription_validation.json"))
	if err != nil {
		t.Fatal(err)
	}
	secret := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, []byte("right"), 0o600); err != nil {
		t.Fatal(err)
	}
	auth, err := webhooks.NewAuthenticator(webhooks.Config{Auth: webhooks.AuthToken, SecretFiles: []string{secret}}, time.Now, nil)
	if err != nil {
		t.Fatal(err)
	}
	registries, err := gate.NewRegistries([]gate.Registry{{Name: "prod", Host: host}})
	if err != nil {
		t.Fatal(err)
	}
	// No store: nothing of this may reach it.
	h, err := webhooks.NewHandler([]webhooks.Endpoint{{Name: "prod", Receiver: azure.Receiver(), Auth: auth}},
		intake.New(registries, nil, nil), webhooks.Options{})
	if err != nil {
		t.Fatal(err)
	}
	one := strings.TrimSuffix(strings.TrimPrefix(strings.TrimSpace(string(recorded)), "["), "]")
	for name, c := range map[string]struct {
		target, body string
		status       int
		want         string // in the answer
	}{
		"answered":     {"/webhooks/prod?token=right", string(recorded), 200, `{"validationResponse":"512d38b6-c7b8-40c8-89fe-f46f9e9622b6"}`},
		"wrong_secret": {"/webhooks/prod?token=wrong", string(recorded), 401, "Unauthorized"},
		"two_of_them":  {"/webhooks/prod?token=right", "[" + one + "," + one + "]", 202, "ignored"},
		"no_code":      {"/webhooks/prod?token=right", strings.ReplaceAll(string(recorded), "validationCode", "other"), 202, "ignored"},
		"huge_code":    {"/webhooks/prod?token=right", strings.Replace(string(recorded), "512d38b6", strings.Repeat("5", 257), 1), 202, "ignored"},
		"malformed":    {"/webhooks/prod?token=right", string(recorded) + "x", 400, "Bad Request"},
	} {
		t.Run(name, func(t *testing.T) {
			w := httptest.NewRecorder()
			h.ServeHTTP(w, httptest.NewRequest(http.MethodPost, c.target, strings.NewReader(c.body)))
			if w.Code != c.status || !strings.Contains(w.Body.String(), c.want) {
				t.Errorf("POST: got %d %s, want %d with %s", w.Code, w.Body, c.status, c.want)
			}
			if c.status != 200 && strings.Contains(w.Body.String(), "validationResponse") {
				t.Errorf("POST: the code is echoed: %s", w.Body)
			}
		})
	}
}
