package redistest

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
)

// Master is the server that is master now.
func (s *SentinelServers) Master() (*Server, error) { return withRole("master", s.pair.servers) }

// Replica is the server that is replica now.
func (s *SentinelServers) Replica() (*Server, error) { return withRole("slave", s.pair.servers) }

// Crash kills the master, waits until the Sentinels have promoted the replica,
// and returns the dead server. Rejoin brings it back.
func (s *SentinelServers) Crash() (*Server, error) {
	dead, replica, err := crash(s.pair.servers)
	if err != nil {
		return nil, err
	}
	return dead, s.promoted(replica)
}

// Failover lets the Sentinels promote the replica while the master lives, and
// returns when they have. The former master takes writes, which are lost, until
// they make it the replica some 10 s later; Rejoin does so at once.
func (s *SentinelServers) Failover() error {
	r, err := s.Replica()
	if err != nil {
		return err
	}
	ctx, cancel := patiently()
	defer cancel()
	// A Sentinel that has just seen a failover refuses another.
	err = poll(ctx, "a Sentinel that begins a failover", func() error {
		return s.Sentinel(0).Do("sentinel", "failover", masterName).Err()
	})
	if err != nil {
		return err
	}
	return s.promoted(r)
}

func (s *SentinelServers) promoted(r *Server) error {
	ctx, cancel := patiently()
	defer cancel()
	return poll(ctx, r.addr+" to become master", func() error {
		if err := r.hasRole("master"); err != nil {
			return err
		}
		return s.chosen(r)
	})
}

// Rejoin makes a former master the replica of the present one, whether it was
// killed or not, and returns when it has caught up and the Sentinels know. Its
// own Start would do what happens without an operator: it believes that it is a
// master and takes writes, until the Sentinels, after 10 s, make it a replica.
func (s *SentinelServers) Rejoin(former *Server) error {
	master, err := s.otherThan(former)
	if err != nil {
		return err
	}
	if former.Running() {
		host, port, _ := net.SplitHostPort(master.addr)
		err = former.Do("replicaof", host, port).Err()
	} else if err = addLine(filepath.Join(former.dir, "redis.conf"), replicaOf(master)); err == nil {
		err = former.Start()
	}
	if err != nil {
		return fmt.Errorf("making %q a replica of %q: %w", former.addr, master.addr, err)
	}
	return s.Well()
}

// otherThan is the server of the pair that is not s, and is a master.
func (s *SentinelServers) otherThan(former *Server) (*Server, error) {
	return withRole("master", slices.DeleteFunc(slices.Clone(s.pair.servers), func(n *Server) bool { return n == former }))
}

// addLine adds to redis.conf, where a later line wins.
func addLine(path, line string) error {
	f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	if _, err := f.WriteString(line + "\n"); err != nil {
		f.Close()
		return err
	}
	return f.Close()
}

// Well waits until there is one master on which all Sentinels agree, and the
// other server, if it runs, follows it.
func (s *SentinelServers) Well() error {
	ctx, cancel := patiently()
	defer cancel()
	return poll(ctx, "the pair to be well", s.well)
}
