package cluster

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"strconv"
	"time"

	"github.com/digestgate/digestgate/examples/cluster/process"
)

// etcdArgs keeps everything in dir. Clients and peers need a certificate of
// the cluster's authority: other users of this machine can reach loopback too.
func etcdArgs(dir, clientURL, peerURL string) []string {
	file := func(name string) string { return filepath.Join(dir, name) }
	return []string{
		"--name=etcd",
		"--data-dir=" + file("data"),
		"--listen-client-urls=" + clientURL, "--advertise-client-urls=" + clientURL,
		"--listen-peer-urls=" + peerURL, "--initial-advertise-peer-urls=" + peerURL,
		"--initial-cluster=etcd=" + peerURL,
		"--cert-file=" + file(serverCert), "--key-file=" + file(serverKey),
		"--trusted-ca-file=" + file(caCert), "--client-cert-auth",
		"--peer-cert-file=" + file(serverCert), "--peer-key-file=" + file(serverKey),
		"--peer-trusted-ca-file=" + file(caCert), "--peer-client-cert-auth",
		// The data live for minutes; waiting for the disk only costs time.
		"--unsafe-no-fsync",
		"--log-level=warn",
	}
}

// apiserverArgs: static tokens instead of a login; no service accounts in Pods,
// because the controller that would create them is not there.
func apiserverArgs(dir, etcdURL string, port int) []string {
	file := func(name string) string { return filepath.Join(dir, name) }
	return []string{
		"--bind-address=127.0.0.1", "--secure-port=" + strconv.Itoa(port),
		"--advertise-address=127.0.0.1",
		// Nobody needs the "kubernetes" service; loopback is no endpoint anyway.
		"--endpoint-reconciler-type=none",
		"--service-cluster-ip-range=10.96.0.0/24",
		"--etcd-servers=" + etcdURL, "--etcd-cafile=" + file(caCert),
		"--etcd-certfile=" + file(serverCert), "--etcd-keyfile=" + file(serverKey),
		"--tls-cert-file=" + file(serverCert), "--tls-private-key-file=" + file(serverKey),
		"--service-account-issuer=https://kubernetes.default.svc",
		"--service-account-key-file=" + file(serviceAccountKey),
		"--service-account-signing-key-file=" + file(serviceAccountKey),
		"--token-auth-file=" + file(tokenFile),
		"--authorization-mode=RBAC",
		// A webhook that names a Service is called at its endpoints: there is no proxy here
		// that would route the address of the Service.
		"--enable-aggregator-routing=true",
		"--disable-admission-plugins=ServiceAccount",
	}
}

// probeEvery is how often a starting server is asked; it is ready after 1 to
// 10 s.
const probeEvery = 100 * time.Millisecond

// waitReady returns when url answers 200, the process ended, or ctx did.
func (c *Cluster) waitReady(ctx context.Context, p *process.Process, url string) error {
	client, err := c.httpClient()
	if err != nil {
		return err
	}
	defer client.CloseIdleConnections()
	tick := time.NewTicker(probeEvery)
	defer tick.Stop()
	last := error(nil)
	for {
		err := probe(ctx, client, url, c.tokens[Admin])
		if err == nil {
			return nil
		}
		if last == nil || ctx.Err() == nil { // not the one that the deadline cut short
			last = err
		}
		select {
		case <-p.Exited():
			return fmt.Errorf("it ended: %v", p.Err())
		case <-ctx.Done():
			return fmt.Errorf("%w; last answer: %v", context.Cause(ctx), last)
		case <-tick.C:
		}
	}
}

// httpClient trusts the cluster and presents its certificate, as etcd wants.
func (c *Cluster) httpClient() (*http.Client, error) {
	cert, err := tls.LoadX509KeyPair(filepath.Join(c.opts.Dir, serverCert), filepath.Join(c.opts.Dir, serverKey))
	if err != nil {
		return nil, fmt.Errorf("loading the cluster's certificate: %w", err)
	}
	return &http.Client{
		Timeout: 5 * time.Second,
		Transport: &http.Transport{TLSClientConfig: &tls.Config{
			RootCAs: c.ca.Pool(), Certificates: []tls.Certificate{cert},
		}},
	}, nil
}

func probe(ctx context.Context, client *http.Client, url, token string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+token)
	res, err := client.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		body, _ := io.ReadAll(io.LimitReader(res.Body, 1<<10))
		return fmt.Errorf("%s: %s", res.Status, body)
	}
	return nil
}
