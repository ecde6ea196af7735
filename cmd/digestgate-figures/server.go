package main

import (
	"bytes"
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// A server is a digestgate that runs.
type server struct {
	*process
	log       *journal
	addresses map[string]string // by listener
	dir       string            // its data directory
	token     string
	roots     *x509.CertPool
	client    *http.Client
}

// The listeners by their names in the log.
const (
	listenHTTP, listenAdmission, listenPrivate, listenDebug = "http", "admission", "private", "debug"
)

// serve starts the program with roles on the site's store, and more lines of
// configuration; it returns when the program serves.
func (s *site) serve(ctx context.Context, roles string, more ...string) (*server, error) {
	config := filepath.Join(s.dir, "config.yaml")
	if err := os.WriteFile(config, []byte(s.config(roles)+strings.Join(more, "")), 0o600); err != nil {
		return nil, err
	}
	srv := &server{log: newJournal(), addresses: map[string]string{}, dir: filepath.Join(s.dir, "data")}
	cmd := exec.Command(s.program, "serve", "-c", config, "--log-format", "json", "--log-level", cmp.Or(s.logLevel, "info"))
	cmd.Env = append(os.Environ(), "DIGESTGATE_ANALYZER="+s.analyzer)
	var err error
	if srv.process, err = start("digestgate serve", cmd, srv.log.add); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, 2*time.Minute, errors.New("the server did not start within 2 minutes"))
	defer cancel()
	go func() { // a start that fails is known at once
		select {
		case <-srv.done:
			cancel()
		case <-ctx.Done():
		}
	}()
	if _, err := srv.log.wait(ctx, 0, says("digestgate serves")); err != nil {
		srv.stop()
		return nil, err
	}
	srv.log.mu.Lock()
	for _, l := range srv.log.lines {
		if l.msg == "listening" {
			srv.addresses[fmt.Sprint(l.fields["listener"])] = fmt.Sprint(l.fields["address"])
		}
	}
	srv.log.mu.Unlock()
	return srv, srv.credentials()
}

// credentials are what callers of the server need.
func (s *server) credentials() error {
	token, err := os.ReadFile(filepath.Join(s.dir, "admin-token"))
	if err != nil {
		return err
	}
	s.token = strings.TrimSpace(string(token))
	s.client = &http.Client{Timeout: 2 * time.Minute}
	s.roots = x509.NewCertPool()
	pem, err := os.ReadFile(filepath.Join(s.dir, "tls", "ca.crt"))
	if errors.Is(err, os.ErrNotExist) {
		return nil // without the role admission
	}
	s.roots.AppendCertsFromPEM(pem)
	return err
}

// config is the configuration of the site, but for roles a user's own.
func (s *site) config(roles string) string {
	registries := ""
	for _, r := range []struct{ name, host string }{{"harbor", harborHost}, {"mirror", mirrorHost}, {"push", s.pushHost}} {
		if r.host != "" {
			registries += fmt.Sprintf("- {name: %s, type: distribution, host: %q, plainHTTP: %t}\n", r.name, r.host, r.name == "push")
		}
	}
	data := fmt.Sprintf("{path: %q, repositories: []}", filepath.Join(s.dir, "advisories"))
	if s.repository != "" {
		data = fmt.Sprintf("{repositories: [{repository: %q, insecure: true, own: true}]}", s.repository)
	}
	return fmt.Sprintf(`dataDir: %q
listen: {http: "127.0.0.1:0", admission: "127.0.0.1:0", private: "127.0.0.1:0", debug: "127.0.0.1:0"}
roles: [%s]
store: {url: %q, macKeyFile: %q}
advisories: %s
policy: {paths: [%q]}
quota: {limit: %d, period: none}
registries:
%s`, filepath.Join(s.dir, "data"), roles, s.storeURL, s.macKey, data, filepath.Join(s.dir, "policies"), quotaLimit, registries)
}

// get asks the API and decodes the answer into out.
func (s *server) get(ctx context.Context, path string, out any) error {
	return s.call(ctx, http.MethodGet, path, nil, out)
}

func (s *server) call(ctx context.Context, method, path string, body, out any) error {
	text, err := json.Marshal(body)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, method, "http://"+s.addresses[listenHTTP]+"/api/v1"+path, bytes.NewReader(text))
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+s.token)
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := s.client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	if resp.StatusCode >= 300 {
		return fmt.Errorf("asking %s: %s: %.300s", path, resp.Status, answer)
	}
	return json.Unmarshal(answer, out)
}

// metric is the sum of a metric's values over all labels that contain part.
func (s *server) metric(ctx context.Context, name, part string) (float64, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+s.addresses[listenPrivate]+"/metrics", nil)
	if err != nil {
		return 0, err
	}
	resp, err := s.client.Do(req)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return 0, err
	}
	sum := 0.0
	for l := range strings.Lines(string(text)) {
		rest, ok := strings.CutPrefix(l, name)
		if !ok || rest[0] != ' ' && rest[0] != '{' || !strings.Contains(rest, part) {
			continue
		}
		n, err := strconv.ParseFloat(rest[strings.LastIndexByte(rest, ' ')+1:len(rest)-1], 64)
		if err != nil {
			return 0, fmt.Errorf("reading the metric %s: %w", name, err)
		}
		sum += n
	}
	return sum, nil
}

// idle waits until the server does nothing and returns since when.
func (s *server) idle(ctx context.Context) (time.Time, error) {
	const look, enough = 250 * time.Millisecond, 8
	since, last := time.Now(), s.spent()
	for calm := 0; calm < enough; {
		select {
		case <-ctx.Done():
			return since, context.Cause(ctx)
		case <-s.done:
			return since, errEnded
		case <-time.After(look):
		}
		now := s.spent()
		if calm++; now-last > 20*time.Millisecond {
			calm, since = 0, time.Now()
		}
		last = now
	}
	return since, nil
}

// profile writes a processor profile of the server to a file until the function that it
// returns is called; without -profiles it does nothing.
func (b *bench) profile(srv *server, name string, length time.Duration) (wait func()) {
	if !b.profiles {
		return func() {}
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		url := fmt.Sprintf("http://%s/debug/pprof/profile?seconds=%d", srv.addresses[listenDebug], max(1, int(length.Seconds())))
		resp, err := srv.client.Get(url)
		if err != nil {
			b.say("profile %s: %v", name, err)
			return
		}
		defer resp.Body.Close()
		data, err := io.ReadAll(resp.Body)
		if err == nil {
			err = os.WriteFile(b.profileFile(name), data, 0o644)
		}
		if err != nil {
			b.say("profile %s: %v", name, err)
		}
	}()
	return func() { <-done }
}

// profileFile is where a profile is written, "" without -profiles.
func (b *bench) profileFile(name string) string {
	if !b.profiles {
		return ""
	}
	return filepath.Join(b.options.dir, "figures-"+b.kind+"-"+name+".pprof")
}

func tlsConfig(roots *x509.CertPool) *tls.Config { return &tls.Config{RootCAs: roots} }
