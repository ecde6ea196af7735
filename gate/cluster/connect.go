package cluster

import (
	"net/http"
	"net/url"
	"time"

	"k8s.io/client-go/rest"

	"github.com/digestgate/digestgate/gate/outbound"
)

// dialTimeout is how long a connection to the API server may take.
const dialTimeout = 5 * time.Second

// connection is how the API server is called. The host is one that the configuration
// file, or the environment of a Pod, names.
func connection(c Config, userAgent string) (*rest.Config, error) {
	address, err := c.Address()
	if err != nil {
		return nil, err
	}
	guard := outbound.NewGuard(outbound.Options{
		Purpose: outbound.Cluster, Hosts: []string{outbound.Endpoint(address, "443")}, Timeout: dialTimeout,
	})
	return &rest.Config{
		Host: "https://" + address, BearerTokenFile: c.TokenPath(), UserAgent: userAgent,
		TLSClientConfig: rest.TLSClientConfig{CAFile: c.CAPath()},
		ContentConfig:   rest.ContentConfig{ContentType: "application/vnd.kubernetes.protobuf"},
		Dial:            guard.DialContext,
		// Proxies of the environment are not used, as everywhere.
		Proxy: noProxy,
		QPS:   20, Burst: 40,
	}, nil
}

// noProxy is the direct way.
func noProxy(*http.Request) (*url.URL, error) { return nil, nil }
