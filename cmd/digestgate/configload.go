package main

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
)

// envPrefix begins the environment variables that set keys: the upper-case path
// joined by underscores, such as DIGESTGATE_SCAN_TIMEOUT. Values are YAML.
const envPrefix = "DIGESTGATE_"

// envOthers are variables with the prefix that are not keys.
var envOthers = []string{"CONFIG", "SERVER", "TOKEN", "TOKEN_FILE", "ANALYZER"}

// kubernetesVariable matches what Kubernetes puts into every container's
// environment for each Service of the namespace: with a Service "digestgate"
// DIGESTGATE_SERVICE_HOST and so on (Kubernetes documentation, "Service",
// discovering services). No key is written like that.
var kubernetesVariable = regexp.MustCompile(`^(.+_)?(SERVICE_HOST|SERVICE_PORT(_[A-Z0-9_]+)?|PORT(_[0-9]+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)?)$`)

// configSource is where a configuration comes from; later ones win.
type configSource struct {
	file    string   // "" reads none
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
	// places knows where each key is written; further findings go there.
	places *document.Document
}

// load reads and checks the configuration. The error has one line for each
// problem.
func (s configSource) load() (Config, error) {
	l := s.read()
	return l.Config, l.places.Err()
}

// read reads and checks the configuration, all of it whatever is wrong.
func (s configSource) read() *loaded {
	l := &loaded{Config: DefaultConfig()}
	l.places = document.New(&l.Config)
	if s.file != "" {
		s.readFile(l.places)
	}
	s.readEnviron(l.places)
	s.readSet(l.places)
	if dir, err := filepath.Abs(l.DataDir); err == nil {
		l.DataDir = dir
	}
	if !l.places.Given("store.url") {
		l.Store.URL = "sqlite://" + filepath.Join(l.DataDir, "digestgate.db")
	}
	for _, f := range l.Config.findings() {
		l.places.Add(f.path, f.text)
	}
	return l
}

func (s configSource) readFile(d *document.Document) {
	f, err := os.Open(s.file)
	if err != nil {
		d.FailUnread("reading the configuration: %v; name the file with -c or %sCONFIG", err, envPrefix)
		return
	}
	defer f.Close()
	d.ReadFile(s.file, f)
}

func (s configSource) readEnviron(d *document.Document) {
	known := map[string]string{}
	var names []string
	for _, path := range keyPaths() {
		name := strings.ToUpper(strings.ReplaceAll(path, ".", "_"))
		known[name] = path
		names = append(names, name)
	}
	for _, pair := range s.environ {
		name, value, _ := strings.Cut(pair, "=")
		name, ok := strings.CutPrefix(name, envPrefix)
		if !ok || value == "" || slices.Contains(envOthers, name) {
			continue // an empty variable counts as not set
		}
		if path, ok := known[name]; ok {
			d.ReadValue(envPrefix+name, path, value)
			continue
		}
		if kubernetesVariable.MatchString(name) {
			continue
		}
		hint := ""
		if near := document.Nearest(name, slices.Concat(names, envOthers)); near != "" {
			hint = "; did you mean " + envPrefix + near + "?"
		}
		d.Fail("environment variable %s%s names no key of the configuration%s", envPrefix, name, hint)
	}
}

func (s configSource) readSet(d *document.Document) {
	for _, pair := range s.set {
		path, value, ok := strings.Cut(pair, "=")
		if ok && slices.Contains(keyPaths(), path) {
			d.ReadValue("--set", path, value)
			continue
		}
		if ok = slices.Contains(keyPaths(), path); ok {
			d.Fail("--set %q: the value is missing; want --set %s=VALUE", pair, path)
			continue
		}
		hint := " (digestgate config print shows all)"
		if near := document.Nearest(path, keyPaths()); near != "" {
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

// keyPaths lists the paths of all keys that hold a value or a list.
func keyPaths() []string { return document.Paths(reflect.TypeFor[Config]()) }

// SetDefaults implements document.Defaulter: an entry of the list before it is
// read.
func (r *RegistryConfig) SetDefaults() { r.Config = registry.DefaultConfig() }

// configError is how a command says that it cannot begin.
func configError(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("the configuration is not usable:\n%w", indent(err))
}
