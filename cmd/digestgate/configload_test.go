package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func loadText(t *testing.T, text string, environ ...string) (Config, error) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "config.yaml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return configSource{file: file, environ: environ}.load()
}

// TestListsReplaceTheirDefaults: a list in the file is the whole list. What is
// left over of a default would, for example, exempt a namespace.
func TestListsReplaceTheirDefaults(t *testing.T) {
	c, err := loadText(t, `
roles: [api]
scan: {platforms: [linux/arm64], risks: [vulnerabilities]}
admission: {exemptNamespaces: []}
advisories: {repositories: [example.com/db:2]}
`)
	if err != nil {
		t.Fatal(err)
	}
	if len(c.Roles) != 1 || len(c.Scan.Platforms) != 1 || len(c.Scan.Risks) != 1 || len(c.Admission.ExemptNamespaces) != 0 || len(c.Advisories.Repositories) != 1 {
		t.Errorf("got roles %q, platforms %q, risks %q, exempt %q, repositories %q",
			c.Roles, c.Scan.Platforms, c.Scan.Risks, c.Admission.ExemptNamespaces, c.Advisories.Repositories)
	}
}

// TestNullIsTheDefault: a key without a value is one that is not set.
func TestNullIsTheDefault(t *testing.T) {
	c, err := loadText(t, "scan: {concurrency: }\nadmission:\nroles: null\nregistries:\n  - {name: a, type: harbor, host: a.example.com, concurrency: }\n")
	if err != nil {
		t.Fatal(err)
	}
	if c.Scan.Concurrency != 2 || c.Admission.NewDigestsPerHour != 60 || len(c.Roles) != 5 || c.Registries[0].Concurrency != 4 {
		t.Errorf("got scan.concurrency %d, newDigestsPerHour %d, roles %q, registries[0].concurrency %d",
			c.Scan.Concurrency, c.Admission.NewDigestsPerHour, c.Roles, c.Registries[0].Concurrency)
	}
}

// TestVariablesOfKubernetes: a cluster tells every container about the Services
// beside it, in variables that begin with the Service's name.
func TestVariablesOfKubernetes(t *testing.T) {
	injected := []string{
		"DIGESTGATE_SERVICE_HOST=10.0.0.1", "DIGESTGATE_SERVICE_PORT=443", "DIGESTGATE_SERVICE_PORT_HTTP=8080", "DIGESTGATE_PORT=tcp://10.0.0.1:443",
		"DIGESTGATE_PORT_443_TCP=tcp://10.0.0.1:443", "DIGESTGATE_PORT_443_TCP_PROTO=tcp", "DIGESTGATE_PORT_443_TCP_PORT=443",
		"DIGESTGATE_PORT_443_TCP_ADDR=10.0.0.1", "DIGESTGATE_WEBHOOKS_SERVICE_HOST=10.0.0.2", "DIGESTGATE_WEBHOOKS_PORT_80_TCP_ADDR=10.0.0.2",
	}
	if _, err := loadText(t, "{}", injected...); err != nil {
		t.Errorf("beside Services named digestgate and digestgate-webhooks: %v", err)
	}
	if _, err := loadText(t, "{}", "DIGESTGATE_SCAN_TIMEOT=5m"); err == nil || !strings.Contains(err.Error(), "DIGESTGATE_SCAN_TIMEOT") {
		t.Errorf("a key that is misspelt: got %v", err)
	}
}
