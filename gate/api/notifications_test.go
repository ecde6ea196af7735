package api_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/gate/agree"
	"github.com/digestgate/digestgate/gate/api"
	"github.com/digestgate/digestgate/gate/notify"
	"github.com/digestgate/digestgate/gate/notify/slack"
	"github.com/digestgate/digestgate/gate/notify/webhook"
	"github.com/digestgate/digestgate/gate/outbound"
)

// downNotifications fails every call.
type downNotifications struct{ err error }

func (d downNotifications) List(context.Context) ([]gate.NotificationTarget, error) {
	return nil, d.err
}
func (d downNotifications) Target(context.Context, string) (gate.NotificationTarget, error) {
	return gate.NotificationTarget{}, d.err
}
func (d downNotifications) Add(context.Context, gate.NotificationRequest) (gate.NotificationTarget, error) {
	return gate.NotificationTarget{}, d.err
}
func (d downNotifications) Replace(context.Context, gate.NotificationRequest) (gate.NotificationTarget, error) {
	return gate.NotificationTarget{}, d.err
}
func (d downNotifications) Remove(context.Context, string) error { return d.err }
func (d downNotifications) Test(context.Context, string) (gate.NotificationDelivery, error) {
	return gate.NotificationDelivery{}, d.err
}
func (d downNotifications) Deliveries(context.Context, string) ([]gate.NotificationDelivery, error) {
	return nil, d.err
}
func (d downNotifications) Redeliver(context.Context, string) (gate.NotificationDelivery, error) {
	return gate.NotificationDelivery{}, d.err
}

// TestNotifications: a target is set, shown, tested, replaced and removed, and no answer
// ever has a secret of it; what outbound.allow does not have is refused.
func TestNotifications(t *testing.T) {
	const secret = "t0p-s3cret"
	var arrived []string
	inside := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		arrived = append(arrived, r.URL.Path)
		w.WriteHeader(http.StatusTeapot)
		_, _ = w.Write([]byte("t0p-s3cret of a server inside"))
	}))
	defer inside.Close()
	u, err := url.Parse(inside.URL)
	if err != nil {
		t.Fatal(err)
	}
	allow, err := outbound.ParseAllow([]string{u.Host, "hooks.example.com"})
	if err != nil {
		t.Fatal(err)
	}
	s := newSite(t, func(o *api.Options) {
		targets := &notify.Targets{
			Maker: notify.Maker{Vendors: []notify.Vendor{webhook.Vendor(), slack.Vendor()}, Allow: allow, Now: time.Now},
			File:  []notify.Config{{Name: "of-file", Type: "slack", URLFile: "/nonexistent"}},
			Store: o.Reader.(agree.Settings), Keys: [][]byte{[]byte("0123456789abcdef0123456789abcdef")},
		}
		o.Notifications = &notify.Service{Targets: targets, Now: time.Now}
	})
	send := func(method, path, body string, status int) string {
		t.Helper()
		a := s.send(method, "/api/v1/notifications"+path, body, nil)
		if a.status != status {
			t.Errorf("%s %s %.80s: got %d %s, want %d", method, path, body, a.status, a.body, status)
		}
		if strings.Contains(a.body, secret) {
			t.Errorf("%s %s: the answer tells a secret: %s", method, path, a.body)
		}
		return a.body
	}
	good := `{"name":"ops","type":"webhook","url":"` + inside.URL + `/` + secret + `","secret":"` + secret + `-of-16-bytes","minSeverity":"HIGH","gather":"5m"}`
	if got := send("POST", "", good, 201); !strings.Contains(got, `"address":"`+u.Host+`"`) || !strings.Contains(got, `"signed":true`) || !strings.Contains(got, `"gather":"5m0s"`) {
		t.Errorf("added: %s", got)
	}
	send("POST", "", good, 409)
	for _, bad := range []string{
		strings.Replace(good, `"minSeverity"`, `"minSeverty"`, 1), // what is not known is refused, without its neighbours
		strings.Replace(good, `"HIGH"`, `7`, 1),
		strings.Replace(good, u.Host, "elsewhere.example.com", 1),
		strings.Replace(good, u.Host, "169.254.169.254", 1),
		strings.Replace(good, "http://", "ftp://", 1),
		strings.Replace(good, `"ops"`, `"deliveries"`, 1),
		strings.Replace(good, `"webhook"`, `"pager"`, 1),
		strings.Replace(good, `"5m"`, `"soon"`, 1),
		strings.Replace(good, `"minSeverity"`, `"events":["exceptions"],"minSeverity"`, 1),
		strings.Replace(good, `"minSeverity"`, `"template":"{{printf \"%9999d\" 1}}","minSeverity"`, 1),
		strings.Replace(good, `"minSeverity"`, `"template":"{{.Title}}","minSeverity"`, 1), // no JSON
		`{"name":"chat","type":"slack","url":"http://hooks.example.com/` + secret + `"}`,
		`{"name":"chat","type":"slack","url":"https://hooks.example.com/` + secret + `","secret":"` + secret + `"}`,
		`{"name":"chat","type":"slack","url":"https://hooks.example.com/` + strings.Repeat(secret, 300) + `"}`,
	} {
		send("POST", "", strings.Replace(bad, `"ops"`, `"another"`, 1), 422)
	}
	send("POST", "", good[:len(good)-2], 400)
	if got := send("GET", "", "", 200); !strings.Contains(got, `"of-file"`) || !strings.Contains(got, "/nonexistent") || !strings.Contains(got, `"ops"`) {
		t.Errorf("list: %s", got)
	}
	if got := send("POST", "/ops/test", "", 200); !strings.Contains(got, `"status":418`) || !strings.Contains(got, `"outcome":"failed"`) || !strings.Contains(got, `"latencyMS"`) {
		t.Errorf("test: %s", got)
	}
	if len(arrived) != 1 || arrived[0] != "/"+secret {
		t.Errorf("arrived: %q", arrived)
	}
	if got := send("GET", "/deliveries?target=ops", "", 200); !strings.Contains(got, `"status":418`) {
		t.Errorf("deliveries: %s", got)
	}
	send("PUT", "/ops", strings.Replace(good, "HIGH", "LOW", 1), 200)
	send("PUT", "/other", good, 422)
	send("PUT", "/other", strings.Replace(good, `"ops"`, `"other"`, 1), 404)
	if got := send("GET", "/ops", "", 200); !strings.Contains(got, `"minSeverity":"LOW"`) {
		t.Errorf("replaced: %s", got)
	}
	for _, r := range []struct {
		method, path string
		status       int
	}{
		{"DELETE", "/of-file", 409}, {"DELETE", "/ops", 204}, {"DELETE", "/ops", 404}, {"GET", "/ops", 404}, {"POST", "/ops/test", 404},
		{"GET", "/deliveries?target=ops", 404}, {"POST", "/deliveries/nothing/redeliver", 404},
	} {
		send(r.method, r.path, "", r.status)
	}
	// The store has it sealed.
	send("POST", "", good, 201)
	value, _, err := s.store.Setting(t.Context(), agree.SettingNotifyTargets)
	if err != nil || len(value) == 0 || strings.Contains(string(value), secret) {
		t.Errorf("the store has %q, %v", value, err)
	}
	if a := s.send("GET", "/api/v1/notifications", "", map[string]string{"Authorization": "Bearer no"}); a.status != http.StatusUnauthorized {
		t.Errorf("without the token: %d", a.status)
	}
}
