package redistest

import (
	"context"
	"errors"
	"fmt"
)

// hasRole is nil when the server answers and says that it is "master" or "slave".
func (s *Server) hasRole(role string) error {
	if !s.answers() {
		return fmt.Errorf("%q: %w", s.addr, errDown)
	}
	info, err := s.info(context.Background())
	if err != nil {
		return err
	}
	if info["role"] != role {
		return fmt.Errorf("%q is %s, not %s", s.addr, info["role"], role)
	}
	return nil
}

// follows is nil for a master, and for a replica that has caught up with its
// master once.
func (s *Server) follows() error {
	info, err := s.info(context.Background())
	if err != nil {
		return err
	}
	if info["role"] == "slave" && (info["master_link_status"] != "up" || info["master_sync_in_progress"] != "0") {
		return fmt.Errorf("replica %q has no link to its master", s.addr)
	}
	return nil
}

// agree is nil when at most one of the servers that answer believes that it is
// the master: in a failover there are two for a moment.
func agree(servers []*Server) error {
	var master *Server
	for _, s := range servers {
		switch {
		case s.hasRole("master") != nil:
		case master != nil:
			return fmt.Errorf("%q and %q are both masters", master.addr, s.addr)
		default:
			master = s
		}
	}
	return nil
}

// withRole is the first of the servers that runs in a role.
func withRole(role string, servers []*Server) (*Server, error) {
	var problems []error
	for _, s := range servers {
		err := s.hasRole(role)
		if err == nil {
			return s, nil
		}
		problems = append(problems, err)
	}
	return nil, fmt.Errorf("looking for a %s: %w", role, errors.Join(problems...))
}

func addrs(servers []*Server) []string {
	list := make([]string, len(servers))
	for i, s := range servers {
		list[i] = s.addr
	}
	return list
}
