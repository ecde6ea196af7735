package outbound

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"
	"time"
)

// TestClient: only a host that is named may be in such a range, and a
// redirect does not get around it.
func TestClient(t *testing.T) {
	secret := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTeapot) }))
	defer secret.Close()
	open := httptest.NewServer(http.RedirectHandler(secret.URL, http.StatusFound))
	defer open.Close()
	host := func(raw string) string {
		u, err := url.Parse(raw)
		if err != nil {
			t.Fatal(err)
		}
		return u.Host
	}
	for name, c := range map[string]struct {
		hosts   []string
		url     string
		blocked bool
	}{
		"named":         {[]string{host(secret.URL)}, secret.URL, false},
		"not_named":     {nil, secret.URL, true},
		"other_port":    {[]string{"127.0.0.1"}, secret.URL, true},
		"by_redirect":   {[]string{host(open.URL)}, open.URL, true},
		"both_named":    {[]string{host(open.URL), host(secret.URL)}, open.URL, false},
		"metadata":      {nil, "http://169.254.169.254/latest/meta-data", true},
		"private_range": {nil, "http://10.0.0.1:1/", true},
	} {
		t.Run(name, func(t *testing.T) {
			client := Client(c.hosts, 5*time.Second)
			defer client.CloseIdleConnections()
			res, err := client.Get(c.url)
			if err == nil {
				res.Body.Close()
			}
			var blocked *BlockedError
			if errors.As(err, &blocked) != c.blocked || (err == nil) == c.blocked {
				t.Errorf("Get(%s): got %v, want it blocked: %t", c.url, err, c.blocked)
			}
		})
	}
}
