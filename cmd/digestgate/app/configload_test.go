package app

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/digestgate/digestgate/gate/lookup"
)

func loadText(t *testing.T, text string, environ ...string) (Config, error) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "config.yaml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return ConfigSource{File: file, environ: environ}.Load()
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

// TestNumbersOfTexts: what Go would take for a value of another type is refused
// and not cut.
func TestNumbersOfTexts(t *testing.T) {
	for _, text := range []string{"scan: {concurrency: 2.5}", "scan: {concurrency: \"2\"}", "registries: [{name: 5}]", "admission: {requireDigest: yes}"} {
		if _, err := loadText(t, text); err == nil {
			t.Errorf("%s is taken", text)
		}
	}
}

// TestProblemsOfOnePartTogether: no part stops at its first.
func TestProblemsOfOnePartTogether(t *testing.T) {
	_, err := loadText(t, `
quota: {limit: -1, period: year, timeZone: Mars}
registries:
- {name: a, type: harbor, host: a.example.com, username: "x:y", passwordFile: /nonexistent/1, caFile: /nonexistent/2}
- {name: a, type: harbour, host: b.example.com, aliases: [a.example.com], webhook: {auth: heder, secretFiles: [/nonexistent/3]}}
- {name: c, type: harbor, host: b.example.com}
admission: {clusters: [{name: other, tokenFile: /nonexistent/4}, {name: third}]}
`)
	if err == nil {
		t.Fatal("it is usable")
	}
	for _, want := range []string{
		"2: quota.limit: -1", "2: quota.period: \"year\"", "2: quota.timeZone: \"Mars\"",
		"4: registries[0].username:", "/nonexistent/1: no such file", "/nonexistent/2: no such file", "/nonexistent/3: no such file", "/nonexistent/4: no such file",
		"5: registries[1].name: \"a\" is the name of registries[0] too", "5: registries[1].aliases[0]: \"a.example.com\" belongs to registries[0]",
		"5: registries[1].type: \"harbour\" is unknown", "5: registries[1].webhook.auth: \"heder\"", "6: registries[2].host: \"b.example.com\" belongs to registries[1]",
		"7: admission.clusters[1].tokenFile: only the cluster",
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("nothing about %q", want)
		}
	}
	if t.Failed() || strings.Contains(err.Error(), "invalid input") {
		t.Logf("got:\n%v", err)
	}
	if strings.Contains(err.Error(), "invalid input") {
		t.Error("a class of errors is named")
	}
}

// TestRefusesAll: whether rules let anything of a registry in.
func TestRefusesAll(t *testing.T) {
	rule := func(pattern string, allowed bool) lookup.RepositoryRule {
		return lookup.RepositoryRule{Pattern: pattern, Allowed: allowed}
	}
	for _, tc := range []struct {
		name  string
		rules []lookup.RepositoryRule
		want  bool
	}{
		{"no_rules", nil, false},
		{"denies_some", []lookup.RepositoryRule{rule("hub/sandbox/**", false)}, false},
		{"denies_one_level", []lookup.RepositoryRule{rule("hub/*", false)}, false},
		{"denies_all", []lookup.RepositoryRule{rule("hub/**", false)}, true},
		{"denies_everywhere", []lookup.RepositoryRule{rule("*/**", false)}, true},
		{"allows", []lookup.RepositoryRule{rule("hub/team/**", true)}, false},
		{"allows_one", []lookup.RepositoryRule{rule("hub/team/app", true)}, false},
		{"allows_others", []lookup.RepositoryRule{rule("other/**", true)}, true},
		{"allows_any", []lookup.RepositoryRule{rule("*/team/**", true)}, false},
		{"may_allow", []lookup.RepositoryRule{rule("{hub,other}/x", true)}, false},
		{"allows_what_is_denied", []lookup.RepositoryRule{rule("hub/team/**", true), rule("hub/**", false)}, true},
		{"allows_more_than_is_denied", []lookup.RepositoryRule{rule("hub/team/**", true), rule("hub/team/secret/**", false)}, false},
	} {
		if got := refusesAll(tc.rules, "hub"); got != tc.want {
			t.Errorf("%s: got %v, want %v", tc.name, got, tc.want)
		}
	}
}
