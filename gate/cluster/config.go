package cluster

import (
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"

	"github.com/digestgate/digestgate/gate"
)

// Config is the part "kubernetes" of the configuration: how this process reaches the API
// server of its cluster.
type Config struct {
	// Watch has this process watch namespaces, for policies that read their labels. The
	// service account needs get, list and watch on namespaces.
	Watch bool `yaml:"watch"`
	// Cluster is the name of that cluster in admission.clusters.
	Cluster string `yaml:"cluster"`
	// Server is the URL of the API server; "" is that of the cluster that the process
	// runs in.
	Server string `yaml:"server"`
	// TokenFile and CAFile are a token and the authorities of the server in PEM; "" are
	// those that Kubernetes mounts into a Pod. Both are read again when they change.
	TokenFile string `yaml:"tokenFile"`
	CAFile    string `yaml:"caFile"`
}

// Where Kubernetes mounts what a Pod needs to call it
// (https://kubernetes.io/docs/tasks/run-application/access-api-from-pod/).
const mounted = "/var/run/secrets/kubernetes.io/serviceaccount"

// Default watches nothing.
func Default() Config { return Config{Cluster: "default"} }

// Validate reports every problem at once, one a line, each starting with the key. It
// looks at the files only when the cluster is watched.
func (c Config) Validate() error {
	var errs []error
	bad := func(key, format string, args ...any) {
		errs = append(errs, fmt.Errorf(key+": "+format+": %w", append(args, gate.ErrInvalid)...))
	}
	if c.Server != "" {
		if u, err := url.Parse(c.Server); err != nil || u.Scheme != "https" || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
			bad("server", "want https://HOST:PORT, got %s", gate.Quoted(c.Server, 200))
		}
	}
	if c.Cluster == "" {
		bad("cluster", "want the name of a cluster in admission.clusters")
	}
	for _, f := range []struct{ key, path string }{{"tokenFile", c.TokenFile}, {"caFile", c.CAFile}} {
		switch {
		case f.path == "":
		case !filepath.IsAbs(f.path):
			bad(f.key, "%q must be an absolute path", f.path)
		case c.Watch:
			if _, err := gate.ReadSmallFile(f.path); err != nil {
				bad(f.key, "%s", err)
			}
		}
	}
	if c.Watch && c.Server == "" && os.Getenv("KUBERNETES_SERVICE_HOST") == "" {
		bad("server", "this process does not run in a Pod: name the API server, or set kubernetes.watch to false")
	}
	return errors.Join(errs...)
}

// server is the URL of the API server.
func (c Config) server() string {
	if c.Server != "" {
		return c.Server
	}
	u := url.URL{Scheme: "https", Host: hostPort(os.Getenv("KUBERNETES_SERVICE_HOST"), os.Getenv("KUBERNETES_SERVICE_PORT"))}
	return u.String()
}

func (c Config) tokenFile() string { return or(c.TokenFile, mounted+"/token") }
func (c Config) caFile() string    { return or(c.CAFile, mounted+"/ca.crt") }

func or(a, b string) string {
	if a != "" {
		return a
	}
	return b
}
