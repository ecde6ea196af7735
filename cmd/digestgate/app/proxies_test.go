package app

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// TestTrustedProxies: the handler of deliveries, and with it the log, sees the
// client's address where a trusted proxy tells it, and the peer's otherwise.
func TestTrustedProxies(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		trusted   []string
		forwarded []string
		want      string
	}{
		{nil, []string{"192.0.2.7"}, "10.1.2.3:4567"},
		{[]string{"10.0.0.0/8"}, nil, "10.1.2.3:4567"},
		{[]string{"10.0.0.0/8"}, []string{"192.0.2.7"}, "192.0.2.7"},
		{[]string{"10.0.0.0/8"}, []string{"198.51.100.9, 192.0.2.7"}, "192.0.2.7"}, // what a client claims does not count
		{[]string{"10.0.0.0/8"}, []string{"192.0.2.7, 10.9.9.9"}, "192.0.2.7"},
		{[]string{"172.16.0.0/12"}, []string{"192.0.2.7"}, "10.1.2.3:4567"},
		{[]string{"10.0.0.0/8"}, []string{"nonsense"}, "10.1.2.3:4567"},
	} {
		a := &App{Config: DefaultConfig()}
		a.Config.HTTP.TrustedProxies = c.trusted
		got := ""
		h := fromClient(a.clientIP(), http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { got = r.RemoteAddr }))
		r := httptest.NewRequest(http.MethodPost, "/webhooks/hub", strings.NewReader("{}"))
		r.RemoteAddr = "10.1.2.3:4567"
		r.Header["X-Forwarded-For"] = c.forwarded
		h.ServeHTTP(httptest.NewRecorder(), r)
		if got != c.want {
			t.Errorf("trusted %q, forwarded %q: got %q, want %q", c.trusted, c.forwarded, got, c.want)
		}
	}
}
