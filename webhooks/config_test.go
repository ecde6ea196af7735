package webhooks

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/digestgate/digestgate/gate"
)

func file(t testing.TB, content string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

func TestConfigValidate(t *testing.T) {
	good := file(t, "secret\n")
	for name, c := range map[string]struct {
		config Config
		want   []string // one for each line, in order; none means valid
	}{
		"absent":           {Config{}, nil},
		"defaults":         {DefaultConfig(), nil},
		"limits_alone":     {Config{DeliveriesPerSecond: 5, Burst: 5}, []string{"webhook.auth: missing"}},
		"negative_rate":    {Config{Auth: AuthNone, DeliveriesPerSecond: -1, Burst: 5}, []string{"webhook.deliveriesPerSecond: -1 is negative"}},
		"negative_burst":   {Config{Auth: AuthNone, DeliveriesPerSecond: 5, Burst: -1}, []string{"webhook.burst: -1 is negative"}},
		"no_burst":         {Config{Auth: AuthNone, DeliveriesPerSecond: 5}, []string{"webhook.burst: 0 would take no delivery"}},
		"unlimited":        {Config{Auth: AuthNone}, nil},
		"header":           {Config{Auth: AuthHeader, SecretFiles: []string{good, good}}, nil},
		"own_header":       {Config{Auth: AuthHeader, Header: "X-Gate", SecretFiles: []string{good}}, nil},
		"hmac":             {Config{Auth: AuthHMAC, Header: "X-Hub-Signature-256", SecretFiles: []string{good}}, nil},
		"basic":            {Config{Auth: AuthBasic, SecretFiles: []string{file(t, "user:password")}}, nil},
		"token":            {Config{Auth: AuthToken, SecretFiles: []string{good}}, nil},
		"none":             {Config{Auth: AuthNone}, nil},
		"auth_missing":     {Config{SecretFiles: []string{good}}, []string{"webhook.auth: missing"}},
		"auth_unknown":     {Config{Auth: "magic"}, []string{`webhook.auth: "magic" is not one of`}},
		"oidc":             {Config{Auth: AuthOIDC, Issuer: "https://accounts.google.com", Audience: "a", Emails: []string{"b@c"}}, nil},
		"oidc_nothing":     {Config{Auth: AuthOIDC}, []string{"webhook.issuer: ", "webhook.audience: missing", "webhook.emails: missing"}},
		"oidc_http":        {Config{Auth: AuthOIDC, Issuer: "http://a", Audience: "a", Subjects: []string{"b"}}, []string{"webhook.issuer: "}},
		"oidc_secret":      {Config{Auth: AuthOIDC, Issuer: "https://a", Audience: "a", Subjects: []string{"b"}, SecretFiles: []string{good}}, []string{"webhook.secretFiles: auth oidc"}},
		"oidc_empty":       {Config{Auth: AuthOIDC, Issuer: "https://a", Audience: "a", Emails: []string{""}}, []string{"webhook.emails: it has an empty"}},
		"mtls_nothing":     {Config{Auth: AuthMTLS}, []string{"webhook.caFile: missing"}},
		"mtls_no_pem":      {Config{Auth: AuthMTLS, CAFile: good}, []string{"webhook.caFile: "}},
		"mtls_no_file":     {Config{Auth: AuthMTLS, CAFile: "/no/such/file"}, []string{"webhook.caFile: "}},
		"useless_issuer":   {Config{Auth: AuthNone, Issuer: "https://a"}, []string{"webhook.issuer: only auth oidc"}},
		"useless_names":    {Config{Auth: AuthNone, Names: []string{"a"}}, []string{"webhook.names: only auth mtls"}},
		"no_secret":        {Config{Auth: AuthHeader}, []string{"webhook.secretFiles: auth header needs at least one secret"}},
		"none_with_secret": {Config{Auth: AuthNone, SecretFiles: []string{good}}, []string{"webhook.secretFiles: auth none"}},
		"hmac_no_header":   {Config{Auth: AuthHMAC, SecretFiles: []string{good}}, []string{"webhook.header: missing"}},
		"useless_header":   {Config{Auth: AuthBasic, Header: "X", SecretFiles: []string{file(t, "a:b")}}, []string{"webhook.header: auth basic does not use it"}},
		"wrong_header":     {Config{Auth: AuthHeader, Header: "X Y", SecretFiles: []string{good}}, []string{"webhook.header: "}},
		"missing_file":     {Config{Auth: AuthHeader, SecretFiles: []string{good, "/no/such/file"}}, []string{`webhook.secretFiles[1]: reading the secret in "/no/such/file": `}},
		"empty_file":       {Config{Auth: AuthHeader, SecretFiles: []string{file(t, " \n")}}, []string{"webhook.secretFiles[0]: "}},
		"two_lines":        {Config{Auth: AuthHeader, SecretFiles: []string{file(t, "a\nb")}}, []string{"several lines"}},
		"huge_file":        {Config{Auth: AuthHMAC, Header: "X", SecretFiles: []string{file(t, strings.Repeat("a", maxSecret+1))}}, []string{"larger than 64KiB"}},
		"not_user_colon":   {Config{Auth: AuthBasic, SecretFiles: []string{good}}, []string{"user:password"}},
		"all_at_once": {Config{Auth: AuthHeader, Header: "X Y", SecretFiles: []string{"/no/a", "/no/b"}},
			[]string{"webhook.header: ", "webhook.secretFiles[0]: ", "webhook.secretFiles[1]: "}},
	} {
		t.Run(name, func(t *testing.T) {
			err := c.config.Validate()
			if len(c.want) == 0 {
				if err != nil {
					t.Errorf("Validate: %v", err)
				}
				return
			}
			if err == nil || !errors.Is(err, gate.ErrInvalid) {
				t.Fatalf("Validate: got %v, want ErrInvalid", err)
			}
			lines := strings.Split(err.Error(), "\n")
			if len(lines) != len(c.want) {
				t.Fatalf("Validate: got %q, want %d lines", lines, len(c.want))
			}
			for i, want := range c.want {
				if !strings.Contains(lines[i], want) || !strings.HasPrefix(lines[i], "webhook.") {
					t.Errorf("line %d: got %q, want it to have %q", i, lines[i], want)
				}
			}
			if _, err := NewAuthenticator(c.config, nowFunc(), quiet()); err == nil {
				t.Error("NewAuthenticator takes what Validate refuses")
			}
		})
	}
	if _, err := NewAuthenticator(Config{}, nowFunc(), quiet()); err == nil {
		t.Error("NewAuthenticator of nothing: it must not mean that everybody is let in")
	}
}
