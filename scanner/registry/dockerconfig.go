package registry

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
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

// readDockerConfig finds the login for host, or the name of the helper that
// has it. A file without an entry for the host is an error: whoever names a
// file wants to be logged in.
func readDockerConfig(path, host string) (l login, helper string, err error) {
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
	for key, name := range c.CredHelpers {
		if sameServer(key, host) {
			return login{}, name, checkHelper(name)
		}
	}
	for key, a := range c.Auths {
		if !sameServer(key, host) || a == (dockerAuth{}) {
			continue // docker login leaves an empty entry where a helper has the rest
		}
		l, err := a.login()
		if err != nil {
			return login{}, "", fmt.Errorf("reading the docker configuration %q, entry %q: %w", path, gate.Printable(key, 100), err)
		}
		return l, "", nil
	}
	if c.CredsStore != "" {
		return login{}, c.CredsStore, checkHelper(c.CredsStore)
	}
	return login{}, "", fmt.Errorf("the docker configuration %q has no entry for %q", path, host)
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
