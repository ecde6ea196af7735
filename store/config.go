package store

import (
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"github.com/digestgate/digestgate/gate"
)

// Config is the store: block of the configuration. Secrets are files.
type Config struct {
	// URL chooses the implementation. sqlite://PATH is one file on a local
	// disk, for one process (three slashes for an absolute path). redis://,
	// redis+sentinel:// and redis+cluster:// serve any number of processes; see
	// [ParseRedis] for their form.
	URL string `yaml:"url"`
	// Username (of an ACL user; "" is the default user), PasswordFile (read
	// again for each connection) and CAFile (PEM; "" is the system's) are for
	// stores that are reached over the network; they are refused for sqlite,
	// which would ignore them. The sentinels of a Redis are asked with the same.
	Username     string `yaml:"username"`
	PasswordFile string `yaml:"passwordFile"`
	CAFile       string `yaml:"caFile"`
	// Prefix begins every key of a shared store, so that several installations
	// can share one Redis; sqlite has no use for it.
	Prefix string `yaml:"prefix"`
	// MACKeyFile holds the key that signs what a shared store keeps: one line of
	// random text, or two while keys are rotated (the first signs, both are
	// accepted). It is followed. Every process of an installation has the same.
	MACKeyFile string `yaml:"macKeyFile"`
}

// Default is the embedded store in the default data directory.
func Default() Config {
	return Config{URL: "sqlite:///var/lib/digestgate/digestgate.db", Prefix: "digestgate"}
}

// Validate reports every problem with its key; it opens nothing but the files
// that are named.
func (c Config) Validate() error {
	if c.Shared() {
		return errors.Join(c.validateRedis()...)
	}
	var problems []error
	if _, err := c.SQLitePath(); err != nil {
		problems = append(problems, fmt.Errorf("url: %w", err))
	}
	for _, f := range []struct{ key, value string }{
		{"username", c.Username}, {"passwordFile", c.PasswordFile}, {"caFile", c.CAFile}, {"macKeyFile", c.MACKeyFile},
	} {
		if f.value != "" && strings.HasPrefix(c.URL, sqliteScheme) {
			problems = append(problems, fmt.Errorf("%s: %s has no effect on a sqlite store, leave it empty: %w",
				f.key, gate.Quoted(f.value, 200), gate.ErrInvalid))
		}
	}
	return errors.Join(problems...)
}

// SecretFiles are the files that hold secrets, which no child that parses images
// may read; "" are among them.
func (c Config) SecretFiles() []string {
	t, _ := ParseRedis(c.URL) // of another store there is none
	return []string{c.PasswordFile, c.MACKeyFile, t.SentinelPasswordFile}
}

// Name tells people, and a later run, which store it is. It has no secrets in it.
// gate.ErrInvalid for a URL that cannot be read.
func (c Config) Name() (string, error) {
	if !c.Shared() {
		path, err := c.SQLitePath()
		if err != nil {
			return "", err
		}
		path, err = filepath.Abs(path)
		return sqliteScheme + path, err
	}
	t, err := ParseRedis(c.URL)
	return fmt.Sprintf("%s %s%s/%d, prefix %s", t.Kind, strings.Join(t.Addrs, ","), t.Master, t.Database, c.Prefix), err
}

const sqliteScheme = "sqlite://"

// SQLitePath is the path of the embedded store's file; gate.ErrInvalid when
// URL names none.
func (c Config) SQLitePath() (string, error) { return SQLitePath(c.URL) }

// SQLitePath takes the path out of a sqlite://PATH URL. What follows the two
// slashes is the path, so that sqlite:///var/x is absolute and sqlite://x is
// relative to the working directory; percent escapes are decoded.
// gate.ErrInvalid says what is wrong.
func SQLitePath(storeURL string) (string, error) {
	// A URL may hold a password, so that no message quotes it whole.
	invalid := func(format string, args ...any) (string, error) {
		return "", fmt.Errorf(format+": %w", append(args, gate.ErrInvalid)...)
	}
	scheme, rest, ok := strings.Cut(storeURL, "://")
	switch {
	case storeURL == "":
		return invalid("the store's URL is empty; want sqlite:///PATH or redis://HOST:PORT")
	case !ok:
		return invalid("the store's URL has no scheme; want sqlite:///PATH or redis://HOST:PORT")
	case scheme != "sqlite":
		return invalid("the scheme %s of the store's URL is not known; want sqlite:///PATH or redis://HOST:PORT", gate.Quoted(scheme, 40))
	case strings.ContainsAny(rest, "?#"):
		return invalid("a sqlite URL takes no options after ? or # (write %%3F or %%23 if the path has them)")
	}
	path, err := url.PathUnescape(rest)
	switch {
	case err != nil:
		return invalid("the path %s has a malformed percent escape", gate.Quoted(rest, 200))
	case path == "":
		return invalid("the sqlite URL names no file; want sqlite:///PATH")
	case strings.HasPrefix(path, ":memory:"):
		return invalid("the store must outlive the process, :memory: cannot")
	case strings.ContainsRune(path, 0):
		return invalid("the path %s contains a zero byte", gate.Quoted(path, 200))
	case os.IsPathSeparator(path[len(path)-1]):
		return invalid("the path %s is a directory; name a file in it", gate.Quoted(path, 200))
	}
	return path, nil
}
