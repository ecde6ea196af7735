package redistest

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"
)

const (
	// masterName is what the Sentinels call the pair.
	masterName = "digestgate"
	sentinels  = 3
	quorum     = 2
	// downAfter is after how many milliseconds without an answer a server
	// counts as dead; see nodeTimeout.
	downAfter = 1000
)

// SentinelServers are a master and its replica, watched by three Sentinels.
type SentinelServers struct {
	pair      *group
	sentinels *group
}

// Sentinel starts a pair and its Sentinels, which end with the test.
func Sentinel(tb testing.TB, o Options) *SentinelServers {
	tb.Helper()
	s, err := startSentinel(dirFor(tb, o), o)
	if err != nil {
		refuse(tb, err)
	}
	tb.Cleanup(func() {
		if err := s.end(); err != nil {
			tb.Error(err)
		}
	})
	return s
}

func startSentinel(dir string, o Options) (*SentinelServers, error) {
	g, err := newGroup(dir, o)
	if err != nil {
		return nil, err
	}
	s := &SentinelServers{pair: g, sentinels: &group{dir: dir, port: g.port, certs: g.certs, admin: credentials{password: o.SentinelPassword}}}
	if err := s.form(); err != nil {
		return nil, errors.Join(err, s.end())
	}
	return s, nil
}

func (s *SentinelServers) form() error {
	ctx, cancel := patiently()
	defer cancel()
	master, err := s.pair.start("server-0")
	if err != nil {
		return err
	}
	replica, err := s.pair.start("server-1", replicaOf(master))
	if err != nil {
		return err
	}
	// A Sentinel looks for replicas when it starts and then every 10 s.
	if err := poll(ctx, "the replica to follow", replica.follows); err != nil {
		return err
	}
	for i := range sentinels {
		if _, err := s.sentinels.attempt(fmt.Sprint("sentinel-", i), func(n *Server, port int) error { return s.configure(n, port, master) }); err != nil {
			return err
		}
	}
	return poll(ctx, "the Sentinels to know each other", s.well)
}

// replicaOf is the line of redis.conf that makes a replica.
func replicaOf(master *Server) string {
	host, port, _ := net.SplitHostPort(master.addr)
	return "replicaof " + host + " " + port
}

// configure writes sentinel.conf.
func (s *SentinelServers) configure(n *Server, port int, master *Server) error {
	data := filepath.Join(n.dir, "data")
	if err := os.MkdirAll(data, 0o700); err != nil {
		return err
	}
	host, masterPort, _ := net.SplitHostPort(master.addr)
	lines := append([]string{"bind 127.0.0.1", fmt.Sprintf("dir %q", data)}, s.sentinels.certs.lines(port)...)
	if p := s.sentinels.admin.password; p != "" {
		lines = append(lines, fmt.Sprintf("requirepass %q", p))
	}
	lines = append(lines, fmt.Sprintf("sentinel monitor %s %s %s %d", masterName, host, masterPort, quorum),
		fmt.Sprintf("sentinel down-after-milliseconds %s %d", masterName, downAfter),
		// Twice this time must pass between two failovers.
		fmt.Sprintf("sentinel failover-timeout %s %d", masterName, 2*downAfter))
	if u := s.pair.admin.username; u != "" {
		lines = append(lines, fmt.Sprintf("sentinel auth-user %s %s", masterName, u))
	}
	if p := s.pair.admin.password; p != "" {
		lines = append(lines, fmt.Sprintf("sentinel auth-pass %s %s", masterName, p))
	}
	return writeLines(filepath.Join(n.dir, "sentinel.conf"), lines)
}

func (s *SentinelServers) end() error { return errors.Join(s.sentinels.end(), s.pair.end()) }

// well is nil when all Sentinels know each other, agree on the one master, and
// the other server, if it answers, follows it.
func (s *SentinelServers) well() error {
	if err := agree(s.pair.servers); err != nil {
		return err
	}
	master, err := s.Master()
	if err != nil {
		return err
	}
	if err := s.chosen(master); err != nil {
		return err
	}
	for _, n := range s.sentinels.servers {
		if err := s.sees(n); err != nil {
			return err
		}
	}
	for _, n := range s.pair.servers {
		if n.answers() {
			if err := n.follows(); err != nil {
				return err
			}
		}
	}
	return nil
}

// chosen is nil when all Sentinels have this master.
func (s *SentinelServers) chosen(master *Server) error {
	_, port, _ := net.SplitHostPort(master.addr)
	want := map[string]string{"port": port, "flags": "master", "num-other-sentinels": strconv.Itoa(sentinels - 1)}
	for _, n := range s.sentinels.servers {
		state, err := mapOf(n.Do("sentinel", "master", masterName))
		if err != nil {
			return err
		}
		for name, value := range want {
			if state[name] != value {
				return fmt.Errorf("%s of %q at Sentinel %q is %q, want %q", name, masterName, n.addr, state[name], value)
			}
		}
	}
	return nil
}

// sees is nil when a Sentinel knows the replica, if there is one, and does not
// believe that it is down.
func (s *SentinelServers) sees(n *Server) error {
	replica, err := s.Replica()
	if err != nil {
		return nil // it is down, or not a replica yet
	}
	list, err := n.Do("sentinel", "replicas", masterName).Slice()
	if err != nil {
		return err
	}
	for _, item := range list {
		state := pairs(item)
		if net.JoinHostPort(state["ip"], state["port"]) == replica.addr && state["flags"] == "slave" {
			return nil
		}
	}
	return fmt.Errorf("the Sentinel %q does not know the replica %q: %v", n.addr, replica.addr, list)
}

// Addrs are those of the Sentinels.
func (s *SentinelServers) Addrs() []string { return addrs(s.sentinels.servers) }

// Name is what the Sentinels call the pair.
func (s *SentinelServers) Name() string { return masterName }

// URL names the Sentinels, the pair and database 0, without user or password.
func (s *SentinelServers) URL() string {
	return s.pair.certs.scheme() + "+sentinel://" + strings.Join(s.Addrs(), ",") + "/" + masterName + "/0"
}

// CAFile is the certificate to trust, "" without TLS.
func (s *SentinelServers) CAFile() string { return s.pair.certs.file() }

// Sentinel is one of the three Sentinels, counted from 0.
func (s *SentinelServers) Sentinel(i int) *Server { return s.sentinels.servers[i] }

// Client is a client that follows the master as the user that may do
// everything; it is closed with the test.
func (s *SentinelServers) Client(tb testing.TB) *redis.Client {
	tb.Helper()
	o := s.pair.servers[0].clientOptions()
	client := redis.NewFailoverClient(&redis.FailoverOptions{
		MasterName: masterName, SentinelAddrs: s.Addrs(), SentinelPassword: s.sentinels.admin.password,
		Username: o.Username, Password: o.Password, TLSConfig: o.TLSConfig, ReadTimeout: o.ReadTimeout, WriteTimeout: o.WriteTimeout,
		ContextTimeoutEnabled: true, Protocol: o.Protocol, DisableIdentity: true, // a failover client never asks for maintenance notifications
	})
	closeWith(tb, client)
	return client
}

// Reset removes all keys.
func (s *SentinelServers) Reset() error {
	m, err := s.Master()
	if err != nil {
		return err
	}
	return m.Reset()
}

// mapOf reads an answer of names and values.
func mapOf(cmd *redis.Cmd) (map[string]string, error) {
	v, err := cmd.Result()
	if err != nil {
		return nil, err
	}
	return pairs(v), nil
}

// pairs makes a map of [name, value, …].
func pairs(v any) map[string]string {
	m := map[string]string{}
	list, _ := v.([]any)
	for i := 0; i+1 < len(list); i += 2 {
		m[fmt.Sprint(list[i])] = fmt.Sprint(list[i+1])
	}
	return m
}
