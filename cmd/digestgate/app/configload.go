package app

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"

	"github.com/digestgate/digestgate/cmd/digestgate/document"
	"github.com/digestgate/digestgate/scanner/registry"
	"github.com/digestgate/digestgate/webhooks"
)

// EnvPrefix begins the environment variables that set keys: the upper-case path
// joined by underscores, such as DIGESTGATE_SCAN_TIMEOUT. Values are YAML.
const EnvPrefix = "DIGESTGATE_"

// envOthers are variables with the prefix that are not keys.
var envOthers = []string{"CONFIG", "SERVER", "TOKEN", "TOKEN_FILE", "ANALYZER"}

// kubernetesVariable matches what Kubernetes puts into every container's
// environment for each Service of the namespace: with a Service "digestgate"
// DIGESTGATE_SERVICE_HOST and so on (Kubernetes documentation, "Service",
// discovering services). No key is written like that.
var kubernetesVariable = regexp.MustCompile(`^(.+_)?(SERVICE_HOST|SERVICE_PORT(_[A-Z0-9_]+)?|PORT(_[0-9]+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)?)$`)

// ConfigSource is where a configuration comes from; later ones win.
type ConfigSource struct {
	File    string   // "" reads none
	environ []string // "KEY=value"
	set     []string // "path.to.key=value" of --set
	fixed   []fixedKey
}

// fixedKey is a key that the command line sets by something else than --set.
type fixedKey struct {
	origin string // what sets it, such as "--data-dir"
	path   string
	value  any // written as JSON, which is YAML: a name of digits stays a name
}

// loaded is a configuration with what is to be said about it. It is complete,
// with defaults for what could not be read, also when it has problems.
type loaded struct {
	Config
	// Places knows where each key is written; further findings go there.
	Places *document.Document
}

// Load reads and checks the configuration. The error has one line for each
// problem.
func (s ConfigSource) Load() (Config, error) {
	l := s.Read()
	return l.Config, l.Places.Err()
}

// Read reads and checks the configuration, all of it whatever is wrong.
func (s ConfigSource) Read() *loaded {
	l := &loaded{Config: DefaultConfig()}
	l.Places = document.New(&l.Config)
	if s.File != "" {
		s.readFile(l.Places)
	}
	s.readEnviron(l.Places)
	s.readSet(l.Places)
	if dir, err := filepath.Abs(l.DataDir); err == nil {
		l.DataDir = dir
	}
	if !l.Places.Given("store.url") {
		l.Store.URL = "sqlite://" + filepath.Join(l.DataDir, "digestgate.db")
	}
	for _, f := range l.Config.findings() {
		l.Places.Add(f.Path, f.Text)
	}
	return l
}

func (s ConfigSource) readFile(d *document.Document) {
	f, err := os.Open(s.File)
	if err != nil {
		d.FailUnread("reading the configuration: %v; name the file with -c or %sCONFIG", err, EnvPrefix)
		return
	}
	defer f.Close()
	d.ReadFile(s.File, f)
}

func (s ConfigSource) readEnviron(d *document.Document) {
	known := map[string]string{}
	var names []string
	for _, path := range KeyPaths() {
		name := strings.ToUpper(strings.ReplaceAll(path, ".", "_"))
		known[name] = path
		names = append(names, name)
	}
	for _, pair := range s.environ {
		name, value, _ := strings.Cut(pair, "=")
		name, ok := strings.CutPrefix(name, EnvPrefix)
		if !ok || value == "" || slices.Contains(envOthers, name) {
			continue // an empty variable counts as not set
		}
		if path, ok := known[name]; ok {
			d.ReadValue(EnvPrefix+name, path, value)
			continue
		}
		if kubernetesVariable.MatchString(name) {
			continue
		}
		hint := ""
		if near := document.Nearest(name, slices.Concat(names, envOthers)); near != "" {
			hint = "; did you mean " + EnvPrefix + near + "?"
		}
		d.Fail("environment variable %s%s names no key of the configuration%s", EnvPrefix, name, hint)
	}
}

func (s ConfigSource) readSet(d *document.Document) {
	for _, pair := range s.set {
		path, value, ok := strings.Cut(pair, "=")
		if ok && slices.Contains(KeyPaths(), path) {
			d.ReadValue("--set", path, value)
			continue
		}
		if ok = slices.Contains(KeyPaths(), path); ok {
			d.Fail("--set %q: the value is missing; want --set %s=VALUE", pair, path)
			continue
		}
		hint := " (digestgate config print shows all)"
		if near := document.Nearest(path, KeyPaths()); near != "" {
			hint = "; did you mean " + near + "?"
		}
		d.Fail("--set %q: want KEY=VALUE with a key such as scan.timeout%s", pair, hint)
	}
	for _, f := range s.fixed {
		value, err := json.Marshal(f.value)
		if err != nil {
			d.Fail("%s: %v", f.origin, err)
			continue
		}
		d.ReadValue(f.origin, f.path, string(value))
	}
}

// KeyPaths lists the paths of all keys that hold a value or a list.
func KeyPaths() []string { return document.Paths(reflect.TypeFor[Config]()) }

// SetDefaults implements document.Defaulter: an entry of the list before it is
// read.
func (r *RegistryConfig) SetDefaults() {
	r.Config, r.Webhook = registry.DefaultConfig(), webhooks.DefaultConfig()
}

// ConfigError is how a command says that it cannot begin.
func ConfigError(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("the configuration is not usable:\n%w", indent(err))
}
