package webhooks

import (
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"github.com/digestgate/digestgate/gate"
)

// The ways in which a sender proves itself.
const (
	// AuthHeader: a header has one of the secrets as its whole value.
	AuthHeader = "header"
	// AuthHMAC: a header has the hexadecimal HMAC-SHA256 of the body under one
	// of the secrets, with or without "sha256=" in front.
	AuthHMAC = "hmac-sha256"
	// AuthBasic: HTTP basic authentication; each secret is "user:password".
	AuthBasic = "basic"
	// AuthToken: ?token=SECRET or /webhooks/{name}/SECRET, for senders that can
	// set nothing but a URL. Proxies in between may log it.
	AuthToken = "token"
	// AuthNone: everybody who reaches the endpoint is believed to be the
	// registry. Pushes are hints, so the harm is load, not a wrong verdict.
	AuthNone = "none"
	// AuthOIDC and AuthMTLS are names of the configuration that this version
	// refuses.
	AuthOIDC = "oidc"
	AuthMTLS = "mtls"
)

// Config is the webhook block of a registry. The zero value means that the
// registry sends nothing to us.
type Config struct {
	// Auth is how a delivery is authenticated, one of the Auth constants. It
	// has no default: "none" must be said.
	Auth string `yaml:"auth"`
	// Header is the name of the header for auth header (default
	// Authorization) and hmac-sha256 (no default: vendors differ).
	Header string `yaml:"header"`
	// SecretFiles each hold one secret; surrounding white space is ignored.
	// All of them are valid at once, so that a secret can be replaced without
	// losing a delivery. They are read again when they change.
	SecretFiles []string `yaml:"secretFiles"`
	// Hosts are names (host or host:port) that deliveries may give the registry
	// besides its host and aliases, where images are not pulled by them: the
	// base URL of an Artifactory whose repositories are hosts or ports of their
	// own. Unlike an alias, several registries may share one.
	Hosts []string `yaml:"hosts"`
	// Repositories says by which name the repositories of deliveries are
	// pulled, where that is another: the beginning of a name, in whole parts,
	// and what takes its place ("" leaves it out). The longest that fits
	// counts. If there is any, repositories that fit none are not acted on.
	Repositories map[string]string `yaml:"repositories"`
}

// Enabled reports whether the block is there at all.
func (c Config) Enabled() bool {
	return c.Auth != "" || c.Header != "" || len(c.SecretFiles)+len(c.Hosts)+len(c.Repositories) > 0
}

var headerPattern = regexp.MustCompile("^[!#$%&'*+.^_`|~0-9A-Za-z-]+$") // RFC 9110 token

// Validate reports every problem, also of the secret files, with its key.
func (c Config) Validate() error {
	if !c.Enabled() {
		return nil
	}
	problems, readable := c.shape()
	if !readable {
		return errors.Join(problems...)
	}
	for i, file := range c.SecretFiles {
		if _, err := readSecret(c.Auth, file); err != nil {
			problems = append(problems, fmt.Errorf("webhook.secretFiles[%d]: %w", i, err))
		}
	}
	return errors.Join(problems...)
}

// shape checks everything but the files; readable says that it makes sense to
// look at them.
func (c Config) shape() (problems []error, readable bool) {
	bad := func(format string, args ...any) {
		problems = append(problems, fmt.Errorf(format+": %w", append(args, gate.ErrInvalid)...))
	}
	implemented := []string{AuthHeader, AuthHMAC, AuthBasic, AuthToken, AuthNone}
	switch {
	case c.Auth == "":
		bad("webhook.auth: missing; say one of %s", strings.Join(implemented, ", "))
	case c.Auth == AuthOIDC || c.Auth == AuthMTLS:
		bad("webhook.auth: %s is not supported yet; use one of %s", c.Auth, strings.Join(implemented, ", "))
	case !slices.Contains(implemented, c.Auth):
		bad("webhook.auth: %q is not one of %s", c.Auth, strings.Join(implemented, ", "))
	case c.Auth == AuthNone && len(c.SecretFiles) > 0:
		bad("webhook.secretFiles: auth none looks at no secret; choose another auth or remove the files")
	case c.Auth != AuthNone && len(c.SecretFiles) == 0:
		bad("webhook.secretFiles: auth %s needs at least one secret; to take deliveries from anybody say auth: none", c.Auth)
	default:
		readable = c.Auth != AuthNone
	}
	switch {
	case c.Header != "" && c.Auth != AuthHeader && c.Auth != AuthHMAC:
		bad("webhook.header: auth %s does not use it; remove it", c.Auth)
	case c.Header != "" && !headerPattern.MatchString(c.Header):
		bad("webhook.header: %q is not the name of a header", c.Header)
	case c.Header == "" && c.Auth == AuthHMAC:
		bad("webhook.header: missing; name the header that has the signature, such as X-Hub-Signature-256")
	}
	return append(problems, c.names()...), readable
}

// names checks what a registry calls itself and its repositories.
func (c Config) names() (problems []error) {
	for i, host := range c.Hosts {
		if u, err := url.Parse("//" + host); err != nil || host == "" || u.Host != host {
			problems = append(problems, fmt.Errorf("webhook.hosts[%d]: %q is not a host or host:port: %w", i, host, gate.ErrInvalid))
		}
	}
	for _, from := range slices.Sorted(maps.Keys(c.Repositories)) {
		// What is sent may be written otherwise than what can be pulled; Artifactory's
		// keys of repositories may have capitals.
		if from == "" || strings.HasPrefix(from, "/") || strings.HasSuffix(from, "/") {
			problems = append(problems, fmt.Errorf("webhook.repositories: %q is not the beginning of a repository's name: %w", from, gate.ErrInvalid))
		}
		if to := c.Repositories[from]; to != "" && !gate.ValidRepository(to) {
			problems = append(problems, fmt.Errorf("webhook.repositories.%s: %q cannot be pulled from: want the name of a repository or its beginning, or \"\": %w", from, to, gate.ErrInvalid))
		}
	}
	return problems
}

// header is the canonical name of the header in use.
func (c Config) header() string {
	if c.Header == "" {
		return "Authorization"
	}
	return http.CanonicalHeaderKey(c.Header)
}
