package registry

import (
	"context"
	"errors"
)

// errNoLogin says that a place where logins are kept has none for a host, which is
// no fault of the place.
var errNoLogin = errors.New("no login")

// helperHasNone is what a credential helper prints for a host that it does not know
// (docker/docker-credential-helpers, credentials/error.go).
const helperHasNone = "credentials not found in native keychain"

// DockerLogin reports whether the docker configuration in a file has a login for a
// repository of host, so that the file can be named in [CredentialsConfig]. Where the
// file leaves it to a credential helper, the helper is run; one that does not know the
// host is not an error. Errors: a file that cannot be read, a login of a kind that is
// not supported, a helper that is missing or fails.
func DockerLogin(ctx context.Context, file, host, repository string) (bool, error) {
	_, helper, err := readDockerConfig(file, host, repository)
	if err == nil && helper != "" {
		_, err = runHelper(ctx, helper, host)
	}
	if errors.Is(err, errNoLogin) {
		return false, nil
	}
	return err == nil, err
}
