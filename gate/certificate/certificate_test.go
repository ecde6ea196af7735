package certificate

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/gate/certificate/certificatetest"
)

// answered is what the server of these tests answers.
const answered = http.StatusNoContent

// serve starts a server on loopback that answers everything.
func serve(t testing.TB, c *Certificate) (url string) {
	t.Helper()
	server := &http.Server{
		Handler:   http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(answered) }),
		TLSConfig: c.TLSConfig(),
		ErrorLog:  slog.NewLogLogger(slog.DiscardHandler, slog.LevelDebug),
	}
	return certificatetest.Serve(t, server, nil)
}

func own(t testing.TB, dir string, names ...string) *issued {
	t.Helper()
	s := selfManaged{dir: dir, names: names, now: time.Now}
	ca, err := s.issue(nil)
	if err != nil {
		t.Fatal(err)
	}
	return ca
}

func write(t testing.TB, file string, b []byte) string {
	t.Helper()
	if err := os.WriteFile(file, b, 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func TestCertificate_selfManaged(t *testing.T) {
	dir := t.TempDir()
	now := time.Now()
	options := Options{DataDir: dir, Names: []string{"digestgate.digestgate.svc", "127.0.0.1"}, Now: func() time.Time { return now }}
	first, err := New(options)
	if err != nil {
		t.Fatal(err)
	}
	url := serve(t, first)
	resp, err := certificatetest.Client(t, func(c *tls.Config) { c.RootCAs = certificatetest.Pool(first.CABundle()) }).Post(url, "application/json", strings.NewReader("{}"))
	if err != nil {
		t.Fatalf("a client that trusts the bundle: %v", err)
	}
	defer resp.Body.Close()
	if resp.ProtoMajor != 2 || resp.StatusCode != answered {
		t.Errorf("got %s %s, want HTTP/2 and 204", resp.Proto, resp.Status)
	}
	files, err := os.ReadDir(filepath.Join(dir, "tls"))
	if err != nil || len(files) != 2 {
		t.Errorf("got %d files, %v, want 2", len(files), err)
	}
	for _, f := range files {
		if info, err := f.Info(); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %v, %v", f.Name(), info.Mode(), err)
		}
	}
	again, err := New(options)
	if err != nil || !bytes.Equal(again.CABundle(), first.CABundle()) || !again.Expiry().Equal(first.Expiry()) {
		t.Errorf("after a restart another certificate: %v", err)
	}
	t.Run("renewed_before_expiry", func(t *testing.T) {
		now = first.Expiry().Add(-renewBefore - time.Hour)
		if again.Refresh() {
			t.Error("renewed too early")
		}
		now = first.Expiry().Add(-renewBefore + time.Hour)
		if !again.Refresh() || !again.Expiry().After(first.Expiry().Add(200*24*time.Hour)) {
			t.Errorf("not renewed 60 days ahead: expires %s", again.Expiry())
		}
		if !bytes.Equal(again.CABundle(), first.CABundle()) {
			t.Error("the authority changed with the serving certificate")
		}
	})
	t.Run("new_name", func(t *testing.T) {
		options.Names = append(options.Names, "other.svc")
		c, err := New(options)
		if err != nil {
			t.Fatal(err)
		}
		if err := c.current.Load().leaf.VerifyHostname("other.svc"); err != nil || !bytes.Equal(c.CABundle(), first.CABundle()) {
			t.Errorf("the certificate does not follow its names: %v", err)
		}
	})
	t.Run("broken_authority_is_kept", func(t *testing.T) {
		write(t, filepath.Join(dir, "tls", "authority.pem"), []byte("garbage"))
		if _, err := New(options); !errors.Is(err, gate.ErrInvalid) || !strings.Contains(err.Error(), "authority.pem") {
			t.Errorf("NewCertificate: got %v, want ErrInvalid", err)
		}
		if again.Refresh() {
			t.Error("Refresh replaced the certificate")
		}
	})
}

// swap replaces a pair as the kubelet does: a new folder, and a symbolic link
// that is renamed over the old one.
func swap(t testing.TB, dir, version string, c *issued) {
	t.Helper()
	folder := filepath.Join(dir, version)
	if err := os.Mkdir(folder, 0o700); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(folder, "tls.crt"), c.certPEM)
	write(t, filepath.Join(folder, "tls.key"), c.keyPEM)
	link := filepath.Join(dir, ".."+version)
	if err := errors.Join(os.Symlink(version, link), os.Rename(link, filepath.Join(dir, "data"))); err != nil {
		t.Fatal(err)
	}
}

// TestCertificate_swap: under load no request fails, new connections see the
// new certificate, a half-written pair changes nothing (T03).
func TestCertificate_swap(t *testing.T) {
	dir := t.TempDir()
	s := selfManaged{names: []string{"127.0.0.1"}, now: time.Now}
	ca := own(t, dir)
	serving := func() *issued {
		c, err := s.issue(ca)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	one, two := serving(), serving()
	swap(t, dir, "v1", one)
	var log bytes.Buffer
	reg := prometheus.NewPedanticRegistry()
	c, err := New(Options{
		TLS: Config{CertFile: filepath.Join(dir, "data", "tls.crt"), KeyFile: filepath.Join(dir, "data", "tls.key")},
		Log: slog.New(slog.NewTextHandler(&log, nil)), Registerer: reg,
	})
	if err != nil {
		t.Fatal(err)
	}
	url := serve(t, c)
	var stop atomic.Bool
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for !stop.Load() {
				// A connection for each request: each sees a handshake.
				cl := certificatetest.Client(t, func(c *tls.Config) { c.RootCAs = certificatetest.Pool(ca.certPEM) })
				resp, err := cl.Post(url, "application/json", strings.NewReader("{}"))
				if err != nil || resp.StatusCode != answered {
					t.Errorf("during the swap: %v %v", resp, err)
					return
				}
				_, _ = io.Copy(io.Discard, resp.Body)
				resp.Body.Close()
				cl.CloseIdleConnections()
			}
		})
	}
	serial := func() string {
		conn, err := tls.Dial("tcp", strings.TrimPrefix(url, "https://"), &tls.Config{RootCAs: certificatetest.Pool(ca.certPEM)})
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		return conn.ConnectionState().PeerCertificates[0].SerialNumber.String()
	}
	if got := serial(); got != one.leaf.SerialNumber.String() {
		t.Errorf("before the swap: got serial %s", got)
	}
	swap(t, dir, "v2", &issued{certPEM: two.certPEM, keyPEM: one.keyPEM})
	for range 2 {
		if c.Refresh() {
			t.Error("Refresh took a pair that does not fit together")
		}
	}
	if got := serial(); got != one.leaf.SerialNumber.String() {
		t.Errorf("with a half-written pair: got serial %s", got)
	}
	if n := strings.Count(log.String(), "not replaced"); n != 1 {
		t.Errorf("the broken pair is reported %d times, want once:\n%s", n, log.String())
	}
	swap(t, dir, "v3", two)
	if !c.Refresh() || c.Refresh() {
		t.Error("Refresh: want true for the new pair, then false")
	}
	if got := serial(); got != two.leaf.SerialNumber.String() {
		t.Errorf("after the swap: got serial %s", got)
	}
	stop.Store(true)
	wg.Wait()
	if strings.Contains(log.String(), "PRIVATE KEY") {
		t.Error("a key is in the log")
	}
}

// TestCertificate_clients: with client authorities nobody else gets past the
// handshake (T02).
func TestCertificate_clients(t *testing.T) {
	dir := t.TempDir()
	ca, other := own(t, dir), own(t, dir)
	caFile := write(t, filepath.Join(dir, "clients.pem"), ca.certPEM)
	c, err := New(Options{TLS: Config{ClientCAFile: caFile}, DataDir: dir, Names: []string{"127.0.0.1"}})
	if err != nil {
		t.Fatal(err)
	}
	url := serve(t, c)
	issue := func(by *issued, now time.Time, server bool) *tls.Certificate {
		t.Helper()
		i, err := clientCertificate(by, now, server)
		if err != nil {
			t.Fatal(err)
		}
		pair, err := tls.X509KeyPair(i.certPEM, i.keyPEM)
		if err != nil {
			t.Fatal(err)
		}
		return &pair
	}
	tests := map[string]struct {
		cert *tls.Certificate
		want bool
	}{
		"none":            {nil, false},
		"right":           {issue(ca, time.Now(), false), true},
		"other_authority": {issue(other, time.Now(), false), false},
		"expired":         {issue(ca, time.Now().Add(-2*servingLife), false), false},
		"for_servers":     {issue(ca, time.Now(), true), false},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			cl := certificatetest.Client(t, func(config *tls.Config) {
				config.RootCAs = certificatetest.Pool(c.CABundle())
				if test.cert != nil {
					// GetClientCertificate sends it whatever the server asks for.
					config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return test.cert, nil }
				}
			})
			resp, err := cl.Post(url, "application/json", strings.NewReader("{}"))
			if err == nil {
				resp.Body.Close()
			}
			if (err == nil) != test.want {
				t.Errorf("got %v, want success %v", err, test.want)
			}
		})
	}
	t.Run("authorities_are_reloaded", func(t *testing.T) {
		write(t, caFile, other.certPEM)
		if !c.Refresh() {
			t.Fatal("Refresh: the new authorities went unnoticed")
		}
		cert := issue(other, time.Now(), false)
		resp, err := certificatetest.Client(t, func(config *tls.Config) {
			config.RootCAs, config.Certificates = certificatetest.Pool(c.CABundle()), []tls.Certificate{*cert}
		}).Post(url, "application/json", strings.NewReader("{}"))
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
	})
}

// clientCertificate signs what an authority would give a client.
func clientCertificate(by *issued, now time.Time, server bool) (*issued, error) {
	s := selfManaged{names: []string{"apiserver"}, now: func() time.Time { return now }}
	i, err := s.issue(by)
	if err != nil || server {
		return i, err
	}
	template := *i.leaf
	template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	der, err := x509.CreateCertificate(nil, &template, by.leaf, &i.key.PublicKey, by.key)
	if err != nil {
		return nil, err
	}
	i.certPEM = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	return i, nil
}

// TestCertificate_protocols: nothing below TLS 1.2, nothing in clear (T01).
func TestCertificate_protocols(t *testing.T) {
	c, err := New(Options{DataDir: t.TempDir(), Names: []string{"127.0.0.1"}})
	if err != nil {
		t.Fatal(err)
	}
	addr := strings.TrimPrefix(serve(t, c), "https://")
	for version, want := range map[uint16]bool{tls.VersionTLS10: false, tls.VersionTLS11: false, tls.VersionTLS12: true, tls.VersionTLS13: true} {
		conn, err := tls.Dial("tcp", addr, &tls.Config{RootCAs: certificatetest.Pool(c.CABundle()), MinVersion: version, MaxVersion: version})
		if (err == nil) != want {
			t.Errorf("%s: got %v, want success %v", tls.VersionName(version), err, want)
		}
		if err == nil {
			conn.Close()
		}
	}
	t.Run("weak_suites", func(t *testing.T) {
		var weak []uint16
		for _, s := range tls.InsecureCipherSuites() {
			weak = append(weak, s.ID)
		}
		if conn, err := tls.Dial("tcp", addr, &tls.Config{RootCAs: certificatetest.Pool(c.CABundle()), MaxVersion: tls.VersionTLS12, CipherSuites: weak}); err == nil {
			t.Errorf("accepted %s", tls.CipherSuiteName(conn.ConnectionState().CipherSuite))
			conn.Close()
		}
	})
	t.Run("plaintext", func(t *testing.T) {
		resp, err := certificatetest.Client(t, nil).Post("http://"+addr, "application/json", strings.NewReader("{}"))
		if err == nil {
			resp.Body.Close()
			if resp.StatusCode != 400 {
				t.Errorf("plaintext: got %s", resp.Status)
			}
		}
	})
}

// TestCertificate_expiry: an operator hears of it before it bites (T04).
func TestCertificate_expiry(t *testing.T) {
	dir := t.TempDir()
	ca := own(t, dir)
	now := time.Now()
	serving, err := selfManaged{names: []string{"127.0.0.1"}, now: time.Now}.issue(ca)
	if err != nil {
		t.Fatal(err)
	}
	options := Config{CertFile: write(t, filepath.Join(dir, "c"), serving.certPEM), KeyFile: write(t, filepath.Join(dir, "k"), serving.keyPEM)}
	for name, test := range map[string]struct {
		left time.Duration
		want bool
	}{"in_15_days": {15 * 24 * time.Hour, false}, "in_13_days": {13 * 24 * time.Hour, true}, "expired": {-time.Hour, true}} {
		t.Run(name, func(t *testing.T) {
			var log bytes.Buffer
			now = serving.leaf.NotAfter.Add(-test.left)
			c, err := New(Options{TLS: options, Now: func() time.Time { return now }, Log: slog.New(slog.NewTextHandler(&log, nil))})
			if err != nil {
				t.Fatal(err)
			}
			if got := strings.Contains(log.String(), "level=WARN"); got != test.want || c.CABundle() != nil {
				t.Errorf("got warning %v, want %v:\n%s", got, test.want, log.String())
			}
		})
	}
}

func TestNewCertificate_refused(t *testing.T) {
	dir := t.TempDir()
	a, b := own(t, dir), own(t, dir)
	cert, key, garbage := write(t, filepath.Join(dir, "a.crt"), a.certPEM), write(t, filepath.Join(dir, "b.key"), b.keyPEM), write(t, filepath.Join(dir, "g"), []byte("x"))
	for name, o := range map[string]Options{
		"missing":         {TLS: Config{CertFile: "/does/not/exist", KeyFile: key}},
		"mismatch":        {TLS: Config{CertFile: cert, KeyFile: key}},
		"garbage":         {TLS: Config{CertFile: garbage, KeyFile: key}},
		"garbage_clients": {TLS: Config{ClientCAFile: garbage}, DataDir: dir, Names: []string{"x"}},
		"no_names":        {DataDir: dir},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := New(o); !errors.Is(err, gate.ErrInvalid) {
				t.Errorf("NewCertificate: got %v, want ErrInvalid", err)
			}
		})
	}
}
