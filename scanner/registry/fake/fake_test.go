package fake

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func open(t *testing.T, o Options) (*Registry, *http.Client) {
	t.Helper()
	r, err := Start(o)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(r.CAPEM())
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}}
	t.Cleanup(func() {
		transport.CloseIdleConnections()
		if err := errors.Join(r.Close(), r.Close()); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return r, &http.Client{Transport: transport}
}

func get(t *testing.T, c *http.Client, url string, header ...string) (int, string, error) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	res, err := c.Do(req)
	if err != nil {
		return 0, "", err
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	return res.StatusCode, string(b), err
}

func TestServesWhatWasPushed(t *testing.T) {
	for _, withTLS := range []bool{false, true} {
		r, c := open(t, Options{TLS: withTLS})
		img, err := RandomImage(3, v1.Platform{OS: "linux", Architecture: "arm64"}, 100)
		if err != nil {
			t.Fatal(err)
		}
		d, err := r.PushIndex("a/b", "1", NewIndex(Child{Add: img, Platform: &v1.Platform{OS: "linux", Architecture: "arm64"}}))
		if err != nil {
			t.Fatal(err)
		}
		status, body, err := get(t, c, r.URL+"/v2/a/b/manifests/1")
		if err != nil || status != 200 || DigestOf([]byte(body)) != d {
			t.Errorf("index: %d, %v", status, err)
		}
		layers, _ := img.Layers()
		h, _ := layers[0].Digest()
		status, body, err = get(t, c, r.URL+"/v2/a/b/blobs/"+h.String(), "Range", "bytes=10-19")
		if err != nil || status != 206 || len(body) != 10 {
			t.Errorf("range: %d, %d bytes, %v", status, len(body), err)
		}
		if len(r.Requests()) != 2 || r.Requests()[1].Range != "bytes=10-19" || r.Count("GET", "/blobs/") != 1 || r.Count("HEAD", "") != 0 {
			t.Errorf("recorded: %+v", r.Requests())
		}
		if err := r.Delete("a/b", "1"); err != nil {
			t.Fatal(err)
		}
		if status, _, _ = get(t, c, r.URL+"/v2/a/b/manifests/1"); status != 404 {
			t.Errorf("deleted tag: %d", status)
		}
		r.Reset()
		if len(r.Requests()) != 0 {
			t.Error("Reset leaves requests")
		}
	}
}

func TestImagesRepeat(t *testing.T) {
	digest := func(seed uint64) string {
		img, err := RandomImage(seed, v1.Platform{}, 50)
		if err != nil {
			t.Fatal(err)
		}
		d, err := img.Digest()
		if err != nil {
			t.Fatal(err)
		}
		return d.String()
	}
	if first, again := digest(1), digest(1); first != again || first == digest(2) {
		t.Error("the seed does not decide the image")
	}
}

func TestAuthenticates(t *testing.T) {
	r, c := open(t, Options{Auth: AuthBasic, Username: "u", Password: "p"})
	if status, _, _ := get(t, c, r.URL+"/v2/"); status != 401 {
		t.Errorf("without credentials: %d", status)
	}
	if status, _, _ := get(t, c, strings.Replace(r.URL, "//", "//u:x@", 1)+"/v2/"); status != 401 {
		t.Errorf("wrong password: %d", status)
	}
	if status, _, _ := get(t, c, strings.Replace(r.URL, "//", "//u:p@", 1)+"/v2/"); status != 200 {
		t.Errorf("right password: %d", status)
	}

	r, c = open(t, Options{Auth: AuthBearer, Username: "u", Password: "p", ExpiresIn: "60"})
	if status, _, _ := get(t, c, r.URL+"/token"); status != 401 {
		t.Errorf("token without credentials: %d", status)
	}
	status, body, _ := get(t, c, strings.Replace(r.URL, "//", "//u:p@", 1)+"/token")
	if status != 200 || body != `{"token":"token-1","expires_in":60}` {
		t.Errorf("token: %d %s", status, body)
	}
	if status, _, _ := get(t, c, r.URL+"/v2/", "Authorization", "Bearer token-1"); status != 200 {
		t.Errorf("with token: %d", status)
	}
	r.RevokeTokens()
	if status, _, _ := get(t, c, r.URL+"/v2/", "Authorization", "Bearer token-1"); status != 401 {
		t.Errorf("revoked token: %d", status)
	}
}

func TestFaults(t *testing.T) {
	r, c := open(t, Options{})
	d, err := r.PutBlob([]byte("0123456789"))
	if err != nil {
		t.Fatal(err)
	}
	url := r.URL + "/v2/a/blobs/" + string(d)
	tests := map[string]struct {
		fault  Fault
		status int
		body   string
		err    error
	}{
		"none":     {Fault{Path: "/v2/other/**"}, 200, "0123456789", nil},
		"status":   {Fault{Status: 418, Body: []byte("x")}, 418, "x", nil},
		"replaced": {Fault{Body: []byte("other")}, 200, "other", nil},
		"skipped":  {Fault{Skip: 1, Status: 418}, 200, "0123456789", nil},
		"cut":      {Fault{After: 4, Cut: true}, 200, "0123", nil},
		"reset":    {Fault{After: 4, Reset: true}, 200, "0123", syscall.ECONNRESET},
		"drip":     {Fault{After: 8, Drip: time.Millisecond}, 200, "0123456789", nil},
		"flood":    {Fault{Flood: 3}, 200, "0123456789\x00\x00\x00", nil},
		"method":   {Fault{Method: "PUT", Status: 418}, 200, "0123456789", nil},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			defer r.Reset()
			r.Fail(tt.fault)
			status, body, err := get(t, c, url)
			if status != tt.status || body != tt.body || !errors.Is(err, tt.err) {
				t.Errorf("got %d %q %v, want %d %q %v", status, body, err, tt.status, tt.body, tt.err)
			}
		})
	}
	t.Run("times", func(t *testing.T) {
		defer r.Reset()
		r.Fail(Fault{Times: 1, Status: 500})
		first, _, _ := get(t, c, url)
		second, _, _ := get(t, c, url)
		if first != 500 || second != 200 {
			t.Errorf("got %d, %d", first, second)
		}
	})
	t.Run("stalls_end_with_the_registry", func(t *testing.T) {
		r, c := open(t, Options{})
		r.Fail(Fault{Hang: true})
		r.Fail(Fault{Hang: true})
		result := make(chan error, 1)
		go func() {
			_, _, err := get(t, c, r.URL+"/v2/")
			result <- err
		}()
		for len(r.Requests()) == 0 {
			time.Sleep(time.Millisecond) // until the request has arrived
		}
		if err := r.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
		if err := <-result; err == nil {
			t.Error("a hanging request succeeded")
		}
	})
}
