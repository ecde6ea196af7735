package registry

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/scanner/registry/fake"
)

func validConfig() Config {
	c := DefaultConfig()
	c.Name, c.Type, c.Host = "harbor-prod", "harbor", "harbor.example.com"
	return c
}

func TestValidConfigurations(t *testing.T) {
	ca := start(t, fake.Options{TLS: true}).CAPEM()
	for name, change := range map[string]func(*Config){
		"smallest": func(*Config) {},
		"ports": func(c *Config) {
			c.Host, c.Aliases = "harbor.example.com:8443", []string{"10.0.0.5:5000", "[::1]:5000", "localhost"}
		},
		"credentials": func(c *Config) { c.Username, c.PasswordFile = "robot$gate", file(t, "x") },
		"certificate": func(c *Config) { c.CAFile = file(t, string(ca)) },
		"plain":       func(c *Config) { c.PlainHTTP = true },
		"any_limit":   func(c *Config) { c.PullsPerHour = 12345 },
		"no_limit":    func(c *Config) { c.Concurrency, c.PullsPerHour = 0, 0 },
		"patterns":    func(c *Config) { c.Include, c.Exclude = []string{"library/**"}, []string{"**/{test,dev}-*"} },
		"docker_hub":  func(c *Config) { c.Type, c.Host = "dockerhub", "docker.io" },
		"token_hosts": func(c *Config) {
			c.TokenHosts, c.BlobHosts = []string{"auth.example.com"}, []string{"s3.internal:9000"}
		},
		"upper_case":   func(c *Config) { c.Host = "Harbor.Example.COM" },
		"digit_labels": func(c *Config) { c.Host = "123.dkr.ecr.eu-west-1.amazonaws.com" },
	} {
		c := validConfig()
		change(&c)
		if err := c.Validate(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestInvalidConfigurations(t *testing.T) {
	missing := filepath.Join(t.TempDir(), "missing")
	tests := map[string]struct {
		change func(*Config)
		want   string // beginning of the line
	}{
		"name_empty":        {func(c *Config) { c.Name = "" }, "name: "},
		"name_with_slash":   {func(c *Config) { c.Name = "a/b" }, "name: "},
		"name_upper":        {func(c *Config) { c.Name = "Harbor" }, "name: "},
		"type":              {func(c *Config) { c.Type = "nexus" }, `type: "nexus" is unknown (want one of harbor, `},
		"host_empty":        {func(c *Config) { c.Host = "" }, "host: is empty"},
		"host_scheme":       {func(c *Config) { c.Host = "https://reg.example.com" }, "host: "},
		"host_path":         {func(c *Config) { c.Host = "reg.example.com/v2" }, "host: "},
		"host_user":         {func(c *Config) { c.Host = "u@reg.example.com" }, "host: "},
		"host_trailing_dot": {func(c *Config) { c.Host = "reg.example.com." }, "host: "},
		"host_port":         {func(c *Config) { c.Host = "reg.example.com:99999" }, "host: "},
		"host_port_zeros":   {func(c *Config) { c.Host = "reg.example.com:05000" }, "host: "},
		"host_port_empty":   {func(c *Config) { c.Host = "reg.example.com:" }, "host: "},
		"host_short_ip":     {func(c *Config) { c.Host = "127.1" }, "host: "},
		"host_hex_ip":       {func(c *Config) { c.Host = "0x7f.1" }, "host: "},
		"host_bare_ipv6":    {func(c *Config) { c.Host = "::1" }, "host: "},
		"host_zone":         {func(c *Config) { c.Host = "[fe80::1%eth0]" }, "host: "},
		"host_homoglyph":    {func(c *Config) { c.Host = "r\u0435g.example.com" }, `host: "r\u0435g`},
		"alias":             {func(c *Config) { c.Aliases = []string{"ok.example.com", "a b"} }, "aliases[1]: "},
		"token_host":        {func(c *Config) { c.TokenHosts = []string{""} }, "tokenHosts[0]: is empty"},
		"blob_host":         {func(c *Config) { c.BlobHosts = []string{"*.s3.example.com"} }, "blobHosts[0]: "},
		"pulls":             {func(c *Config) { c.PullsPerHour = -1 }, "pullsPerHour: "},
		"concurrency":       {func(c *Config) { c.Concurrency = -1 }, "concurrency: "},
		"include":           {func(c *Config) { c.Include = []string{"a[b"} }, "include[0]: "},
		"exclude":           {func(c *Config) { c.Exclude = []string{""} }, "exclude[0]: "},
		"user_only":         {func(c *Config) { c.Username = "u" }, "passwordFile: is required"},
		"password_only":     {func(c *Config) { c.PasswordFile = file(t, "x") }, "username: is required"},
		"user_with_colon":   {func(c *Config) { c.Username, c.PasswordFile = "a:b", file(t, "x") }, "username: "},
		"password_missing":  {func(c *Config) { c.Username, c.PasswordFile = "u", missing }, "passwordFile: reading password: open "},
		"password_empty":    {func(c *Config) { c.Username, c.PasswordFile = "u", file(t, "\n") }, "passwordFile: "},
		"password_huge":     {func(c *Config) { c.Username, c.PasswordFile = "u", file(t, strings.Repeat("x", maxSecretBytes+1)) }, "passwordFile: "},
		"password_is_dir":   {func(c *Config) { c.Username, c.PasswordFile = "u", t.TempDir() }, "passwordFile: "},
		"ca_missing":        {func(c *Config) { c.CAFile = missing }, "caFile: "},
		"ca_no_pem":         {func(c *Config) { c.CAFile = file(t, "x") }, "caFile: "},
		"plain_with_ca":     {func(c *Config) { c.PlainHTTP, c.InsecureSkipVerify = true, true }, "plainHTTP: "},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			c := validConfig()
			tt.change(&c)
			err := c.Validate()
			if err == nil || !strings.HasPrefix(err.Error(), tt.want) || !errors.Is(err, gate.ErrInvalid) {
				t.Errorf("got %v, want %q", err, tt.want)
			}
			if strings.Contains(fmt.Sprint(err), "\n") {
				t.Errorf("one mistake, several lines: %v", err)
			}
			if _, err := New(Options{Registries: []Config{c}}); !errors.Is(err, gate.ErrInvalid) {
				t.Errorf("New: got %v", err)
			}
		})
	}
	t.Run("all_at_once", func(t *testing.T) {
		err := Config{Aliases: []string{""}, Concurrency: -1}.Validate()
		if got := len(strings.Split(err.Error(), "\n")); got != 5 {
			t.Errorf("got %d lines:\n%v", got, err)
		}
	})
	t.Run("twice", func(t *testing.T) {
		if _, err := New(Options{Registries: []Config{validConfig(), validConfig()}}); !errors.Is(err, gate.ErrInvalid) {
			t.Errorf("got %v", err)
		}
	})
}

func TestRegistryOfConfig(t *testing.T) {
	c := validConfig()
	c.Host, c.Aliases = "Index.Docker.io", []string{"Mirror.Example.com:5000"}
	c.Include, c.Exclude, c.PullsPerHour = []string{"a/**"}, []string{"a/b"}, 50
	want := gate.Registry{
		Name: "harbor-prod", Type: "harbor", Host: "docker.io", Aliases: []string{"mirror.example.com:5000"},
		Include: []string{"a/**"}, Exclude: []string{"a/b"}, Limits: gate.Limits{Concurrency: 4, PullsPerHour: 50},
	}
	if diff := cmp.Diff(want, c.Registry()); diff != "" {
		t.Errorf("Registry (-want +got):\n%s", diff)
	}
}

func TestParsesPlatforms(t *testing.T) {
	got, err := ParsePlatforms([]string{"linux/amd64", "linux/arm/v7", "linux/arm64"})
	want := []gate.Platform{{OS: "linux", Architecture: "amd64"}, {OS: "linux", Architecture: "arm", Variant: "v7"}, {OS: "linux", Architecture: "arm64"}}
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
	for _, bad := range []string{"", "linux", "amd64", "windows/amd64", "linux/*", "linux/amd64/v1/x", "*/amd64"} {
		if _, err := ParsePlatforms([]string{bad}); !errors.Is(err, gate.ErrInvalid) {
			t.Errorf("ParsePlatforms(%q): got %v", bad, err)
		}
	}
}
