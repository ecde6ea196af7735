package redistest

import "fmt"

// Master is the server that is master of shard i now.
func (c *ClusterServers) Master(i int) (*Server, error) { return withRole("master", c.shard(i)) }

// Replica is the server that is replica of shard i now.
func (c *ClusterServers) Replica(i int) (*Server, error) { return withRole("slave", c.shard(i)) }

func (c *ClusterServers) shard(i int) []*Server {
	shard := []*Server{c.group.servers[i]}
	if c.group.options.Replicas {
		shard = append(shard, c.group.servers[masters+i])
	}
	return shard
}

// Kill kills the master of shard i. Start of the server that it returns brings
// it back; Well waits until the cluster has noticed.
func (c *ClusterServers) Kill(i int) (*Server, error) {
	m, err := c.Master(i)
	if err != nil {
		return nil, err
	}
	return m, m.Kill()
}

// Crash kills the master of shard i, waits until its replica has taken over,
// and returns the dead server. Started again, it becomes a replica by itself.
func (c *ClusterServers) Crash(i int) (*Server, error) {
	dead, replica, err := crash(c.shard(i))
	if err != nil {
		return nil, err
	}
	return dead, c.promoted(replica)
}

// Failover lets the replica of shard i take over in good order: nothing is
// lost, and the former master becomes its replica.
func (c *ClusterServers) Failover(i int) error {
	r, err := c.Replica(i)
	if err != nil {
		return err
	}
	if err := r.Do("cluster", "failover").Err(); err != nil {
		return fmt.Errorf("failing over to %q: %w", r.addr, err)
	}
	return c.promoted(r)
}

func (c *ClusterServers) promoted(r *Server) error {
	ctx, cancel := patiently()
	defer cancel()
	return poll(ctx, r.addr+" to become master", func() error {
		if err := r.hasRole("master"); err != nil {
			return err
		}
		return c.well()
	})
}

// Well waits until every node that runs finds all slots served by one that
// runs, and every replica that runs follows its master.
func (c *ClusterServers) Well() error {
	ctx, cancel := patiently()
	defer cancel()
	return poll(ctx, "the cluster to be well", c.well)
}
