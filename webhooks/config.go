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
	// AuthNone: every client that reaches the endpoint is taken for the registry.
	// Pushes are hints, so the harm is load, not a wrong verdict.
	AuthNone = "none"
	// AuthOIDC: a bearer token in Authorization that Issuer has signed for
	// Audience and for one of the listed accounts.
	AuthOIDC = "oidc"
	// AuthMTLS: a client certificate by an authority in CAFile. The listener
	// must have TLS and ask for certificates.
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
	// Issuer is that of the tokens for auth oidc, an https URL as they have it
	// in "iss".
	Issuer string `yaml:"issuer"`
	// Audience is what the tokens are made out to ("aud"), for auth oidc.
	Audience string `yaml:"audience"`
	// Emails and Subjects are the accounts whose tokens are taken by auth oidc;
	// one of the two at least, and of both lists each must hold. An e-mail
	// address counts when the issuer has verified it.
	Emails   []string `yaml:"emails"`
	Subjects []string `yaml:"subjects"`
	// CAFile holds the PEM certificates of the authorities for auth mtls, and
	// no others are trusted. It is read again when it changes.
	CAFile string `yaml:"caFile"`
	// Names are those that a client certificate may be for (DNS name, URI,
	// e-mail address, or without any of them its common name). Empty: any
	// certificate of the authorities.
	Names []string `yaml:"names"`
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
	// DeliveriesPerSecond is how many authenticated deliveries of this registry are
	// taken in a second, 0 for any number; what is more is answered 429 with
	// Retry-After.
	DeliveriesPerSecond int `yaml:"deliveriesPerSecond"`
	// Burst is how many are taken at once beyond that.
	Burst int `yaml:"burst"`
}

// DefaultConfig has the limits of a block that names none. A Harbor has ten workers for
// its jobs (max_job_workers), which send one delivery after the other and wait for each
// answer: they make fewer than 1,000 deliveries a second. A push of thousands of tags, or a
// replication that has finished, comes as one burst.
func DefaultConfig() Config { return Config{DeliveriesPerSecond: 1000, Burst: 10_000} }

// Enabled reports whether the block is there at all.
func (c Config) Enabled() bool {
	given := c.DeliveriesPerSecond != 0 || c.Burst != 0
	usual := DefaultConfig()
	if given && (c.DeliveriesPerSecond != usual.DeliveriesPerSecond || c.Burst != usual.Burst) {
		return true
	}
	return c.Auth != "" || c.Header != "" || c.Issuer != "" || c.Audience != "" || c.CAFile != "" ||
		len(c.Emails)+len(c.Subjects)+len(c.Names) > 0 || len(c.SecretFiles)+len(c.Hosts)+len(c.Repositories) > 0
}

var headerPattern = regexp.MustCompile("^[!#$%&'*+.^_`|~0-9A-Za-z-]+$") // RFC 9110 token

// Validate reports every problem, also of the secret files, with its key.
func (c Config) Validate() error {
	if !c.Enabled() {
		return nil
	}
	problems, readable := c.shape()
	if c.Auth == AuthMTLS && c.CAFile != "" {
		if _, err := readAuthorities(c.CAFile); err != nil {
			problems = append(problems, fmt.Errorf("webhook.caFile: %w", err))
		}
	}
	if !readable { // what they must look like is not known; whether they can be read is
		for i, file := range c.SecretFiles {
			if _, err := readSecret(AuthHMAC, file); err != nil {
				problems = append(problems, fmt.Errorf("webhook.secretFiles[%d]: %w", i, err))
			}
		}
		return errors.Join(problems...)
	}
	for i, file := range c.SecretFiles {
		if _, err := readSecret(c.Auth, file); err != nil {
			problems = append(problems, fmt.Errorf("webhook.secretFiles[%d]: %w", i, err))
		}
	}
	return errors.Join(problems...)
}

// shape checks everything but the files; readable says that what they must hold
// is known.
func (c Config) shape() (problems []error, readable bool) {
	bad := func(format string, args ...any) {
		problems = append(problems, fmt.Errorf(format+": %w", append(args, gate.ErrInvalid)...))
	}
	ways := []string{AuthHeader, AuthHMAC, AuthBasic, AuthToken, AuthOIDC, AuthMTLS, AuthNone}
	secretless := []string{AuthOIDC, AuthMTLS, AuthNone}
	switch {
	case c.Auth == "":
		bad("webhook.auth: missing; say one of %s", strings.Join(ways, ", "))
	case !slices.Contains(ways, c.Auth):
		bad("webhook.auth: %q is not one of %s", c.Auth, strings.Join(ways, ", "))
	case slices.Contains(secretless, c.Auth) && len(c.SecretFiles) > 0:
		bad("webhook.secretFiles: auth %s looks at no secret; choose another auth or remove the files", c.Auth)
	case !slices.Contains(secretless, c.Auth) && len(c.SecretFiles) == 0:
		bad("webhook.secretFiles: auth %s needs at least one secret; to take deliveries without authentication say auth: none", c.Auth)
	default:
		readable = !slices.Contains(secretless, c.Auth)
	}
	switch {
	case c.Header != "" && c.Auth != AuthHeader && c.Auth != AuthHMAC:
		bad("webhook.header: auth %s does not use it; remove it", c.Auth)
	case c.Header != "" && !headerPattern.MatchString(c.Header):
		bad("webhook.header: %q is not the name of a header", c.Header)
	case c.Header == "" && c.Auth == AuthHMAC:
		bad("webhook.header: missing; name the header that has the signature, such as X-Hub-Signature-256")
	}
	switch {
	case c.DeliveriesPerSecond < 0:
		bad("webhook.deliveriesPerSecond: %d is negative; 0 takes any number", c.DeliveriesPerSecond)
	case c.Burst < 0:
		bad("webhook.burst: %d is negative; say how many deliveries are taken at once", c.Burst)
	case c.DeliveriesPerSecond > 0 && c.Burst == 0:
		bad("webhook.burst: 0 would take no delivery at all; say how many are taken at once, or deliveriesPerSecond: 0 for any number")
	}
	problems = append(problems, c.identities()...)
	return append(problems, c.names()...), readable
}

// identities checks the keys of auth oidc and mtls, but not the file.
func (c Config) identities() (problems []error) {
	bad := func(format string, args ...any) {
		problems = append(problems, fmt.Errorf(format+": %w", append(args, gate.ErrInvalid)...))
	}
	useless := func(key string, given bool, auth string) {
		if given && c.Auth != auth {
			bad("webhook.%s: only auth %s uses it; remove it", key, auth)
		}
	}
	useless("issuer", c.Issuer != "", AuthOIDC)
	useless("audience", c.Audience != "", AuthOIDC)
	useless("emails", len(c.Emails) > 0, AuthOIDC)
	useless("subjects", len(c.Subjects) > 0, AuthOIDC)
	useless("caFile", c.CAFile != "", AuthMTLS)
	useless("names", len(c.Names) > 0, AuthMTLS)
	if c.Auth == AuthOIDC {
		if err := checkIssuer(c.Issuer); err != nil {
			bad("webhook.issuer: %w", err)
		}
		if c.Audience == "" {
			bad("webhook.audience: missing; say what the tokens are made out to")
		}
		if len(c.Emails)+len(c.Subjects) == 0 {
			bad("webhook.emails: missing, and webhook.subjects too; an issuer signs tokens for all its users, so say whose tokens are taken")
		}
	}
	if c.Auth == AuthMTLS && c.CAFile == "" {
		bad("webhook.caFile: missing; name the file with the authorities of the client certificates")
	}
	for key, list := range map[string][]string{"emails": c.Emails, "subjects": c.Subjects, "names": c.Names} {
		if slices.Contains(list, "") {
			bad("webhook.%s: it has an empty entry", key)
		}
	}
	return problems
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
