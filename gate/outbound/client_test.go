package outbound

import (
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/digestgate/digestgate/gate/outbound/outboundtest"
)

func hostOf(t *testing.T, raw string) string {
	t.Helper()
	u, err := url.Parse(raw)
	if err != nil {
		t.Fatal(err)
	}
	return u.Host
}

// TestClient: only a host that is named may be in such a range, and a
// redirect does not get around it.
func TestClient(t *testing.T) {
	secret := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTeapot) }))
	defer secret.Close()
	open := httptest.NewServer(http.RedirectHandler(secret.URL, http.StatusFound))
	defer open.Close()
	for name, c := range map[string]struct {
		hosts   []string
		url     string
		blocked bool
	}{
		"named":           {[]string{hostOf(t, secret.URL)}, secret.URL, false},
		"not_named":       {nil, secret.URL, true},
		"other_port":      {[]string{"127.0.0.1"}, secret.URL, true},
		"by_redirect":     {[]string{hostOf(t, open.URL)}, open.URL, true},
		"both_named":      {[]string{hostOf(t, open.URL), hostOf(t, secret.URL)}, open.URL, false},
		"metadata":        {nil, "http://169.254.169.254/latest/meta-data", true},
		"named_metadata":  {[]string{"169.254.169.254:80"}, "http://169.254.169.254/latest/meta-data", true},
		"named_metadata6": {[]string{"[fd00:ec2::254]:80"}, "http://[fd00:ec2::254]/latest/meta-data", true},
		"named_alibaba":   {[]string{"100.100.100.200:80"}, "http://100.100.100.200/latest/meta-data", true},
		"named_local":     {[]string{"169.254.1.1:80"}, "http://169.254.1.1/", true},
		"private_range":   {nil, "http://10.0.0.1:1/", true},
	} {
		t.Run(name, func(t *testing.T) {
			client := NewClient(ClientOptions{Purpose: Feed, Hosts: c.hosts, Timeout: 5 * time.Second})
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

// TestClient_redirect: what was meant for one host reaches no other, whatever kind of
// secret it is.
func TestClient_redirect(t *testing.T) {
	var mu sync.Mutex
	var seen []http.Header
	other := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		seen = append(seen, r.Header.Clone())
	}))
	defer other.Close()
	mux := http.NewServeMux()
	mux.HandleFunc("/away/", func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, other.URL+"/x", http.StatusTemporaryRedirect)
	})
	mux.HandleFunc("/post/", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, other.URL+"/x", http.StatusSeeOther) })
	mux.HandleFunc("/here/", func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "/end", http.StatusTemporaryRedirect)
	})
	mux.HandleFunc("/user/", func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, strings.Replace(other.URL, "//", "//user:pass@", 1), http.StatusFound)
	})
	mux.HandleFunc("/loop/", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/loop/", http.StatusFound) })
	mux.HandleFunc("/end", func(http.ResponseWriter, *http.Request) {})
	first := httptest.NewServer(mux)
	defer first.Close()
	client := NewClient(ClientOptions{Purpose: Hook, Hosts: []string{hostOf(t, first.URL), hostOf(t, other.URL)}, Timeout: 5 * time.Second})
	defer client.CloseIdleConnections()
	for name, c := range map[string]struct {
		method, path, header string
		refused              bool
		arrived              int
	}{
		"authorization":      {"GET", "/away/s3cret", "Authorization", true, 0},
		"own_header":         {"GET", "/away/s3cret", "X-Token", true, 0},
		"cookie":             {"GET", "/away/s3cret", "Cookie", true, 0},
		"body":               {"POST", "/away/s3cret", "", true, 0},
		"post_to_get":        {"POST", "/post/s3cret", "", true, 0},
		"nothing_of_ours":    {"GET", "/away/s3cret", "", false, 1},
		"condition":          {"GET", "/away/s3cret", "If-None-Match", false, 1},
		"same_host":          {"GET", "/here/", "Authorization", false, 0},
		"names_a_user":       {"GET", "/user/", "", true, 0},
		"in_a_circle":        {"GET", "/loop/", "", true, 0},
		"same_host_and_body": {"POST", "/here/", "X-Token", false, 0},
	} {
		t.Run(name, func(t *testing.T) {
			seen = nil
			req, err := http.NewRequestWithContext(t.Context(), c.method, first.URL+c.path, strings.NewReader(""))
			if err != nil {
				t.Fatal(err)
			}
			if c.header != "" {
				req.Header.Set(c.header, "s3cret")
			}
			res, err := client.Do(req)
			if err == nil {
				res.Body.Close()
			}
			var refused *RedirectError
			if errors.As(err, &refused) != c.refused || (err == nil) == c.refused {
				t.Errorf("got %v, want it refused: %t", err, c.refused)
			}
			if err != nil && strings.Contains(refused.Error(), "s3cret") {
				t.Errorf("the error tells the secret: %v", refused)
			}
			if len(seen) != c.arrived {
				t.Fatalf("%d requests arrived at the other host, want %d", len(seen), c.arrived)
			}
			for _, h := range seen {
				if c.header != "If-None-Match" && strings.Contains(strings.Join(valuesOf(h), " "), "s3cret") {
					t.Errorf("the other host has seen %v", h)
				}
			}
		})
	}
}

func valuesOf(h http.Header) (all []string) {
	for _, v := range h {
		all = append(all, v...)
	}
	return all
}

// TestClient_leavesHTTPS: from https nothing leads to http.
func TestClient_leavesHTTPS(t *testing.T) {
	plainServer := httptest.NewServer(http.NotFoundHandler())
	defer plainServer.Close()
	s := httptest.NewTLSServer(http.RedirectHandler(plainServer.URL, http.StatusFound))
	defer s.Close()
	conf := s.Client().Transport.(*http.Transport).TLSClientConfig
	client := NewClient(ClientOptions{Purpose: Feed, Hosts: []string{hostOf(t, s.URL), hostOf(t, plainServer.URL)}, Timeout: 5 * time.Second, TLS: conf})
	defer client.CloseIdleConnections()
	res, err := client.Get(s.URL)
	if err == nil {
		res.Body.Close()
	}
	var refused *RedirectError
	if !errors.As(err, &refused) || !strings.Contains(err.Error(), "leaves https") {
		t.Errorf("got %v", err)
	}
}

// TestClient_rebinding: a name that was harmless when it was looked at leads nowhere else
// when it is connected to, also for a host that the configuration names.
func TestClient_rebinding(t *testing.T) {
	var arrived atomic.Int32
	victim := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { arrived.Add(1) }))
	defer victim.Close()
	_, port, _ := net.SplitHostPort(hostOf(t, victim.URL))
	allow, err := ParseAllow([]string{"hook.example.com:" + port, "*.example.net:" + port, "10.0.0.0/8"})
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		addresses []string
		host      string
		allow     *Allow
	}{
		"configured_name": {[]string{"93.184.215.14", "127.0.0.1"}, "feed.example.com", nil},
		"leads_elsewhere": {[]string{"93.184.215.14", "127.0.0.1"}, "cdn.example.org", nil},
		"metadata":        {[]string{"93.184.215.14", "169.254.169.254"}, "feed.example.com", nil},
		"at_run_time":     {[]string{"10.0.0.1", "127.0.0.1"}, "hook.example.com", &allow},
		"by_pattern":      {[]string{"10.0.0.1", "192.168.0.1"}, "a.example.net", &allow},
	} {
		t.Run(name, func(t *testing.T) {
			resolver, _ := outboundtest.NameServer(t, c.addresses...)
			if _, err := resolver.LookupNetIP(t.Context(), "ip4", c.host); err != nil {
				t.Fatal(err)
			}
			var hosts []string
			if c.allow == nil {
				hosts = []string{"feed.example.com:" + port}
			}
			client := NewClient(ClientOptions{Purpose: Feed, Hosts: hosts, Allow: c.allow, Timeout: 5 * time.Second, Resolver: resolver})
			defer client.CloseIdleConnections()
			res, err := client.Get("http://" + c.host + ":" + port + "/")
			if err == nil {
				_, _ = io.Copy(io.Discard, res.Body)
				res.Body.Close()
			}
			var blocked *BlockedError
			if !errors.As(err, &blocked) || arrived.Load() != 0 {
				t.Errorf("got %v, and %d requests arrived", err, arrived.Load())
			}
		})
	}
}

// TestClient_counts: every connection is one that the guard has made.
func TestClient_counts(t *testing.T) {
	var accepted atomic.Int32
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	s.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			accepted.Add(1)
		}
	}
	s.Start()
	defer s.Close()
	var dialed atomic.Int32
	client := NewClient(ClientOptions{Purpose: Feed, Hosts: []string{hostOf(t, s.URL)}, Timeout: 5 * time.Second, Dialed: func(string) { dialed.Add(1) }})
	for range 3 {
		res, err := client.Get(s.URL)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		client.CloseIdleConnections()
	}
	if dialed.Load() != 3 || accepted.Load() != 3 {
		t.Errorf("%d connections were made by the guard, %d arrived, want 3", dialed.Load(), accepted.Load())
	}
}
