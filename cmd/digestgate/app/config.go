package app

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"path/filepath"
	"slices"
	"strings"

	"github.com/digestgate/digestgate/cmd/digestgate/document"
	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/gate/admission"
	"github.com/digestgate/digestgate/gate/cluster/cabundle"
	"github.com/digestgate/digestgate/gate/notify"
	"github.com/digestgate/digestgate/gate/outbound"
	"github.com/digestgate/digestgate/gate/schedule"
	registrysync "github.com/digestgate/digestgate/gate/sync"
	"github.com/digestgate/digestgate/policy"
	"github.com/digestgate/digestgate/scanner/advisory"
	"github.com/digestgate/digestgate/scanner/analyzer"
	"github.com/digestgate/digestgate/scanner/registry"
	"github.com/digestgate/digestgate/store"
	"github.com/digestgate/digestgate/webhooks"
)

// Config is the whole configuration. Each part belongs to the package that it
// configures, where its keys, units and defaults are explained.
type Config struct {
	DataDir       string            `yaml:"dataDir"`
	Listen        ListenConfig      `yaml:"listen"`
	HTTP          HTTPConfig        `yaml:"http"`
	Roles         []string          `yaml:"roles"`
	Store         store.Config      `yaml:"store"`
	Registries    []RegistryConfig  `yaml:"registries"`
	Scan          analyzer.Config   `yaml:"scan"`
	Quota         gate.QuotaConfig  `yaml:"quota"`
	Advisories    advisory.Config   `yaml:"advisories"`
	Policy        policy.Config     `yaml:"policy"`
	Provenance    ProvenanceConfig  `yaml:"provenance"`
	Admission     admission.Config  `yaml:"admission"`
	Kubernetes    cabundle.Config   `yaml:"kubernetes"`
	Schedules     []schedule.Config `yaml:"schedules"`
	Notifications []notify.Config   `yaml:"notifications"`
	Outbound      outbound.Config   `yaml:"outbound"`
	Auth          AuthConfig        `yaml:"auth"`
}

// ListenConfig are the listeners, each "host:port".
type ListenConfig struct {
	HTTP      string `yaml:"http"`      // API and console
	Webhooks  string `yaml:"webhooks"`  // "" = on http
	Admission string `yaml:"admission"` // TLS
	Private   string `yaml:"private"`   // metrics and health
	// PrivateURL is where other processes reach the private listener; "" is found out.
	PrivateURL string `yaml:"privateURL"`
	Debug      string `yaml:"debug"` // pprof; "" = off
}

// HTTPConfig is about the public listener.
type HTTPConfig struct {
	TLS            TLSConfig `yaml:"tls"`
	ExternalURL    string    `yaml:"externalURL"` // how others reach it, for texts
	PathPrefix     string    `yaml:"pathPrefix"`
	TrustedProxies []string  `yaml:"trustedProxies"` // CIDRs whose X-Forwarded-For counts
}

// TLSConfig is a certificate on disk, reloaded when it changes.
type TLSConfig struct {
	CertFile string `yaml:"certFile"`
	KeyFile  string `yaml:"keyFile"`
}

// RegistryConfig is one registry with the parts of every package that knows it.
type RegistryConfig struct {
	registry.Config `yaml:",inline"`
	Webhook         webhooks.Config     `yaml:"webhook"`
	Sync            registrysync.Config `yaml:"sync"`
}

// ProvenanceConfig is reserved for signatures, which this version does not
// verify.
type ProvenanceConfig struct {
	Keys        []string `yaml:"keys"`
	Identities  []string `yaml:"identities"`
	TrustedRoot string   `yaml:"trustedRoot"`
}

// AuthConfig is about the API's callers.
type AuthConfig struct {
	// AdminTokenFile holds the admin token; "" = made once in dataDir.
	AdminTokenFile string `yaml:"adminTokenFile"`
}

// The roles of a process.
const (
	roleWebhooks  = "webhooks"
	roleAPI       = "api"
	RoleAdmission = "admission"
	RoleWorker    = "worker"
	roleScheduler = "scheduler"
)

func allRoles() []string {
	return []string{roleWebhooks, roleAPI, RoleAdmission, RoleWorker, roleScheduler}
}

// DefaultConfig is the configuration when nothing is written.
func DefaultConfig() Config {
	return Config{
		DataDir:       "/var/lib/digestgate",
		Listen:        ListenConfig{HTTP: ":8080", Admission: ":8443", Private: ":9090"},
		HTTP:          HTTPConfig{TrustedProxies: []string{}},
		Roles:         allRoles(),
		Store:         store.Default(),
		Registries:    []RegistryConfig{},
		Scan:          analyzer.Default(),
		Quota:         gate.DefaultQuota(),
		Advisories:    advisory.Default(),
		Policy:        policy.Default(),
		Provenance:    ProvenanceConfig{Keys: []string{}, Identities: []string{}},
		Admission:     admission.Default(),
		Kubernetes:    cabundle.Default(),
		Schedules:     []schedule.Config{},
		Notifications: notify.Default(),
		Outbound:      outbound.Default(),
	}
}

// Validate reports every problem, each line beginning with the path of its key.
func (c Config) Validate() error {
	var problems []error
	for _, f := range c.findings() {
		problems = append(problems, fmt.Errorf("%s: %s", f.Path, f.Text))
	}
	return errors.Join(problems...)
}

// findings are what is wrong with the meaning of keys, in the order of their
// paths. The files that the parts read for themselves are among it.
func (c Config) findings() []finding {
	var list Findings
	if !filepath.IsAbs(c.DataDir) {
		list.bad("dataDir", "%q must be an absolute path", c.DataDir)
	}
	c.validateListen(&list)
	c.validateHTTP(&list)
	list.Add("store", c.Store.Validate())
	for i, r := range c.Registries {
		path := fmt.Sprintf("registries[%d]", i)
		list.Add(path, r.Validate())
		list.Add(path, r.Webhook.Validate())
		if r.Webhook.Auth == webhooks.AuthMTLS && c.HTTP.TLS.CertFile == "" {
			list.bad(path+".webhook.auth", "mtls needs TLS here, so that certificates can be asked for: set http.tls.certFile and keyFile")
		}
		list.Add(path, r.Sync.Validate())
	}
	c.validateTwice(&list)
	list.Add("scan", c.Scan.Validate())
	list.Add("quota", c.Quota.Validate())
	list.Add("advisories", c.Advisories.Validate())
	list.Add("policy", c.Policy.Validate())
	list.Add("admission", c.Admission.Validate())
	list.Add("kubernetes", c.Kubernetes.Validate())
	list.Add("schedules", schedule.Validate(c.Schedules, c.scanKnown()))
	list.Add("outbound", c.Outbound.Validate())
	if len(c.Provenance.Keys)+len(c.Provenance.Identities) > 0 || c.Provenance.TrustedRoot != "" {
		list.bad("provenance", "not supported yet, leave it empty; signatures are recorded but not verified")
	}
	list.Add("notifications", notify.Validate(c.Notifications, Notifiers()))
	c.validateTargets(&list)
	slices.SortStableFunc(list, func(a, b finding) int { return strings.Compare(a.Path, b.Path) })
	return list
}

// validateTargets refuses registries in targets of notifications that are not configured:
// nothing would ever be sent for them.
func (c Config) validateTargets(list *Findings) {
	for i, t := range c.Notifications {
		for j, name := range t.Registries {
			if !slices.ContainsFunc(c.Registries, func(r RegistryConfig) bool { return r.Name == name }) {
				list.bad(fmt.Sprintf("notifications[%d].registries[%d]", i, j), "%q is not the name of a configured registry; use a name of the list registries", name)
			}
		}
	}
}

// validateTwice refuses names and hosts that two registries claim.
func (c Config) validateTwice(list *Findings) {
	names, hosts := map[string]int{}, map[string]int{}
	for i, r := range c.Registries {
		if first, ok := names[r.Name]; ok && r.Name != "" {
			list.bad(fmt.Sprintf("registries[%d].name", i), "%q is the name of registries[%d] too; give each its own", r.Name, first)
		} else {
			names[r.Name] = i
		}
		for j, h := range append([]string{r.Host}, r.Aliases...) {
			path := fmt.Sprintf("registries[%d].host", i)
			if j > 0 {
				path = fmt.Sprintf("registries[%d].aliases[%d]", i, j-1)
			}
			h = gate.CanonicalHost(h)
			if first, ok := hosts[h]; ok && h != "" {
				list.bad(path, "%q belongs to registries[%d] (%q) already; a host is of one registry", h, first, c.Registries[first].Name)
				continue
			}
			hosts[h] = i
		}
	}
}

// listeners are the addresses by their keys, in the order of the documentation.
func (l ListenConfig) listeners() []listenerAddress {
	return []listenerAddress{
		{"listen.http", l.HTTP, []string{roleAPI, roleWebhooks}}, {"listen.webhooks", l.Webhooks, []string{roleWebhooks}},
		{"listen.admission", l.Admission, []string{RoleAdmission}}, {"listen.private", l.Private, nil}, {"listen.debug", l.Debug, nil},
	}
}

// listenerAddress is one of them. Only a process with one of the roles listens on it;
// nil: every process does.
type listenerAddress struct {
	key, address string
	roles        []string
}

// validateAddresses refuses addresses that cannot be listened on, and two listeners
// of one port.
func (c Config) validateAddresses(list *Findings) {
	type taken struct{ key, host string }
	ports := map[int][]taken{}
	for _, l := range c.Listen.listeners() {
		if l.address == "" {
			continue
		}
		host, port, err := net.SplitHostPort(l.address)
		if err != nil {
			list.bad(l.key, "%q is not host:port", l.address)
			continue
		}
		number, err := net.LookupPort("tcp", port)
		if err != nil {
			list.bad(l.key, "%q: port %q is not a number from 0 to 65535", l.address, port)
			continue
		}
		if l.roles != nil && !slices.ContainsFunc(l.roles, func(role string) bool { return slices.Contains(c.Roles, role) }) {
			continue // nothing listens there
		}
		for _, other := range ports[number] {
			if number != 0 && (wildcard(host) || wildcard(other.host) || host == other.host) {
				list.bad(l.key, "%q: port %d is that of %s already; give each listener its own", l.address, number, other.key)
				break
			}
		}
		ports[number] = append(ports[number], taken{l.key, host})
	}
}

// wildcard reports whether a host stands for all addresses of the machine.
func wildcard(host string) bool {
	ip := net.ParseIP(host)
	return host == "" || ip != nil && ip.IsUnspecified()
}

func (c Config) validateListen(list *Findings) {
	c.validateAddresses(list)
	if own := c.Listen.PrivateURL; own != "" {
		u, err := url.Parse(own)
		switch {
		case err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.User != nil:
			list.bad("listen.privateURL", "%q is not an address such as http://10.0.0.5:9090", own)
		case c.Listen.Private == "":
			list.bad("listen.privateURL", "got %q, but listen.private is empty, so that nothing listens there", own)
		}
	}
	if slices.Contains(c.Roles, RoleAdmission) && c.Listen.Admission == "" {
		list.bad("listen.admission", "empty; give host:port, or leave the role admission out of roles")
	}
	for i, role := range c.Roles {
		if !slices.Contains(allRoles(), role) {
			hint := ""
			if near := document.Nearest(role, allRoles()); near != "" {
				hint = "; did you mean " + near + "?"
			}
			list.bad(fmt.Sprintf("roles[%d]", i), "%q is not one of %s%s", role, strings.Join(allRoles(), ", "), hint)
		}
	}
	if len(c.Roles) == 0 {
		list.bad("roles", "empty; name at least one of %s", strings.Join(allRoles(), ", "))
	}
}

func (c Config) validateHTTP(list *Findings) {
	if (c.HTTP.TLS.CertFile == "") != (c.HTTP.TLS.KeyFile == "") {
		list.bad("http.tls", "certFile and keyFile belong together; give both or neither")
	}
	if c.HTTP.ExternalURL != "" {
		if u, err := url.Parse(c.HTTP.ExternalURL); err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") {
			list.bad("http.externalURL", "%q is not an http or https URL", c.HTTP.ExternalURL)
		}
	}
	if c.HTTP.PathPrefix != "" && (!strings.HasPrefix(c.HTTP.PathPrefix, "/") || strings.HasSuffix(c.HTTP.PathPrefix, "/")) {
		list.bad("http.pathPrefix", "%q must begin with a slash and not end with one", c.HTTP.PathPrefix)
	}
	for i, cidr := range c.HTTP.TrustedProxies {
		if _, _, err := net.ParseCIDR(cidr); err != nil {
			list.bad(fmt.Sprintf("http.trustedProxies[%d]", i), "%q is not a range such as 10.0.0.0/8", cidr)
		}
	}
}

// RegistryList is the pipeline's view of the registries.
func (c Config) RegistryList() []gate.Registry {
	list := make([]gate.Registry, len(c.Registries))
	for i, r := range c.Registries {
		list[i] = r.Registry()
	}
	return list
}
