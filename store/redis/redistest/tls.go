package redistest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"
)

// certificates are a CA and one certificate that it signed, for all servers of
// a test. A nil one is no TLS.
type certificates struct {
	caFile, certFile, keyFile string
	pool                      *x509.CertPool
}

func newCertificates(dir string) (*certificates, error) {
	ca, caKey, err := certificate("redistest CA", nil, nil)
	if err != nil {
		return nil, err
	}
	leaf, leafKey, err := certificate("redistest", ca, caKey)
	if err != nil {
		return nil, err
	}
	key, err := x509.MarshalPKCS8PrivateKey(leafKey)
	if err != nil {
		return nil, fmt.Errorf("encoding the key: %w", err)
	}
	c := &certificates{
		caFile: filepath.Join(dir, "ca.pem"), certFile: filepath.Join(dir, "cert.pem"), keyFile: filepath.Join(dir, "key.pem"),
		pool: x509.NewCertPool(),
	}
	c.pool.AddCert(ca)
	for _, f := range []struct {
		path, kind string
		der        []byte
	}{{c.caFile, "CERTIFICATE", ca.Raw}, {c.certFile, "CERTIFICATE", leaf.Raw}, {c.keyFile, "PRIVATE KEY", key}} {
		if err := os.WriteFile(f.path, pem.EncodeToMemory(&pem.Block{Type: f.kind, Bytes: f.der}), 0o600); err != nil {
			return nil, err
		}
	}
	return c, nil
}

// certificate makes one that is signed by the parent, or a CA without one.
func certificate(name string, parent *x509.Certificate, parentKey *ecdsa.PrivateKey) (*x509.Certificate, *ecdsa.PrivateKey, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, fmt.Errorf("making the key of %q: %w", name, err)
	}
	now := time.Now()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(now.UnixNano()), Subject: pkix.Name{CommonName: name},
		NotBefore: now.Add(-time.Hour), NotAfter: now.Add(24 * time.Hour), BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature,
	}
	if parent == nil {
		parent, parentKey = template, key
		template.IsCA, template.KeyUsage = true, x509.KeyUsageCertSign
	} else {
		// Servers of a cluster are each other's clients.
		template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}
		template.DNSNames, template.IPAddresses = []string{"localhost"}, []net.IP{net.IPv4(127, 0, 0, 1)}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, parentKey)
	if err != nil {
		return nil, nil, fmt.Errorf("signing the certificate of %q: %w", name, err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, nil, fmt.Errorf("reading the certificate of %q: %w", name, err)
	}
	return cert, key, nil
}

// client is what a client needs to trust the servers; nil without TLS.
func (c *certificates) client() *tls.Config {
	if c == nil {
		return nil
	}
	return &tls.Config{RootCAs: c.pool, MinVersion: tls.VersionTLS12}
}

// scheme is that of URLs.
func (c *certificates) scheme() string {
	if c == nil {
		return "redis"
	}
	return "rediss"
}

// file is the CA's certificate, "" without TLS.
func (c *certificates) file() string {
	if c == nil {
		return ""
	}
	return c.caFile
}

// lines are what redis.conf says about the port.
func (c *certificates) lines(port int) []string {
	if c == nil {
		return []string{fmt.Sprintf("port %d", port)}
	}
	return []string{
		"port 0", fmt.Sprintf("tls-port %d", port), "tls-auth-clients no", "tls-replication yes",
		fmt.Sprintf("tls-ca-cert-file %q", c.caFile), fmt.Sprintf("tls-cert-file %q", c.certFile), fmt.Sprintf("tls-key-file %q", c.keyFile),
	}
}
