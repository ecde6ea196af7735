package cabundle

import (
	"cmp"
	"fmt"
	"net"
	"net/url"
	"os"
	"strings"

	"github.com/digestgate/digestgate/gate"
)

// Config is the part "kubernetes" of the configuration: how the API server of the cluster is
// reached that this process runs in.
type Config struct {
	// Server is the https URL of the API server; "" is that of the cluster in which the
	// process runs, from KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT.
	Server string `yaml:"server"`
	// TokenFile holds the token of a service account, and is read at each request, because
	// the kubelet renews it every hour; "" is where the kubelet puts it.
	TokenFile string `yaml:"tokenFile"`
	// CAFile holds the authority of the API server, PEM; looked at at each request; "" is
	// where the kubelet puts it.
	CAFile string `yaml:"caFile"`
}

// account is where the kubelet puts what a service account needs.
const account = "/var/run/secrets/kubernetes.io/serviceaccount/"

// Default is the cluster in which the process runs.
func Default() Config { return Config{} }

// TokenPath is the file with the token.
func (c Config) TokenPath() string { return cmp.Or(c.TokenFile, account+"token") }

// CAPath is the file with the authority.
func (c Config) CAPath() string { return cmp.Or(c.CAFile, account+"ca.crt") }

// Validate reports what is wrong, starting with the key.
func (c Config) Validate() error {
	if c.Server != "" {
		if u, err := url.Parse(c.Server); err != nil || u.Scheme != "https" || u.Host == "" || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.User != nil {
			return fmt.Errorf("server: %q is not an address such as https://10.96.0.1: %w", c.Server, gate.ErrInvalid)
		}
	}
	return nil
}

// Address is the host:port of the API server. gate.ErrInvalid: none is named, and this
// process does not run in a Pod.
func (c Config) Address() (string, error) {
	if c.Server != "" {
		u, err := url.Parse(c.Server)
		if err != nil {
			return "", fmt.Errorf("kubernetes.server: %v: %w", err, gate.ErrInvalid)
		}
		port := u.Port()
		if port == "" {
			port = "443"
		}
		return net.JoinHostPort(u.Hostname(), port), nil
	}
	host, port := os.Getenv("KUBERNETES_SERVICE_HOST"), os.Getenv("KUBERNETES_SERVICE_PORT")
	if host == "" || port == "" {
		return "", fmt.Errorf("kubernetes.server: empty, and this process does not run in a Pod: KUBERNETES_SERVICE_HOST is not set: %w", gate.ErrInvalid)
	}
	return net.JoinHostPort(host, port), nil
}
