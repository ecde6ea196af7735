package redistest

import (
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// group is what servers that belong together share: certificates, a password,
// a directory.
type group struct {
	dir     string
	version release
	options Options
	admin   credentials
	certs   *certificates
	port    func() (int, error) // freePort
	// servers are those that run or ran, in the order of their start.
	servers []*Server
}

func newGroup(dir string, o Options) (*group, error) {
	v, err := version()
	if err != nil {
		return nil, err
	}
	g := &group{dir: dir, version: v, options: o, port: freePort, admin: credentials{password: o.Password}}
	if len(o.ACL) > 0 {
		if o.Password != "" {
			return nil, errors.New("options have an ACL and a password; say the default user's in the ACL")
		}
		g.admin = credentials{username: "redistest", password: rand.Text()}
	}
	if o.TLS {
		if g.certs, err = newCertificates(dir); err != nil {
			return nil, fmt.Errorf("making certificates: %w", err)
		}
	}
	return g, nil
}

// start starts a server of the group in a folder of that name; role are lines
// of redis.conf that make it more than a plain one. A port that somebody took
// in the meantime costs another attempt.
func (g *group) start(name string, role ...string) (*Server, error) {
	return g.attempt(name, func(s *Server, port int) error { return g.configure(s, port, role) })
}

// attempt configures and starts a server on a port that is free.
func (g *group) attempt(name string, configure func(s *Server, port int) error) (*Server, error) {
	for attempt := 1; ; attempt++ {
		port, err := g.port()
		if err != nil {
			return nil, err
		}
		s := &Server{dir: filepath.Join(g.dir, name), addr: loopback(port), admin: g.admin, certs: g.certs}
		if err := configure(s, port); err != nil {
			return nil, fmt.Errorf("configuring %q: %w", name, err)
		}
		err = s.Start()
		if err == nil {
			g.servers = append(g.servers, s)
			return s, nil
		}
		// Two in a row are bad luck already, ports are chosen at random.
		if !errors.Is(err, errPortTaken) || attempt == 5 {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
	}
}

// configure writes redis.conf, again for another port. Starting again leaves it alone,
// because Sentinels write to it.
func (g *group) configure(s *Server, port int, role []string) error {
	data := filepath.Join(s.dir, "data")
	if err := os.MkdirAll(data, 0o700); err != nil {
		return err
	}
	lines := append([]string{"bind 127.0.0.1", fmt.Sprintf("dir %q", data)}, g.certs.lines(port)...)
	lines = append(lines, g.options.lines(g.version)...)
	if len(g.options.ACL) > 0 {
		file := filepath.Join(s.dir, "users.acl")
		if err := writeLines(file, append([]string{fmt.Sprintf("user %s on >%s ~* &* +@all", g.admin.username, g.admin.password)}, g.options.ACL...)); err != nil {
			return err
		}
		lines = append(lines, fmt.Sprintf("aclfile %q", file), fmt.Sprintf("masteruser %q", g.admin.username))
	} else if g.admin.password != "" {
		lines = append(lines, fmt.Sprintf("requirepass %q", g.admin.password))
	}
	if g.admin.password != "" {
		lines = append(lines, fmt.Sprintf("masterauth %q", g.admin.password))
	}
	lines = append(append(lines, role...), g.options.Config...)
	return writeLines(filepath.Join(s.dir, "redis.conf"), lines)
}

func writeLines(path string, lines []string) error {
	return os.WriteFile(path, []byte(strings.Join(lines, "\n")+"\n"), 0o600)
}

// end kills all servers.
func (g *group) end() error {
	var problems []error
	for _, s := range g.servers {
		problems = append(problems, s.Kill())
	}
	return errors.Join(problems...)
}

// path is a file in the folder of a server.
func (g *group) path(name, file string) string { return filepath.Join(g.dir, name, file) }
