package cluster

import (
	"errors"
	"fmt"
	"os"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/gate/cluster/cabundle"
)

// Config is the part "kubernetes" of the configuration: how this process reaches the API
// server of its cluster, and what it reads there.
type Config struct {
	cabundle.Config `yaml:",inline"`
	// Watch has this process watch namespaces, for policies that read their labels. The
	// service account needs get, list and watch on namespaces.
	Watch bool `yaml:"watch"`
	// Cluster is the name of that cluster in admission.clusters.
	Cluster string `yaml:"cluster"`
}

// Default watches nothing.
func Default() Config { return Config{Config: cabundle.Default(), Cluster: "default"} }

// Validate reports every problem at once, one a line, each starting with the key. It
// looks at the files only when the cluster is watched.
func (c Config) Validate() error {
	errs := []error{c.Config.Validate()}
	bad := func(key, format string, args ...any) {
		errs = append(errs, fmt.Errorf(key+": "+format+": %w", append(args, gate.ErrInvalid)...))
	}
	if c.Cluster == "" {
		bad("cluster", "want the name of a cluster in admission.clusters")
	}
	if !c.Watch {
		return errors.Join(errs...)
	}
	if c.Server == "" && os.Getenv("KUBERNETES_SERVICE_HOST") == "" {
		bad("server", "this process does not run in a Pod: name the API server, or set kubernetes.watch to false")
	}
	for _, f := range []struct{ key, path string }{{"tokenFile", c.TokenFile}, {"caFile", c.CAFile}} {
		if f.path == "" {
			continue
		}
		if _, err := gate.ReadSmallFile(f.path); err != nil {
			bad(f.key, "%s", err)
		}
	}
	return errors.Join(errs...)
}
