// Package cluster runs the smallest Kubernetes that admits Pods for real: one
// etcd and one kube-apiserver on loopback, with a certificate authority of
// their own, an administrator and a developer. There is no kubelet, no
// scheduler and no controller: a Pod that is admitted stays Pending, which is
// all that the tests of an admission webhook need.
//
// The binaries are upstream's, built by `make bin` of the folder above. The
// package works on Linux only; clusters do not share anything, so several may
// run at once. The methods of one Cluster may be called from several
// goroutines, except Stop, which must come after all of them.
package cluster

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/digestgate/digestgate/examples/cluster/process"
)

// Options says where a cluster finds its binaries and keeps its files.
type Options struct {
	// BinDir holds etcd, kube-apiserver and kubectl.
	BinDir string
	// Dir takes data, keys and logs; it must exist and be empty. The caller
	// removes it after Stop. "" makes a temporary one that Stop removes.
	Dir string
	// Logger gets the steps of the start; nil discards them.
	Logger *slog.Logger
	// StartTimeout is the longest wait for either server; 0 means two minutes.
	// Idle, both are ready within seconds.
	StartTimeout time.Duration
}

// Cluster is a running etcd and kube-apiserver.
type Cluster struct {
	opts   Options
	ownDir bool
	ca     *Authority
	procs  []*process.Process // in the order of the start

	url    string
	tokens map[User]string
}

// stopGrace is how long a server may take to end by itself. Its data are
// thrown away, so that nothing is lost by killing it.
const stopGrace = 5 * time.Second

// startAttempts bounds the tries with other ports: a free port is chosen
// before the server binds it, so that another process may take it in between.
const startAttempts = 3

// Start starts a cluster and returns when it answers, the users exist and the
// namespace team-a does. ctx bounds the start only. An error holds the last
// lines of the log of the server that did not come up; nothing is left running
// then.
func Start(ctx context.Context, opts Options) (*Cluster, error) {
	c := &Cluster{opts: opts}
	if c.opts.Logger == nil {
		c.opts.Logger = slog.New(slog.DiscardHandler)
	}
	if c.opts.StartTimeout == 0 {
		c.opts.StartTimeout = 2 * time.Minute
	}
	if err := checkBinaries(opts.BinDir); err != nil {
		return nil, err
	}
	if err := c.prepareDir(); err != nil {
		return nil, err
	}
	err := c.startWithRetry(ctx)
	if err == nil {
		err = c.createDeveloper(ctx)
	}
	if err != nil {
		return nil, errors.Join(err, c.Stop())
	}
	return c, nil
}

// checkBinaries names every binary that is missing, and the remedy.
func checkBinaries(dir string) error {
	var missing []string
	for _, name := range []string{"etcd", "kube-apiserver", "kubectl"} {
		if info, err := os.Stat(filepath.Join(dir, name)); err != nil || info.Mode()&0o111 == 0 {
			missing = append(missing, name)
		}
	}
	if len(missing) > 0 {
		return fmt.Errorf("looking for %s in %q: not there; `make -C examples/cluster bin` builds them", strings.Join(missing, ", "), dir)
	}
	return nil
}

func (c *Cluster) prepareDir() error {
	if c.opts.Dir == "" {
		dir, err := os.MkdirTemp("", "digestgate-cluster-")
		if err != nil {
			return fmt.Errorf("creating the cluster's folder: %w", err)
		}
		c.opts.Dir, c.ownDir = dir, true
	}
	// The children do not run in the caller's folder.
	dir, err := filepath.Abs(c.opts.Dir)
	if err != nil {
		return fmt.Errorf("resolving %q: %w", c.opts.Dir, err)
	}
	c.opts.Dir = dir
	if c.opts.BinDir, err = filepath.Abs(c.opts.BinDir); err != nil {
		return fmt.Errorf("resolving %q: %w", c.opts.BinDir, err)
	}
	return c.writeCredentials()
}

// startWithRetry starts the servers, on other ports when one was taken in the
// meantime.
func (c *Cluster) startWithRetry(ctx context.Context) error {
	for attempt := 1; ; attempt++ {
		err := c.startServers(ctx)
		if err == nil || attempt == startAttempts || !strings.Contains(err.Error(), "address already in use") {
			return err
		}
		c.opts.Logger.Info("port taken, starting again", "attempt", attempt)
		if err := c.stopServers(); err != nil {
			return err
		}
	}
}

// startServers starts etcd, then the API server that keeps its objects there.
func (c *Cluster) startServers(ctx context.Context) error {
	ports, err := process.FreePorts(3)
	if err != nil {
		return err
	}
	began := time.Now()
	etcdURL := fmt.Sprintf("https://127.0.0.1:%d", ports[0])
	peerURL := fmt.Sprintf("https://127.0.0.1:%d", ports[1])
	if err := c.startServer(ctx, "etcd", etcdArgs(c.opts.Dir, etcdURL, peerURL), etcdURL+"/health"); err != nil {
		return err
	}
	c.url = fmt.Sprintf("https://127.0.0.1:%d", ports[2])
	if err := c.startServer(ctx, "kube-apiserver", apiserverArgs(c.opts.Dir, etcdURL, ports[2]), c.url+"/readyz"); err != nil {
		return err
	}
	c.opts.Logger.Info("API server is ready", "url", c.url, "after", time.Since(began).Round(time.Millisecond))
	return c.writeKubeconfig()
}

// startServer starts one server and waits until its health URL answers 200.
func (c *Cluster) startServer(ctx context.Context, name string, args []string, health string) error {
	ctx, cancel := context.WithTimeoutCause(ctx, c.opts.StartTimeout,
		fmt.Errorf("not ready within %s", c.opts.StartTimeout))
	defer cancel()
	c.opts.Logger.Info("starting server", "name", name)
	p, err := process.Start(name, filepath.Join(c.opts.BinDir, name), args, c.opts.Dir)
	if err != nil {
		return err
	}
	c.procs = append(c.procs, p)
	if err := c.waitReady(ctx, p, health); err != nil {
		return fmt.Errorf("starting %s: %w\n%s", name, err, p.Tail())
	}
	return nil
}

// Stop ends the servers, the API server first, and returns when they are gone.
// It may be called more than once.
func (c *Cluster) Stop() error {
	err := c.stopServers()
	if c.ownDir {
		err = errors.Join(err, os.RemoveAll(c.opts.Dir))
	}
	return err
}

func (c *Cluster) stopServers() error {
	var errs []error
	for i := len(c.procs) - 1; i >= 0; i-- {
		errs = append(errs, c.procs[i].Stop(stopGrace))
	}
	c.procs = nil
	// A second attempt starts from nothing.
	errs = append(errs, os.RemoveAll(filepath.Join(c.opts.Dir, "data")))
	return errors.Join(errs...)
}

// URL is the address of the API server.
func (c *Cluster) URL() string { return c.url }

// Kubeconfig is the path of a kubeconfig with a context for each [User].
func (c *Cluster) Kubeconfig() string { return filepath.Join(c.opts.Dir, "kubeconfig") }

// Token is the bearer token of a user.
func (c *Cluster) Token(u User) string { return c.tokens[u] }

// Authority is the cluster's certificate authority, for servers that the
// cluster shall trust.
func (c *Cluster) Authority() *Authority { return c.ca }

// LogTail is the end of the API server's log, for the message of a failing
// test.
func (c *Cluster) LogTail() string {
	if len(c.procs) == 0 {
		return ""
	}
	return c.procs[len(c.procs)-1].Tail()
}
