package webhooks

import (
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// authority issues certificates; its own is in PEM too.
func authority(t *testing.T, name string) (issue func(change func(*x509.Certificate)) tls.Certificate, text string) {
	t.Helper()
	key := newKey(t)
	root := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, root, root, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	issue = func(change func(*x509.Certificate)) tls.Certificate {
		t.Helper()
		own := newKey(t)
		leaf := &x509.Certificate{
			SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "sender"}, DNSNames: []string{"Quay.example.com"},
			NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
			ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
		}
		if change != nil {
			change(leaf)
		}
		der, err := x509.CreateCertificate(rand.Reader, leaf, root, own.Public(), key)
		if err != nil {
			t.Fatal(err)
		}
		return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: own}
	}
	return issue, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
}

// TestMTLS sends over real connections to a listener that asks for
// certificates and requires none.
func TestMTLS(t *testing.T) {
	ours, text := authority(t, "ours")
	theirs, _ := authority(t, "theirs")
	h := handler(t, Config{Auth: AuthMTLS, CAFile: file(t, text), Names: []string{"quay.example.com", "only-common"}}, queueAll, Options{})
	srv := httptest.NewUnstartedServer(h)
	srv.TLS = &tls.Config{ClientAuth: tls.RequestClientCert}
	srv.StartTLS()
	defer srv.Close()
	for name, c := range map[string]struct {
		cert []tls.Certificate
		want int
	}{
		"good":            {[]tls.Certificate{ours(nil)}, 202},
		"common_name":     {[]tls.Certificate{ours(func(c *x509.Certificate) { c.DNSNames, c.Subject.CommonName = nil, "only-common" })}, 202},
		"none":            {nil, 401},
		"other_authority": {[]tls.Certificate{theirs(nil)}, 401},
		"other_name":      {[]tls.Certificate{ours(func(c *x509.Certificate) { c.DNSNames = []string{"evil.example.com"} })}, 401},
		"common_name_beside_others": {[]tls.Certificate{ours(func(c *x509.Certificate) {
			c.Subject.CommonName, c.DNSNames = "only-common", []string{"evil.example.com"}
		})}, 401},
		"expired":     {[]tls.Certificate{ours(func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Minute) })}, 401},
		"for_servers": {[]tls.Certificate{ours(func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth} })}, 401},
	} {
		t.Run(name, func(t *testing.T) {
			transport := srv.Client().Transport.(*http.Transport).Clone()
			defer transport.CloseIdleConnections()
			transport.TLSClientConfig.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
				if len(c.cert) == 0 {
					return &tls.Certificate{}, nil
				}
				return &c.cert[0], nil
			}
			res, err := (&http.Client{Transport: transport}).Post(srv.URL+"/webhooks/prod", "application/json", strings.NewReader(`{"tags":["1"]}`))
			if err != nil {
				t.Fatal(err)
			}
			defer res.Body.Close()
			if res.StatusCode != c.want {
				t.Errorf("got %d, want %d", res.StatusCode, c.want)
			}
		})
	}
	if w := serve(h, "POST", "/webhooks/prod", `{"tags":["1"]}`); w.Code != 401 {
		t.Errorf("without TLS: got %d, want 401", w.Code)
	}
}
