package redistest

import "fmt"

// Detach stops the replica of shard i and breaks its link: what the master acknowledges
// from now on is lost with its Crash, which lets the replica continue. Crash it within
// 30 s, later the replica finds its data too old.
func (c *ClusterServers) Detach(i int) error { return detach(c.shard(i)) }

// Detach stops the replica and breaks its link: what the master acknowledges from now
// on is lost with its Crash, which lets the replica continue.
func (s *SentinelServers) Detach() error { return detach(s.pair.servers) }

func detach(servers []*Server) error {
	master, err := withRole("master", servers)
	if err != nil {
		return err
	}
	replica, err := withRole("slave", servers)
	if err != nil {
		return err
	}
	// Stopped alone, the replica would later read what the system has received
	// for it in the meantime.
	if err := replica.Pause(); err != nil {
		return err
	}
	if err := master.Do("client", "kill", "type", "replica").Err(); err != nil {
		return fmt.Errorf("breaking the link of %q: %w", replica.addr, err)
	}
	return nil
}

// crash kills the master of two servers and lets the other, if it was detached,
// continue; it returns both.
func crash(servers []*Server) (dead, replica *Server, err error) {
	if dead, err = withRole("master", servers); err != nil {
		return nil, nil, err
	}
	for _, s := range servers {
		if s != dead && s.Running() {
			replica = s
		}
	}
	if replica == nil {
		return nil, nil, fmt.Errorf("crashing %q: no replica runs", dead.addr)
	}
	if err := dead.Kill(); err != nil {
		return nil, nil, err
	}
	if replica.isPaused() {
		err = replica.Resume()
	}
	return dead, replica, err
}
