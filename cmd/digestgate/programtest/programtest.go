// Package programtest is what tests of the program's packages have in common.
package programtest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// AnalyzerPath finds the analyser, or builds it: tests of the program are about the
// whole of it.
func AnalyzerPath(t testing.TB) string {
	t.Helper()
	if path := os.Getenv("DIGESTGATE_ANALYZER"); path != "" {
		return path
	}
	root, err := filepath.Abs(".")
	if err != nil {
		t.Fatal(err)
	}
	for {
		if _, err := os.Stat(filepath.Join(root, "go.mod")); err == nil {
			break
		}
		if root == filepath.Dir(root) {
			t.Fatal("this test does not run in the module")
		}
		root = filepath.Dir(root)
	}
	path := filepath.Join(root, "bin", "digestgate-analyzer")
	t.Logf("building the analyser into %s, because DIGESTGATE_ANALYZER names none: usually 5 to 10 minutes the first time, seconds later", path)
	cmd := exec.Command("go", "build", "-o", path, "./cmd/digestgate-analyzer")
	cmd.Dir = root
	cmd.Env = append(os.Environ(), "GOEXPERIMENT=jsonv2", "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("building the analyser: %v\n%s", err, out)
	}
	return path
}

// Certificate is one that signs itself, for names and a time, and the file of its
// authority.
func Certificate(t testing.TB, from, until time.Time, names ...string) (tls.Certificate, string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"}, NotBefore: from, NotAfter: until, DNSNames: names,
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "ca.pem")
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	if err := os.WriteFile(file, append([]byte("\ufeff"), text...), 0o600); err != nil { // as some editors save it
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, file
}
