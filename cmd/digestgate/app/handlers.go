package app

import (
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"net/http/pprof"
	"net/url"
	"os"
	"slices"
	"time"

	"github.com/digestgate/digestgate/gate/admission"
	"github.com/digestgate/digestgate/gate/certificate"
	"github.com/digestgate/digestgate/gate/cluster"
	"github.com/digestgate/digestgate/gate/intake"
	"github.com/digestgate/digestgate/gate/listener"
	"github.com/digestgate/digestgate/gate/lookup"
	"github.com/digestgate/digestgate/policy"
	"github.com/digestgate/digestgate/webhooks"
)

// handlers are the listeners that the configuration and roles ask for.
func (a *App) handlers() ([]handler, error) {
	l := a.Config.Listen
	var list []handler
	if l.Private != "" {
		list = append(list, handler{name: "private", address: l.Private, serve: listener.Serving(a.private()), connections: privateConnections})
	}
	if l.Debug != "" {
		list = append(list, handler{name: "debug", address: l.Debug, serve: listener.Serving(debugHandler()), connections: privateConnections})
	}
	public, err := a.publicTLS()
	if err != nil {
		return nil, err
	}
	var hooks http.Handler
	if a.has(roleWebhooks) {
		h, err := a.webhooks()
		if err != nil {
			return nil, err
		}
		hooks = h
		if l.Webhooks != "" {
			list = append(list, handler{name: "webhooks", address: l.Webhooks, serve: a.closing(a.public(hooks, false)), tls: a.hookTLS(public), connections: publicConnections})
			hooks = nil
		}
	}
	if l.HTTP != "" && (hooks != nil || a.has(roleAPI)) {
		if hooks != nil {
			public = a.hookTLS(public)
		}
		list = append(list, handler{name: "http", address: l.HTTP, serve: a.closing(a.public(hooks, a.has(roleAPI))), tls: public, connections: publicConnections})
	}
	if a.has(RoleAdmission) {
		h, err := a.admission()
		if err != nil {
			return nil, err
		}
		list = append(list, h)
	}
	return list, nil
}

// hookTLS asks senders for a certificate while a registry authenticates by one.
// It is asked for and not required, because every endpoint of the listener
// has authorities of its own, and others have none: they decide.
func (a *App) hookTLS(public *tls.Config) *tls.Config {
	if public == nil {
		return nil
	}
	a.asksCertificates.Store(wantsCertificates(a.Config.Registries))
	asking := public.Clone()
	asking.ClientAuth = tls.RequestClientCert
	public = public.Clone()
	plain := public.GetConfigForClient
	public.GetConfigForClient = func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
		if a.asksCertificates.Load() {
			return asking, nil
		}
		if plain == nil {
			return nil, nil
		}
		return plain(hello)
	}
	return public
}

// publicTLS is for both listeners that registries, people and programs reach:
// deliveries carry secrets too. nil when http.tls is not configured.
func (a *App) publicTLS() (*tls.Config, error) {
	files := a.Config.HTTP.TLS
	if files.CertFile == "" {
		return nil, nil
	}
	served, err := certificate.New(certificate.Options{
		TLS: certificate.Config{CertFile: files.CertFile, KeyFile: files.KeyFile}, Log: a.Log, Now: time.Now,
	})
	if err != nil {
		return nil, fmt.Errorf("http.tls: %w", err)
	}
	a.certificates = append(a.certificates, served)
	return served.TLSConfig(), nil
}

// webhooks builds the endpoints of the registries that send events.
func (a *App) webhooks() (http.Handler, error) {
	list, err := Endpoints(a.Config.Registries, time.Now, a.Log)
	if err != nil {
		return nil, err
	}
	intake := intake.New(a.Registries, a.quota, a.Store)
	a.hooks, err = webhooks.NewHandler(list, intake, webhooks.Options{Log: a.Log, Metrics: webhooks.NewMetrics(a.Metrics), Seen: a.lastEvents})
	return a.hooks, err
}

// admission builds the listener that Kubernetes calls.
func (a *App) admission() (handler, error) {
	c := a.Config.Admission
	recorder, err := admission.NewRecorder(a.Metrics)
	if err != nil {
		return handler{}, err
	}
	o := admission.Options{Log: a.Log, Recorder: recorder}
	if a.Config.Kubernetes.Watch {
		if a.namespaces, err = cluster.NewNamespaces(a.Config.Kubernetes, "digestgate/"+a.Version, a.Log, time.Now); err != nil {
			return handler{}, fmt.Errorf("kubernetes: %w", err)
		}
		a.namespaces.Describe(a.Metrics)
		o.Namespaces = watched{a.namespaces, a.policies}
	}
	a.reviewer = admission.NewReviewer(c, a.Lookup(), o)
	h, err := admission.NewHandler(a.reviewer)
	if err != nil {
		return handler{}, fmt.Errorf("admission: %w", err)
	}
	served, err := a.admissionCertificate()
	if err != nil {
		return handler{}, err
	}
	server := admission.NewServer(a.closing(h), served, a.Log)
	return handler{name: "admission", address: a.Config.Listen.Admission, serve: server.Handler, tls: server.TLSConfig, server: server, connections: admission.MaxConnections}, nil
}

// watched are the namespaces of the cluster for policies that read them.
type watched struct {
	*cluster.Namespaces
	policies *policy.Active
}

// Read implements admission.Namespaces.
func (w watched) Read() bool { return w.policies.ReadsNamespace() }

// Lookup answers "may it run?" for admission.
func (a *App) Lookup() *lookup.Lookup {
	c := a.Config.Admission
	a.copies = lookup.NewRecordCopy(a.Store.Admission(), c.StoreGrace, time.Now, a.lookupStats, a.Log)
	o := lookupOptions(c)
	var clusters []string
	for _, cluster := range c.Clusters {
		clusters = append(clusters, cluster.Name)
	}
	a.established = lookup.NewEstablished(clusters, a.Store, a.Log, time.Now)
	o.Established = a.established
	a.answers = lookup.New(lookup.Parts{
		Reader: a.copies, Standing: a.Standing, Resolver: a.Pipeline, Explain: a.explain, Queue: a.Store, Tags: a.Store, Budget: a.Store,
		Changed: a.Store.Changed, Registries: a.Registries, Platforms: a.Pipeline.Platforms, Now: time.Now, Log: a.Log,
	}, o, a.lookupStats)
	return a.answers
}

// admissionNames are the names in a self-managed certificate: what API servers
// may call this process by.
func admissionNames(c Config) []string {
	names := []string{"localhost", "127.0.0.1", "::1", "digestgate", "digestgate.digestgate.svc"}
	if host, err := os.Hostname(); err == nil {
		names = append(names, host)
	}
	if host, _, err := net.SplitHostPort(c.Listen.Admission); err == nil && host != "" {
		names = append(names, host)
	}
	if u, err := url.Parse(c.HTTP.ExternalURL); err == nil && u.Hostname() != "" {
		names = append(names, u.Hostname())
	}
	names = append(names, c.Admission.TLS.Names...)
	slices.Sort(names)
	return slices.Compact(names)
}

func debugHandler() http.Handler {
	mux := http.NewServeMux()
	// called by: operators with go tool pprof
	mux.HandleFunc("/debug/pprof/", pprof.Index)
	mux.HandleFunc("/debug/pprof/cmdline", pprof.Cmdline)
	mux.HandleFunc("/debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("/debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("/debug/pprof/trace", pprof.Trace)
	return mux
}
