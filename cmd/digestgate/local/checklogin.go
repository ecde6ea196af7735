package local

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/digestgate/digestgate/cmd/digestgate/show"
	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/scanner/registry"
)

// credentials gives a registry without any those of docker login. An archive needs
// none.
func (k *check) credentials(ctx context.Context, r *registry.Config) error {
	if k.archive != nil {
		r.Username, r.PasswordFile, r.Credentials = "", "", registry.CredentialsConfig{}
		k.serve(r.Name)
		return nil
	}
	if r.Username != "" || r.Credentials != (registry.CredentialsConfig{}) {
		return nil
	}
	file := dockerConfigFile(k.environ)
	if _, err := os.Stat(file); file == "" || errors.Is(err, os.ErrNotExist) {
		k.anonymous = true
		return nil
	}
	found, err := registry.DockerLogin(ctx, file, k.ref.Host, k.ref.Repository)
	if err != nil {
		return fmt.Errorf("looking for the login that docker keeps for %q: %w (to leave docker's logins out, set DOCKER_CONFIG to an empty directory)", k.ref.Host, err)
	}
	if found {
		r.Credentials.DockerConfig = file
	}
	k.anonymous = !found
	return nil
}

// explain adds what the person at the keyboard can do about a refusal; the text of
// the job is for the operator of a server.
func (k *check) explain(err error) error {
	var exit show.ExitError
	if errors.As(err, &exit) {
		exit.Text = k.inFlags(exit.Text)
		err = exit
	} else if text := k.inFlags(err.Error()); text != err.Error() {
		err = inOtherWords{err, text}
	}
	if class, _ := gate.Classify(gate.ErrRegistryAuth); errors.As(err, &exit) && exit.Reason == class.Label && k.anonymous && !strings.Contains(exit.Text, "docker login") {
		exit.Text += fmt.Sprintf("; there was no login: log in with \"docker login %s\"", k.ref.Host)
		return exit
	}
	return err
}

// inOtherWords is an error with another text.
type inOtherWords struct {
	error
	text string
}

func (e inOtherWords) Error() string { return e.text }
func (e inOtherWords) Unwrap() error { return e.error }

// dockerConfigFile is where docker keeps its logins, "" when that is not known
// (docker/cli, cli/config/config.go).
func dockerConfigFile(environ []string) string {
	get := func(name string) string {
		for _, pair := range environ {
			if v, ok := strings.CutPrefix(pair, name+"="); ok {
				return v
			}
		}
		return ""
	}
	dir := get("DOCKER_CONFIG")
	if dir == "" {
		home := get("HOME")
		if home == "" {
			return ""
		}
		dir = filepath.Join(home, ".docker")
	}
	file, err := filepath.Abs(filepath.Join(dir, "config.json"))
	if err != nil {
		return ""
	}
	return file
}
