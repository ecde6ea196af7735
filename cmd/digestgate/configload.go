package main

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/go-viper/mapstructure/v2"
	yamlparser "github.com/knadh/koanf/parsers/yaml"
	"github.com/knadh/koanf/providers/rawbytes"
	"github.com/knadh/koanf/v2"
	"go.yaml.in/yaml/v3"

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
}

// load reads and checks the configuration. The error has one line for each
// problem.
func (s configSource) load() (Config, error) {
	k := koanf.New(".")
	if s.file != "" {
		raw, err := os.ReadFile(s.file)
		if err != nil {
			return Config{}, fmt.Errorf("reading the configuration: %w", err)
		}
		if err := k.Load(rawbytes.Provider(raw), yamlparser.Parser()); err != nil {
			return Config{}, fmt.Errorf("reading the configuration %q: %w", s.file, err)
		}
	}
	if err := errors.Join(s.loadEnviron(k), s.loadSet(k)); err != nil {
		return Config{}, err
	}
	c := DefaultConfig()
	if err := decode(k.Raw(), &c); err != nil {
		return Config{}, err
	}
	if dir, err := filepath.Abs(c.DataDir); err == nil {
		c.DataDir = dir
	}
	if !k.Exists("store.url") {
		c.Store.URL = "sqlite://" + filepath.Join(c.DataDir, "digestgate.db")
	}
	return c, c.Validate()
}

func (s configSource) loadEnviron(k *koanf.Koanf) error {
	known := map[string]string{}
	for _, path := range keyPaths() {
		known[strings.ToUpper(strings.ReplaceAll(path, ".", "_"))] = path
	}
	var problems []error
	for _, pair := range s.environ {
		name, value, _ := strings.Cut(pair, "=")
		name, ok := strings.CutPrefix(name, envPrefix)
		if !ok || value == "" || slices.Contains(envOthers, name) {
			continue // an empty variable counts as not set
		}
		path, ok := known[name]
		if !ok && kubernetesVariable.MatchString(name) {
			continue
		}
		if !ok {
			problems = append(problems, fmt.Errorf("environment variable %s%s names no key of the configuration", envPrefix, name))
			continue
		}
		problems = append(problems, setKey(k, path, value))
	}
	return errors.Join(problems...)
}

func (s configSource) loadSet(k *koanf.Koanf) error {
	var problems []error
	for _, pair := range s.set {
		path, value, ok := strings.Cut(pair, "=")
		if !ok || !slices.Contains(keyPaths(), path) {
			problems = append(problems, fmt.Errorf("--set %q: want KEY=VALUE with a key such as scan.timeout (digestgate config print shows all)", pair))
			continue
		}
		problems = append(problems, setKey(k, path, value))
	}
	return errors.Join(problems...)
}

func setKey(k *koanf.Koanf, path, text string) error {
	var value any
	if err := yaml.Unmarshal([]byte(text), &value); err != nil {
		return fmt.Errorf("%s: the value %q is not YAML: %w", path, text, err)
	}
	return k.Set(path, value)
}

// keyPaths lists the paths of all keys that hold a value or a list.
func keyPaths() []string {
	var paths []string
	var walk func(prefix string, t reflect.Type)
	walk = func(prefix string, t reflect.Type) {
		for i := range t.NumField() {
			f := t.Field(i)
			name, _, _ := strings.Cut(f.Tag.Get("yaml"), ",")
			if name == "" || name == "-" {
				continue
			}
			if f.Type.Kind() == reflect.Struct {
				walk(prefix+name+".", f.Type)
				continue
			}
			paths = append(paths, prefix+name)
		}
	}
	walk("", reflect.TypeFor[Config]())
	return paths
}

// decode writes what was read over the defaults in c. Unknown keys and wrong
// types are errors, all reported at once.
func decode(raw map[string]any, c *Config) error {
	raw = maps.Clone(raw)
	list, err := withDefaults(raw["registries"], RegistryConfig{Config: registry.DefaultConfig()})
	if err != nil {
		return err
	}
	if list != nil {
		raw["registries"] = list
	}
	d, err := mapstructure.NewDecoder(&mapstructure.DecoderConfig{
		Result: c, TagName: "yaml", SquashTagOption: "inline", ErrorUnused: true,
		DecodeHook: mapstructure.ComposeDecodeHookFunc(durationHook, mapstructure.StringToTimeDurationHookFunc(), mapstructure.TextUnmarshallerHookFunc()),
	})
	if err != nil {
		return err
	}
	if err := d.Decode(raw); err != nil {
		return fmt.Errorf("%s", strings.NewReplacer("decoding failed due to the following error(s):\n\n", "",
			"'' has invalid keys", "unknown keys", "has invalid keys", "has unknown keys").Replace(err.Error()))
	}
	return nil
}

// durationHook refuses a bare number, which would be nanoseconds.
func durationHook(from, to reflect.Type, value any) (any, error) {
	if to == reflect.TypeFor[time.Duration]() && from.Kind() != reflect.String && fmt.Sprint(value) != "0" {
		return nil, fmt.Errorf("%v has no unit; want a duration such as 30s, 10m or 6h", value)
	}
	return value, nil
}

// withDefaults fills the missing keys of each element of a list, which a
// decoder would leave at their zero values.
func withDefaults(value, defaults any) (any, error) {
	list, ok := value.([]any)
	if !ok {
		return nil, nil
	}
	encoded, err := yaml.Marshal(defaults)
	if err != nil {
		return nil, err
	}
	out := make([]any, len(list))
	for i, item := range list {
		given, ok := item.(map[string]any)
		if !ok {
			out[i] = item
			continue
		}
		full := map[string]any{}
		if err := yaml.Unmarshal(encoded, &full); err != nil {
			return nil, err
		}
		for _, part := range []string{"webhook", "sync"} {
			delete(full, part)
		}
		for key, v := range given {
			if v != nil { // no value is the default, as for every other key
				full[key] = v
			}
		}
		out[i] = full
	}
	return out, nil
}
