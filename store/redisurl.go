package store

import (
	"fmt"
	"net"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/digestgate/digestgate/gate"
)

// RedisKind is how the servers of a Redis store work together.
type RedisKind string

// The kinds of Redis store.
const (
	RedisPlain    RedisKind = "plain"
	RedisSentinel RedisKind = "sentinel"
	RedisCluster  RedisKind = "cluster"
)

// RedisTarget is where a Redis store is, as its URL says.
type RedisTarget struct {
	Kind RedisKind
	// Addrs are host:port: the server, the sentinels, or nodes of the cluster.
	Addrs    []string
	Master   string // name of the master that the sentinels watch
	Database int
	Username string // "" leaves it to Config.Username
	TLS      bool
	// SentinelUsername and SentinelPasswordFile are for sentinels that want a
	// password of their own.
	SentinelUsername, SentinelPasswordFile string
}

// redisForms are what a message says a URL should look like.
const redisForms = "want redis://HOST:PORT/DB, redis+sentinel://HOST:PORT,HOST:PORT/MASTER/DB or redis+cluster://HOST:PORT,HOST:PORT (rediss instead of redis for TLS)"

var redisSchemes = map[string]RedisTarget{
	"redis":           {Kind: RedisPlain},
	"rediss":          {Kind: RedisPlain, TLS: true},
	"redis+sentinel":  {Kind: RedisSentinel},
	"rediss+sentinel": {Kind: RedisSentinel, TLS: true},
	"redis+cluster":   {Kind: RedisCluster},
	"rediss+cluster":  {Kind: RedisCluster, TLS: true},
}

// Shared reports whether any number of processes may use the store at once: they must
// agree on what one does for all, on what is in force and on secrets. A store that is
// not shared belongs to one process.
func (c Config) Shared() bool {
	scheme, _, ok := strings.Cut(c.URL, "://")
	_, known := redisSchemes[scheme]
	return ok && known
}

// ParseRedis takes a URL apart:
//
//	redis://HOST:PORT/DB                              one server
//	redis+sentinel://HOST:PORT,HOST:PORT/MASTER/DB    a master that sentinels watch
//	redis+cluster://HOST:PORT,HOST:PORT               a cluster; it has database 0 only
//
// The scheme rediss, rediss+sentinel or rediss+cluster means TLS. Ports default to
// 6379, 26379 for sentinels; the database to 0. A password is refused: it goes in a
// file. Sentinels that want a password are given one with
// ?sentinelPasswordFile=PATH&sentinelUsername=NAME after the URL. gate.ErrInvalid says
// what is wrong and never quotes the URL's credentials.
func ParseRedis(storeURL string) (RedisTarget, error) {
	invalid := func(format string, args ...any) (RedisTarget, error) {
		return RedisTarget{}, fmt.Errorf(format+": %w", append(args, gate.ErrInvalid)...)
	}
	scheme, rest, _ := strings.Cut(storeURL, "://")
	t, ok := redisSchemes[scheme]
	if !ok {
		return invalid("the scheme %s of the store's URL is not known; "+redisForms, gate.Quoted(scheme, 40))
	}
	rest, query, asked := strings.Cut(rest, "?")
	if strings.Contains(rest+query, "#") || (asked && !t.withQuery(query)) {
		return invalid("a redis URL takes no options after ? or # but sentinelPasswordFile and sentinelUsername for redis+sentinel; what else can be set has keys of its own under store")
	}
	hosts, path, _ := strings.Cut(rest, "/")
	if strings.Contains(path, "@") { // a password with a slash; nothing of it may be quoted
		return invalid("the store's URL holds a slash before an @; a password does not belong there: put it into a file and name that as store.passwordFile")
	}
	if user, after, found := cutLast(hosts, "@"); found {
		if strings.Contains(user, ":") {
			return invalid("the store's URL holds a password; put it into a file and name that as store.passwordFile")
		}
		name, err := url.PathUnescape(user)
		if err != nil {
			return invalid("the user name in the store's URL has a malformed percent escape")
		}
		t.Username, hosts = name, after
	}
	port := "6379"
	if t.Kind == RedisSentinel {
		port = "26379"
	}
	for _, host := range strings.Split(hosts, ",") {
		addr, err := address(host, port)
		if err != nil {
			return invalid("the address %s of the store's URL: %w; "+redisForms, gate.Quoted(host, 200), err)
		}
		t.Addrs = append(t.Addrs, addr)
	}
	if t.Kind == RedisPlain && len(t.Addrs) > 1 {
		return invalid("a redis URL names one server; for several use redis+sentinel:// or redis+cluster://")
	}
	return t.withPath(path)
}

// withPath reads what follows the addresses.
func (t RedisTarget) withPath(path string) (RedisTarget, error) {
	var parts []string
	if path = strings.TrimSuffix(path, "/"); path != "" {
		parts = strings.Split(path, "/")
	}
	if t.Kind == RedisSentinel {
		if len(parts) == 0 || parts[0] == "" {
			return RedisTarget{}, fmt.Errorf("the store's URL does not name the master that the sentinels watch; "+redisForms+": %w", gate.ErrInvalid)
		}
		t.Master, parts = parts[0], parts[1:]
	}
	if len(parts) == 0 {
		return t, nil
	}
	db, err := strconv.Atoi(parts[0])
	switch {
	case len(parts) > 1 || err != nil || db < 0:
		return RedisTarget{}, fmt.Errorf("%s in the store's URL is not a database number; "+redisForms+": %w", gate.Quoted(path, 200), gate.ErrInvalid)
	case t.Kind == RedisCluster && db != 0:
		return RedisTarget{}, fmt.Errorf("a cluster has database 0 only, not %d; use store.prefix to keep installations apart: %w", db, gate.ErrInvalid)
	}
	t.Database = db
	return t, nil
}

// withQuery reads what follows a question mark, and reports whether it is known.
func (t *RedisTarget) withQuery(query string) bool {
	values, err := url.ParseQuery(query)
	if err != nil || t.Kind != RedisSentinel {
		return false
	}
	t.SentinelUsername, t.SentinelPasswordFile = values.Get("sentinelUsername"), values.Get("sentinelPasswordFile")
	values.Del("sentinelUsername")
	values.Del("sentinelPasswordFile")
	return len(values) == 0
}

func cutLast(s, sep string) (before, after string, found bool) {
	i := strings.LastIndex(s, sep)
	if i < 0 {
		return "", s, false
	}
	return s[:i], s[i+len(sep):], true
}

// address is host:port, with the usual port if there is none.
func address(text, port string) (string, error) {
	host, given, err := net.SplitHostPort(text)
	if err != nil { // no port, or not an address at all
		host, given = strings.Trim(text, "[]"), port
		if strings.Contains(host, ":") && net.ParseIP(host) == nil {
			return "", fmt.Errorf("not HOST:PORT")
		}
	}
	n, err := strconv.Atoi(given)
	switch {
	case host == "" || strings.ContainsAny(host, " \t\n@/"):
		return "", fmt.Errorf("it has no host name")
	case err != nil || n < 1 || n > 65535:
		return "", fmt.Errorf("the port is not a number from 1 to 65535")
	}
	return net.JoinHostPort(host, given), nil
}

// prefixPattern keeps a prefix readable, and its hash tag whole.
var prefixPattern = regexp.MustCompile(`^[A-Za-z0-9._-]{1,64}$`)

// validateRedis reports every problem of a store that is reached over the
// network.
func (c Config) validateRedis() []error {
	var problems []error
	t, err := ParseRedis(c.URL)
	if err != nil {
		problems = append(problems, fmt.Errorf("url: %w", err))
	}
	problem := func(key, format string, args ...any) {
		problems = append(problems, fmt.Errorf("%s: "+format+": %w", slices.Concat([]any{key}, args, []any{gate.ErrInvalid})...))
	}
	if t.Username != "" && c.Username != "" && t.Username != c.Username {
		problem("username", "it differs from the one in the URL; give it once")
	}
	if !prefixPattern.MatchString(c.Prefix) {
		problem("prefix", "%s: want 1 to 64 letters, digits, dots, hyphens or underscores", gate.Quoted(c.Prefix, 100))
	}
	if c.CAFile != "" && err == nil && !t.TLS {
		problem("caFile", "it has no effect without TLS; use the scheme rediss://")
	}
	if c.MACKeyFile == "" {
		problem("macKeyFile", "a shared store needs it: what admission relies on is signed, so that a program that can write to Redis cannot allow an image; make one with: openssl rand -hex 32 > mac.key, the same for all replicas")
	}
	return problems
}
