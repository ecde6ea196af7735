package app

import (
	"crypto/tls"
	"strings"
	"testing"

	"github.com/digestgate/digestgate/scanner/registry"
	"github.com/digestgate/digestgate/webhooks"
)

// TestClientCertificates: a listener without TLS cannot ask for certificates,
// so such a configuration is refused; one with TLS asks only where a registry
// wants it, and leaves the shared settings alone.
func TestClientCertificates(t *testing.T) {
	t.Parallel()
	c := DefaultConfig()
	r := RegistryConfig{Config: registry.DefaultConfig(), Webhook: webhooks.Config{Auth: webhooks.AuthMTLS, CAFile: "/no/such/file"}}
	r.Name, r.Type, r.Host = "quay", "quay", "quay.example.com"
	c.Registries = []RegistryConfig{r}
	const want = "registries[0].webhook.auth: mtls needs TLS"
	if err := c.Validate(); err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("Validate without TLS: got %v, want %q", err, want)
	}
	c.HTTP.TLS = TLSConfig{CertFile: "c", KeyFile: "k"}
	if err := c.Validate(); err != nil && strings.Contains(err.Error(), want) {
		t.Errorf("Validate with TLS: got %v", err)
	}
	shared := &tls.Config{MinVersion: tls.VersionTLS12}
	a := &App{Config: c}
	asks := func(listener *tls.Config) bool {
		got, err := listener.GetConfigForClient(nil)
		return err == nil && got != nil && got.ClientAuth == tls.RequestClientCert
	}
	listener := a.hookTLS(shared)
	if !asks(listener) || shared.ClientAuth != tls.NoClientCert || shared.GetConfigForClient != nil {
		t.Errorf("hookTLS: got %v, want a copy that asks", listener)
	}
	a.asksCertificates.Store(false) // the registry is gone after a reload
	if asks(listener) {
		t.Error("hookTLS asks although nobody wants it any more")
	}
	if asks((&App{Config: DefaultConfig()}).hookTLS(shared)) {
		t.Error("hookTLS asks although nobody wants it")
	}
	if got := a.hookTLS(nil); got != nil {
		t.Error("hookTLS makes TLS out of nothing")
	}
}
