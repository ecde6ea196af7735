package store_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/store"
)

func TestSQLitePath(t *testing.T) {
	for in, want := range map[string]string{
		"sqlite:///var/lib/digestgate/digestgate.db": "/var/lib/digestgate/digestgate.db",
		"sqlite://data/store.db":                     "data/store.db",
		"sqlite://store.db":                          "store.db",
		"sqlite:///a%20b/c%3Fd%23.db":                "/a b/c?d#.db",
	} {
		if got, err := store.SQLitePath(in); err != nil || got != want {
			t.Errorf("SQLitePath(%q): got %q, %v, want %q", in, got, err, want)
		}
	}
	for in, want := range map[string]string{
		"":                                "is empty",
		"/var/lib/x.db":                   "no scheme",
		"sqlite:/var/lib/x.db":            "no scheme",
		"sqlite://":                       "names no file",
		"sqlite:///var/lib/":              "is a directory",
		"sqlite://:memory:":               "must outlive",
		"sqlite:///x.db?mode=memory":      "takes no options",
		"sqlite:///x.db#f":                "takes no options",
		"sqlite:///x%zz":                  "percent escape",
		"sqlite:///x%00y":                 "zero byte",
		"postgres://u:secret@h/d":         "not known",
		"redis://u:secret@h:6379/0":       "not known",
		"SQLITE:///x.db":                  "not known",
		"sqlite\x1b[31m:///x.db":          "not known",
		strings.Repeat("x", 9999) + "://": "not known",
	} {
		_, err := store.SQLitePath(in)
		switch {
		case !errors.Is(err, gate.ErrInvalid) || !strings.Contains(err.Error(), want):
			t.Errorf("SQLitePath(%q): got %v, want something about %q", in, err, want)
		case strings.Contains(err.Error(), "secret"):
			t.Errorf("SQLitePath(%q) tells the password: %v", in, err)
		case len(err.Error()) > 500 || strings.ContainsRune(err.Error(), 0x1b):
			t.Errorf("SQLitePath(%q): the message is not fit to be shown: %v", in, err)
		}
	}
}

func TestConfig(t *testing.T) {
	if err := store.Default().Validate(); err != nil {
		t.Errorf("the default: %v", err)
	}
	c := store.Config{URL: "sqlite://", Username: "u", PasswordFile: "/p", CAFile: "/c", MACKeyFile: "/m"}
	err := c.Validate()
	if !errors.Is(err, gate.ErrInvalid) {
		t.Fatalf("got %v", err)
	}
	lines := strings.Split(err.Error(), "\n")
	for i, key := range []string{"url: ", "username: ", "passwordFile: ", "caFile: ", "macKeyFile: "} {
		if len(lines) != 5 || !strings.HasPrefix(lines[i], key) {
			t.Fatalf("line %d does not begin with %q: %q", i, key, lines)
		}
	}
}
