package registry

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
)

// maxPasswordBytes bounds a password file. The largest known passwords are
// Google service account keys (about 2.4 kB) and cloud tokens (a few kB).
const maxPasswordBytes = 64 << 10

// readPassword reads a secret. One trailing line break is not part of it,
// because editors and "echo" add one.
func readPassword(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", fmt.Errorf("reading password: %w", err)
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxPasswordBytes+1))
	if err != nil {
		return "", fmt.Errorf("reading password from %q: %w", path, err)
	}
	if len(b) > maxPasswordBytes {
		return "", fmt.Errorf("reading password from %q: it is larger than %d bytes", path, maxPasswordBytes)
	}
	s := strings.TrimSuffix(strings.TrimSuffix(string(b), "\n"), "\r")
	if s == "" {
		return "", fmt.Errorf("reading password from %q: %w", path, errors.New("it is empty"))
	}
	return s, nil
}
