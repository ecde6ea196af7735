package registry

import (
	"cmp"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/digestgate/digestgate/gate"
)

// dockerConfig is the part of ~/.docker/config.json that is about logins
// (docker/cli, cli/config/configfile/file.go).
type dockerConfig struct {
	Auths       map[string]dockerAuth `json:"auths"`
	CredHelpers map[string]string     `json:"credHelpers"`
	CredsStore  string                `json:"credsStore"`
}

type dockerAuth struct {
	Auth          string `json:"auth"` // base64 of user:password
	Username      string `json:"username"`
	Password      string `json:"password"`
	IdentityToken string `json:"identitytoken"`
	RegistryToken string `json:"registrytoken"`
}

// readDockerConfig finds the login for a repository of host, or the name of the
// helper that has it. A file without an entry for the host is an error: whoever
// names a file wants to be logged in.
func readDockerConfig(path, host, repo string) (l login, helper string, err error) {
	raw, err := readSecret(path)
	if err != nil {
		return login{}, "", fmt.Errorf("reading the docker configuration: %w", err)
	}
	var c dockerConfig
	// The error of json is left out: it may quote a password.
	if json.Unmarshal(raw, &c) != nil {
		return login{}, "", fmt.Errorf("reading the docker configuration %q: it is not a JSON object with auths", path)
	}
	// As docker does: a helper for the host, then what stands in the file,
	// then the helper for everything.
	if key, ok := choose(c.CredHelpers, host, repo, func(string) bool { return true }); ok {
		name := c.CredHelpers[key]
		return login{}, name, checkHelper(name)
	}
	// docker login leaves an empty entry where a helper has the rest.
	if key, ok := choose(c.Auths, host, repo, func(a dockerAuth) bool { return a != (dockerAuth{}) }); ok {
		l, err := c.Auths[key].login()
		if err != nil {
			return login{}, "", fmt.Errorf("reading the docker configuration %q, entry %s: %w", path, gate.Quoted(key, 100), err)
		}
		return l, "", nil
	}
	if c.CredsStore != "" {
		return login{}, c.CredsStore, checkHelper(c.CredsStore)
	}
	return login{}, "", &wordedError{fmt.Sprintf("the docker configuration %q has no entry for %q", path, host), errNoLogin}
}

func (a dockerAuth) login() (login, error) {
	switch {
	case a.Username != "" && a.Password != "":
		return login{a.Username, a.Password}, nil
	case a.Auth != "":
		raw, err := base64.StdEncoding.DecodeString(a.Auth)
		user, password, ok := strings.Cut(string(raw), ":")
		// Docker pads with zero bytes on some platforms (docker/cli, decodeAuth).
		password = strings.Trim(password, "\x00")
		if err != nil || !ok || user == "" || password == "" {
			return login{}, errors.New("auth is not the base64 of user:password")
		}
		return login{user, password}, nil
	case a.IdentityToken != "" || a.RegistryToken != "":
		return login{}, errors.New("it holds an identity token, which is not supported; use a user and a password")
	}
	return login{}, errors.New("it holds no user and password")
}

// sameServer compares a key of a docker configuration with a host. Keys are
// hosts or URLs; Docker Hub's is https://index.docker.io/v1/.
func sameServer(key, host string) bool {
	key = strings.TrimPrefix(strings.TrimPrefix(key, "https://"), "http://")
	key, _, _ = strings.Cut(key, "/")
	key = gate.CanonicalHost(key)
	if key == "registry-1.docker.io" {
		key = "docker.io"
	}
	return key == gate.CanonicalHost(host)
}

// choose finds the entry of a docker configuration that is for a repository of
// host: the one with the longest path that the repository is in (as containers/image
// and Kubernetes do), and of several with the same path always the same one, the
// plain host name first. Where none has the repository, or none is asked for
// (""), it is the one with the shortest path. usable leaves entries out.
func choose[V any](entries map[string]V, host, repo string, usable func(V) bool) (key string, ok bool) {
	keys := slices.Collect(maps.Keys(entries))
	slices.SortFunc(keys, func(a, b string) int { // the better ones first
		return cmp.Or(cmp.Compare(len(pathOf(a)), len(pathOf(b))), cmp.Compare(len(a), len(b)), strings.Compare(a, b))
	})
	best := -1
	for _, k := range keys {
		if !sameServer(k, host) || !usable(entries[k]) {
			continue
		}
		p := pathOf(k)
		if !ok {
			key, ok = k, true
		}
		if (p == "" || repo == p || strings.HasPrefix(repo, p+"/")) && len(p) > best {
			key, best = k, len(p)
		}
	}
	return key, ok
}

// pathOf is the part of an entry's key that names repositories. /v1/ and /v2/ are
// those of the registry's API.
func pathOf(key string) string {
	key = strings.TrimPrefix(strings.TrimPrefix(key, "https://"), "http://")
	_, p, _ := strings.Cut(key, "/")
	first, rest, _ := strings.Cut(p, "/")
	if first == "v1" || first == "v2" {
		p = rest
	}
	return strings.Trim(p, "/")
}
