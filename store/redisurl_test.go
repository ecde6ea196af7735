package store_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/store"
)

func TestParseRedis(t *testing.T) {
	for in, want := range map[string]store.RedisTarget{
		"redis://localhost":                     {Kind: store.RedisPlain, Addrs: []string{"localhost:6379"}},
		"redis://localhost:7000/3":              {Kind: store.RedisPlain, Addrs: []string{"localhost:7000"}, Database: 3},
		"rediss://gate%40x@[::1]:6380/":         {Kind: store.RedisPlain, Addrs: []string{"[::1]:6380"}, Username: "gate@x", TLS: true},
		"redis://[::1]":                         {Kind: store.RedisPlain, Addrs: []string{"[::1]:6379"}},
		"redis+sentinel://a,b:5000/mymaster":    {Kind: store.RedisSentinel, Addrs: []string{"a:26379", "b:5000"}, Master: "mymaster"},
		"rediss+sentinel://u@a/mymaster/2":      {Kind: store.RedisSentinel, Addrs: []string{"a:26379"}, Master: "mymaster", Database: 2, Username: "u", TLS: true},
		"redis+cluster://a:7000,b:7001,c:7002":  {Kind: store.RedisCluster, Addrs: []string{"a:7000", "b:7001", "c:7002"}},
		"rediss+cluster://a:7000,b:7001,c:70/0": {Kind: store.RedisCluster, Addrs: []string{"a:7000", "b:7001", "c:70"}, TLS: true},
		"redis+sentinel://a/m?sentinelPasswordFile=/p&sentinelUsername=u": {Kind: store.RedisSentinel, Addrs: []string{"a:26379"},
			Master: "m", SentinelUsername: "u", SentinelPasswordFile: "/p"},
	} {
		got, err := store.ParseRedis(in)
		if diff := cmp.Diff(want, got); diff != "" || err != nil {
			t.Errorf("ParseRedis(%q): %v (-want +got):\n%s", in, err, diff)
		}
	}
	for in, want := range map[string]string{
		"redis://u:secret@h":                   "passwordFile",
		"redis://:secret@h/0":                  "passwordFile",
		"redis://u:sec/secret@h/0":             "passwordFile",
		"redis://u:secret/x@h":                 "passwordFile",
		"redis://u:x,secret/x@h":               "passwordFile",
		"redis://":                             "no host",
		"redis://h:port":                       "port",
		"redis://h:70000":                      "port",
		"redis://a,b":                          "sentinel",
		"redis://h/x":                          "database number",
		"redis://h/-1":                         "database number",
		"redis://h/0/1":                        "database number",
		"redis://h?db=1":                       "no options",
		"redis+sentinel://h":                   "does not name the master",
		"redis+sentinel://h/m/x":               "database number",
		"redis+cluster://h/1":                  "database 0 only",
		"redis+cluster://a,,b":                 "no host",
		"redis://a%zz@h":                       "percent escape",
		"redis+tls://h":                        "not known",
		"redis://h\x1b[31m:x":                  "HOST:PORT",
		"redis://" + strings.Repeat(":", 9999): "HOST:PORT",
	} {
		_, err := store.ParseRedis(in)
		switch {
		case !errors.Is(err, gate.ErrInvalid) || !strings.Contains(err.Error(), want):
			t.Errorf("ParseRedis(%q): got %v, want something about %q", in, err, want)
		case strings.Contains(err.Error(), "secret"):
			t.Errorf("ParseRedis(%q) tells the password: %v", in, err)
		case len(err.Error()) > 700 || strings.ContainsRune(err.Error(), 0x1b):
			t.Errorf("ParseRedis(%q): the message is not fit to be shown: %v", in, err)
		}
	}
}

func TestConfigOfRedis(t *testing.T) {
	good := store.Config{URL: "rediss://h:6379/0", Username: "gate", PasswordFile: "/p", CAFile: "/c", Prefix: "digestgate", MACKeyFile: "/m"}
	if err := good.Validate(); err != nil {
		t.Errorf("a good one: %v", err)
	}
	bad := store.Config{URL: "redis://other@h", Username: "gate", CAFile: "/c", Prefix: "a{b}"}
	err := bad.Validate()
	if !errors.Is(err, gate.ErrInvalid) {
		t.Fatalf("got %v", err)
	}
	lines := strings.Split(err.Error(), "\n")
	for i, key := range []string{"username: ", "prefix: ", "caFile: ", "macKeyFile: "} {
		if len(lines) != 4 || !strings.HasPrefix(lines[i], key) {
			t.Fatalf("line %d does not begin with %q: %q", i, key, lines)
		}
	}
}
