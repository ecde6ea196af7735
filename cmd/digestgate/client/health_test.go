package client

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/digestgate/digestgate/cmd/digestgate/app"
)

// TestPrivateURLs: an address to listen on becomes one to call.
func TestPrivateURLs(t *testing.T) {
	loopback := []string{"http://127.0.0.1:9090", "http://[::1]:9090"}
	for address, want := range map[string][]string{
		":9090":            loopback,
		"0.0.0.0:9090":     loopback,
		"[::]:9090":        loopback,
		"10.0.0.7:9090":    {"http://10.0.0.7:9090"},
		"[fd00::7]:9090":   {"http://[fd00::7]:9090"},
		"health.test:9090": {"http://health.test:9090"},
	} {
		got, err := privateURLs(address)
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Errorf("privateURLs(%q): %v (-want +got):\n%s", address, err, diff)
		}
	}
	for address, want := range map[string]string{
		"":       "listen.private is empty",
		"9090":   `"9090" is not host:port`,
		":x":     `port "x" is not a number`,
		":0":     "the system chooses the port",
		":99999": `port "99999" is not a number`,
	} {
		if got, err := privateURLs(address); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("privateURLs(%q): got %q, %v, want %q", address, got, err, want)
		}
	}
}

// TestHealthExitStatus: only 200 is good, and what another program answers is shown
// without its control characters.
func TestHealthExitStatus(t *testing.T) {
	status, text := 0, ""
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Location", "/livez")
		w.WriteHeader(status)
		_, _ = w.Write([]byte(r.URL.Path + " " + text))
	}))
	defer server.Close()
	// A proxy of the environment must not be asked about this machine.
	t.Setenv("HTTP_PROXY", "http://192.0.2.1:1")
	for _, c := range []struct {
		args     []string
		status   int
		text     string
		out, err string
	}{
		{nil, 200, "ok\n", "/readyz ok\n", ""},
		{[]string{"--ready"}, 200, "ok\n", "/readyz ok\n", ""},
		{[]string{"--live"}, 200, "ok\n", "/livez ok\n", ""},
		{nil, 503, "\nok    policies\nfail  store: \x1b[31mgone\n", "/readyz\nok    policies\nfail  store: \\x1b[31mgone\n", "not ready: each line that begins with fail says why"},
		{[]string{"--live"}, 500, "hangs\n", "/livez hangs\n", "not live: the server answered 500"},
		{nil, 404, "\n", "/readyz\n", "is this the private listener of digestgate"},
		{nil, 302, "\n", "/readyz\n", "not ready: the server answered 302"},
		{[]string{"--live", "--ready"}, 200, "", "", "give one of them"},
		{[]string{"--timeout", "0s"}, 200, "", "", "--timeout 0s leaves no time"},
	} {
		status, text = c.status, c.text
		cmd := NewHealthCommand(app.NewOptions(nil, "test"))
		cmd.SilenceErrors, cmd.SilenceUsage = true, true
		var out strings.Builder
		cmd.SetOut(&out)
		cmd.SetArgs(append([]string{"--url", server.URL + "/"}, c.args...))
		err := cmd.ExecuteContext(t.Context())
		if (err == nil) != (c.err == "") || err != nil && !strings.Contains(err.Error(), c.err) || out.String() != c.out {
			t.Errorf("%q, status %d: got %q, %v, want %q, %q", c.args, c.status, out.String(), err, c.out, c.err)
		}
	}
}
