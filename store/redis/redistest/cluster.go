package redistest

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"
)

const (
	masters = 3
	slots   = 16384
	// nodeTimeout is after how many milliseconds of silence a node counts as
	// dead: as short as the failover of a test wants, as long as a busy machine
	// may stall a process.
	nodeTimeout = 2000
)

// ClusterServers are a cluster of three shards, each a master and, with
// Options.Replicas, a replica. Shards are numbered from 0 in the order of
// their slots.
type ClusterServers struct{ group *group }

// Cluster starts a cluster that ends with the test.
func Cluster(tb testing.TB, o Options) *ClusterServers {
	tb.Helper()
	c, err := startCluster(dirFor(tb, o), o)
	if err != nil {
		refuse(tb, err)
	}
	tb.Cleanup(func() {
		if err := c.group.end(); err != nil {
			tb.Error(err)
		}
	})
	return c
}

func startCluster(dir string, o Options) (*ClusterServers, error) {
	g, err := newGroup(dir, o)
	if err != nil {
		return nil, err
	}
	nodes := masters
	if o.Replicas {
		nodes *= 2
	}
	c := &ClusterServers{group: g}
	for i := range nodes {
		// The nodes' own file is beside the data: a snapshot of the data must
		// not turn back what a node knows of the others.
		name := fmt.Sprint("node-", i)
		role := []string{"cluster-enabled yes", fmt.Sprintf("cluster-node-timeout %d", nodeTimeout), fmt.Sprintf("cluster-config-file %q", g.path(name, "nodes.conf"))}
		if g.certs != nil {
			role = append(role, "tls-cluster yes")
		}
		if _, err := g.start(name, role...); err != nil {
			return nil, errors.Join(err, g.end())
		}
	}
	ctx, cancel := patiently()
	defer cancel()
	if err := c.form(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("forming the cluster: %w", err), g.end())
	}
	return c, nil
}

// form makes one cluster of nodes that know nothing of each other.
func (c *ClusterServers) form(ctx context.Context) error {
	nodes := c.group.servers
	for i, n := range nodes[:masters] {
		// Different epochs from the start spare the nodes their agreement on
		// them, which takes a vote for each.
		if err := n.Do("cluster", "set-config-epoch", i+1).Err(); err != nil {
			return err
		}
		// ADDSLOTSRANGE is of Redis 7.
		add := []any{"cluster", "addslots"}
		for slot := slots * i / masters; slot < slots*(i+1)/masters; slot++ {
			add = append(add, slot)
		}
		if err := n.Do(add...).Err(); err != nil {
			return err
		}
	}
	for i, from := range nodes {
		for _, to := range nodes[i+1:] {
			host, port, _ := net.SplitHostPort(to.addr)
			if err := from.Do("cluster", "meet", host, port).Err(); err != nil {
				return err
			}
		}
	}
	if err := poll(ctx, "the nodes to know each other", c.acquainted); err != nil {
		return err
	}
	for i, n := range nodes[masters:] {
		id, err := nodes[i].Do("cluster", "myid").Text()
		if err == nil {
			err = n.Do("cluster", "replicate", id).Err()
		}
		if err != nil {
			return err
		}
	}
	return poll(ctx, "the cluster to be well", c.well)
}

func (c *ClusterServers) acquainted() error {
	want := strconv.Itoa(len(c.group.servers))
	for _, n := range c.group.servers {
		text, err := n.Do("cluster", "nodes").Text()
		if err != nil {
			return err
		}
		if known := strings.Count(text, " connected"); strconv.Itoa(known) != want || strings.Contains(text, "handshake") {
			return fmt.Errorf("%q is connected to %d nodes, want %s", n.addr, known, want)
		}
	}
	return nil
}

// well is nil when every node that answers finds all slots served, and every
// replica that answers follows its master.
func (c *ClusterServers) well() error {
	for _, n := range c.group.servers {
		if !n.answers() {
			continue
		}
		text, err := n.Do("cluster", "info").Text()
		if err != nil {
			return err
		}
		state := fields(text)
		for name, want := range map[string]string{"cluster_state": "ok", "cluster_slots_ok": strconv.Itoa(slots), "cluster_size": strconv.Itoa(masters)} {
			if state[name] != want {
				return fmt.Errorf("%s of %q is %q, want %q", name, n.addr, state[name], want)
			}
		}
		if err := n.follows(); err != nil {
			return err
		}
	}
	for i := range masters {
		if err := agree(c.shard(i)); err != nil {
			return err
		}
	}
	return nil
}

// Addrs are those of all nodes, the first masters first.
func (c *ClusterServers) Addrs() []string { return addrs(c.group.servers) }

// URL names all nodes, without user or password.
func (c *ClusterServers) URL() string {
	return c.group.certs.scheme() + "+cluster://" + strings.Join(c.Addrs(), ",")
}

// CAFile is the certificate to trust, "" without TLS.
func (c *ClusterServers) CAFile() string { return c.group.certs.file() }

// Client is a client of the user that may do everything; it is closed with the
// test.
func (c *ClusterServers) Client(tb testing.TB) *redis.ClusterClient {
	tb.Helper()
	o := c.group.servers[0].clientOptions()
	client := redis.NewClusterClient(&redis.ClusterOptions{
		Addrs: c.Addrs(), Username: o.Username, Password: o.Password, TLSConfig: o.TLSConfig, ReadTimeout: o.ReadTimeout, WriteTimeout: o.WriteTimeout,
		ContextTimeoutEnabled: true, Protocol: o.Protocol, DisableIdentity: true, MaintNotificationsConfig: noMaintenance(),
	})
	closeWith(tb, client)
	return client
}

// Reset removes all keys.
func (c *ClusterServers) Reset() error {
	for i := range masters {
		m, err := c.Master(i)
		if err != nil {
			return err
		}
		if err := m.Reset(); err != nil {
			return err
		}
	}
	return nil
}
