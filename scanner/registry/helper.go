package registry

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"time"

	"github.com/digestgate/digestgate/gate"
)

// helperTimeout bounds one run of a helper; those of clouds make one or two
// requests.
const helperTimeout = 20 * time.Second

var helperPattern = regexp.MustCompile(`^[a-zA-Z0-9][a-zA-Z0-9._-]{0,63}$`)

func checkHelper(name string) error {
	if !helperPattern.MatchString(name) {
		return fmt.Errorf("%s is not the name of a credential helper (ecr-login for the program docker-credential-ecr-login)", gate.Quoted(name, 80))
	}
	return nil
}

// helperPrefixes are what a helper sees of the environment: where programs,
// certificates and proxies are, and the variables of the clouds. Nothing of
// digestgate's own is among them.
var helperPrefixes = []string{
	"PATH=", "HOME=", "TMPDIR=", "LANG=", "SSL_CERT_FILE=", "SSL_CERT_DIR=", "DOCKER_CONFIG=", "XDG_",
	"HTTP_PROXY=", "HTTPS_PROXY=", "NO_PROXY=", "http_proxy=", "https_proxy=", "no_proxy=",
	"AWS_", "AZURE_", "MSI_", "IDENTITY_", "GOOGLE_", "CLOUDSDK_", "GCE_", "ALIBABA_CLOUD_", "ALIBABACLOUD_",
	"TENCENTCLOUD_", "HUAWEICLOUD_", "HW_",
}

func helperEnvironment(environ []string) []string {
	var out []string
	for _, pair := range environ {
		for _, prefix := range helperPrefixes {
			if strings.HasPrefix(pair, prefix) {
				out = append(out, pair)
				break
			}
		}
	}
	return out
}

// runHelper asks the program docker-credential-NAME for the login of host
// (protocol: docker/docker-credential-helpers, "get": the server on standard
// input, JSON on standard output). What it prints is in no message, because it
// may be a secret.
func runHelper(ctx context.Context, name, host string) (login, error) {
	if err := checkHelper(name); err != nil {
		return login{}, err
	}
	program := "docker-credential-" + name
	path, err := exec.LookPath(program)
	if err != nil {
		return login{}, fmt.Errorf("credential helper %q is not in PATH", program)
	}
	server := host
	if gate.CanonicalHost(host) == "docker.io" {
		server = "https://index.docker.io/v1/" // the key that docker login writes
	}
	ctx, cancel := context.WithTimeout(ctx, helperTimeout)
	defer cancel()
	out := &boundedBuffer{left: maxSecretBytes, full: cancel}
	cmd := exec.CommandContext(ctx, path, "get")
	cmd.Stdin, cmd.Stdout, cmd.Env = strings.NewReader(server), out, helperEnvironment(os.Environ())
	cmd.WaitDelay = time.Second // a grandchild may hold the pipe
	switch err := cmd.Run(); {
	case out.left < 0:
		return login{}, fmt.Errorf("credential helper %q printed more than %d bytes", program, maxSecretBytes)
	case ctx.Err() != nil:
		return login{}, fmt.Errorf("credential helper %q did not answer within %s", program, helperTimeout)
	case err != nil:
		text := fmt.Sprintf("credential helper %q has no credentials for %q (%s); run it by hand: echo %s | %s get",
			program, server, gate.Printable(err.Error(), 100), server, program)
		if strings.Contains(out.buffer.String(), helperHasNone) {
			return login{}, &wordedError{text, errNoLogin}
		}
		return login{}, errors.New(text)
	}
	return parseHelper(program, out.buffer.Bytes())
}

func parseHelper(program string, out []byte) (login, error) {
	var answer struct{ Username, Secret string }
	if json.Unmarshal(out, &answer) != nil || answer.Username == "" || answer.Secret == "" {
		return login{}, fmt.Errorf("credential helper %q did not print a Username and a Secret as JSON", program)
	}
	if answer.Username == "<token>" {
		return login{}, fmt.Errorf("credential helper %q gave an identity token, which is not supported; use a user and a password", program)
	}
	return login{answer.Username, answer.Secret}, nil
}

// boundedBuffer is a buffer that refuses more than left bytes and calls full.
type boundedBuffer struct {
	buffer bytes.Buffer // not embedded: io.Copy would use its ReadFrom, which has no bound
	left   int
	full   func() // ends the writer, which would wait for a reader otherwise
}

var errFull = errors.New("too much output")

func (b *boundedBuffer) Write(p []byte) (int, error) {
	if b.left -= len(p); b.left < 0 {
		b.full()
		return 0, errFull
	}
	return b.buffer.Write(p)
}
