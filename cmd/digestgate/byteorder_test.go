package main

import (
	"crypto/ecdsa"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/digestgate/digestgate/cmd/digestgate/programtest"
)

// Some editors put a byte order mark in front of what they save, or save UTF-16. Every
// file that a configuration names is read without the mark, or refused with its name.
func TestConfigCheckReadsWhatEditorsSave(t *testing.T) {
	t.Parallel()
	pair, ca := programtest.Certificate(t, time.Now().Add(-time.Hour), time.Now().Add(time.Hour), "localhost")
	certText := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: pair.Certificate[0]})
	der, err := x509.MarshalECPrivateKey(pair.PrivateKey.(*ecdsa.PrivateKey))
	if err != nil {
		t.Fatal(err)
	}
	keyText := pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: der})
	files := map[string]string{
		"cert.pem": string(certText), "key.pem": string(keyText), "token": strings.Repeat("t", 20), "cluster": strings.Repeat("c", 20), "password": "p", "hook": "short-one",
		"docker.json": `{"auths":{"b.example.com":{"auth":"YTpi"}}}`, "rule.rego": "package digestgate\n\ndeny contains {\"rule\": \"never\", \"msg\": \"never\"} if input.image.registry == \"nowhere\"\n",
	}
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	put := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(at(name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for name, text := range files {
		put(name, "\ufeff"+text)
	}
	put("c.yaml", "\ufeff"+fmt.Sprintf(`dataDir: %[1]s/data
http: {tls: {certFile: %[1]s/cert.pem, keyFile: %[1]s/key.pem}}
admission: {tls: {certFile: %[1]s/cert.pem, keyFile: %[1]s/key.pem, clientCAFile: %[1]s/cert.pem}, clusters: [{name: default, tokenFile: %[1]s/cluster}]}
auth: {adminTokenFile: %[1]s/token}
policy: {paths: [%[1]s/rule.rego]}
registries:
- {name: a, type: harbor, host: a.example.com, username: u, passwordFile: %[1]s/password, caFile: %[2]s, webhook: {auth: header, header: Authorization, secretFiles: [%[1]s/hook]}}
- {name: b, type: distribution, host: b.example.com, credentials: {dockerConfig: %[1]s/docker.json}}
`, dir, ca))
	check := func(want int, parts ...string) {
		t.Helper()
		code, stdout, stderr := command(t, "config", "check", "-c", at("c.yaml"))
		if code != want {
			t.Errorf("config check: exit %d, want %d\n%s%s", code, want, stdout, stderr)
		}
		for _, part := range parts {
			if !strings.Contains(stdout+stderr, part) {
				t.Errorf("config check: want %q in\n%s%s", part, stdout, stderr)
			}
		}
	}
	check(0, "registries[0].webhook.secretFiles[0]: the secret in", "has 9 characters and is short enough to be guessed")
	for name, text := range files {
		utf16 := "\xff\xfe"
		for _, b := range []byte(text) {
			utf16 += string([]byte{b, 0})
		}
		put(name, utf16)
		check(1, name, "UTF-16; save it as UTF-8")
		put(name, text)
	}
	check(0)
}
