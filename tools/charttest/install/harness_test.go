package install

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/yaml"

	"github.com/digestgate/digestgate/examples/cluster/cluster"
	"github.com/digestgate/digestgate/examples/cluster/process"
	"github.com/digestgate/digestgate/tools/charttest"
)

const (
	chartDir = "../../../charts/digestgate"
	binDir   = "../../../examples/cluster/bin"
	webhook  = "digestgate" // the name of the chart's objects here
)

// world is a cluster with the chart in it.
type world struct {
	t       *testing.T
	cluster *cluster.Cluster
	config  *rest.Config
	http    *http.Client
	dir     string
	address string // of this machine, not loopback
}

func newWorld(t *testing.T) *world {
	t.Helper()
	c, err := cluster.Start(t.Context(), cluster.Options{BinDir: binDir})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("end of the log of the API server:\n%s", c.LogTail())
		}
		if err := c.Stop(); err != nil {
			t.Error(err)
		}
	})
	w := &world{t: t, cluster: c, dir: t.TempDir(), address: machineAddress(t)}
	w.config, err = clientcmd.NewNonInteractiveDeferredLoadingClientConfig(
		&clientcmd.ClientConfigLoadingRules{ExplicitPath: c.Kubeconfig()}, &clientcmd.ConfigOverrides{CurrentContext: string(cluster.Admin)}).ClientConfig()
	if err != nil {
		t.Fatal(err)
	}
	if w.http, err = rest.HTTPClientFor(w.config); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.http.CloseIdleConnections)
	w.apply(map[string]any{"apiVersion": "v1", "kind": "Namespace", "metadata": map[string]any{
		"name": charttest.Namespace, "labels": map[string]any{"pod-security.kubernetes.io/enforce": "restricted"}}})
	return w
}

// machineAddress is one that endpoints may have: the API server refuses loopback.
func machineAddress(t *testing.T) string {
	t.Helper()
	all, err := net.InterfaceAddrs()
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range all {
		if ip, ok := a.(*net.IPNet); ok && ip.IP.To4() != nil && ip.IP.IsGlobalUnicast() {
			return ip.IP.String()
		}
	}
	t.Fatal("this machine has no IPv4 address but loopback; endpoints of a Service need one")
	return ""
}

func (w *world) kubectl(input string, args ...string) cluster.Result {
	return w.cluster.Kubectl(w.t.Context(), cluster.Call{Input: input}, args...)
}

// apply applies objects as Helm 4 does: on the side of the server, refusing fields that do
// not exist.
func (w *world) apply(objects ...charttest.Object) {
	w.t.Helper()
	if r := w.tryApply(objects); r.Exit != 0 {
		w.t.Fatal(r.Stderr)
	}
}

func (w *world) tryApply(objects []charttest.Object, more ...string) cluster.Result {
	var in bytes.Buffer
	for _, o := range objects {
		b, err := json.Marshal(o)
		if err != nil {
			w.t.Fatal(err)
		}
		fmt.Fprintf(&in, "---\n%s\n", b)
	}
	return w.kubectl(in.String(), append([]string{"apply", "--server-side", "--field-manager=helm", "--validate=strict", "-f", "-"}, more...)...)
}

// render renders the chart with access to the cluster.
func (w *world) render(values string) []charttest.Object {
	w.t.Helper()
	v := map[string]any{}
	if err := yaml.Unmarshal([]byte(values), &v); err != nil {
		w.t.Fatal(err)
	}
	rendered, err := charttest.RenderIn(chartDir, v, w.config)
	if err != nil {
		w.t.Fatal(err)
	}
	objects, err := charttest.Objects(rendered)
	if err != nil {
		w.t.Fatal(err)
	}
	return charttest.Order(objects)
}

// install renders and applies, and returns the configuration of digestgate in a file.
func (w *world) install(values string) (config string) {
	w.t.Helper()
	objects := w.render(values)
	w.apply(objects...)
	for _, o := range objects {
		if data, _ := o["data"].(map[string]any); o["kind"] == "ConfigMap" && data["config.yaml"] != nil {
			config = w.file("config.yaml", data["config.yaml"].(string))
		}
	}
	if config == "" {
		w.t.Fatal("the chart rendered no configuration")
	}
	return config
}

func (w *world) file(name, text string) string {
	w.t.Helper()
	file := filepath.Join(w.dir, name)
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		w.t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		w.t.Fatal(err)
	}
	return file
}

// gate is one running process of digestgate.
type gate struct {
	w       *world
	name    string
	port    int
	private string
	process *process.Process
	data    string
}

// program is digestgate; paths start at the root of the repository.
func program(t *testing.T) string {
	t.Helper()
	file := os.Getenv("DIGESTGATE_BIN")
	if file == "" {
		file = "../../../bin/digestgate"
	}
	file, err := filepath.Abs(file)
	if err == nil {
		_, err = os.Stat(file)
	}
	if err != nil {
		t.Fatalf("looking for digestgate: %v; `make build` makes it", err)
	}
	return file
}

// freePort is one that nothing listens on now.
func freePort(t *testing.T, host string) int {
	t.Helper()
	l, err := net.Listen("tcp", host+":0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

// start starts a replica with the rights of the chart's service account, and returns when it
// is ready. It is an endpoint of the Service from then on.
func (w *world) start(name, config string, more ...string) *gate {
	w.t.Helper()
	g := w.begin(name, config, more...)
	g.await(true)
	w.endpoint(g, true)
	return g
}

func (w *world) begin(name, config string, more ...string) *gate {
	w.t.Helper()
	token := w.kubectl("", "create", "token", "digestgate", "--namespace", charttest.Namespace)
	if token.Exit != 0 {
		w.t.Fatal(token.Stderr)
	}
	g := &gate{w: w, name: name, port: freePort(w.t, w.address), private: fmt.Sprintf("127.0.0.1:%d", freePort(w.t, "127.0.0.1")), data: filepath.Join(w.dir, name, "data")}
	args := []string{"serve", "--config", config, "--roles=admission",
		"--set", "dataDir=" + g.data, "--set", fmt.Sprintf("listen.admission=%s:%d", w.address, g.port),
		"--set", "listen.private=" + g.private,
		"--set", "kubernetes.server=" + w.cluster.URL(),
		"--set", "kubernetes.tokenFile=" + w.file(name+"/token", strings.TrimSpace(token.Stdout)),
		"--set", "kubernetes.caFile=" + w.file(name+"/ca.crt", string(w.cluster.Authority().PEM())),
		"--set", "advisories.repositories=[]", "--set", "admission.shutdownDelay=3s"}
	dir := filepath.Join(w.dir, name)
	var err error
	if g.process, err = process.Start("digestgate-"+name, program(w.t), append(args, more...), dir); err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() {
		if w.t.Failed() {
			w.t.Logf("end of the log of %s:\n%s", name, g.process.Tail())
		}
		_ = g.process.Stop(20 * time.Second)
	})
	return g
}

// readyz is the answer of the readiness probe.
func (g *gate) readyz() (status int, text string) {
	resp, err := http.Get("http://" + g.private + "/readyz")
	if err != nil {
		return 0, err.Error()
	}
	defer resp.Body.Close()
	b, _ := io.ReadAll(resp.Body)
	return resp.StatusCode, string(b)
}

// await returns when the probe says ready, or that it is not.
func (g *gate) await(ready bool) {
	g.w.t.Helper()
	eventually(g.w.t, fmt.Sprintf("readiness of %s to be %v", g.name, ready), func() (bool, string) {
		select {
		case <-g.process.Exited():
			g.w.t.Fatalf("%s has ended: %v\n%s", g.name, g.process.Err(), g.process.Tail())
		default:
		}
		status, text := g.readyz()
		return (status == http.StatusOK) == ready, text
	})
}

// eventually waits for what another process does.
func eventually(t *testing.T, what string, done func() (bool, string)) {
	t.Helper()
	deadline := time.NewTimer(2 * time.Minute)
	defer deadline.Stop()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		ok, last := done()
		if ok {
			return
		}
		select {
		case <-deadline.C:
			t.Fatalf("waiting for %s: last seen: %s", what, last)
		case <-tick.C:
		}
	}
}

// endpoint does what the controller of EndpointSlices does when a Pod becomes ready, or stops
// being it.
func (w *world) endpoint(g *gate, ready bool) {
	w.t.Helper()
	w.apply(charttest.Object{
		"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
		"metadata": map[string]any{"name": webhook + "-" + g.name, "namespace": charttest.Namespace,
			"labels": map[string]any{"kubernetes.io/service-name": webhook}},
		"ports":     []any{map[string]any{"name": "admission", "port": g.port, "protocol": "TCP"}},
		"endpoints": []any{map[string]any{"addresses": []any{w.address}, "conditions": map[string]any{"ready": ready}}},
	})
}

// remove takes a replica away as Kubernetes does: it is told to stop, and leaves the endpoints
// once its probe says so.
func (w *world) remove(g *gate) {
	w.t.Helper()
	if err := g.process.Signal(syscall.SIGTERM); err != nil {
		w.t.Fatal(err)
	}
	g.await(false)
	if r := w.kubectl("", "delete", "endpointslice", webhook+"-"+g.name, "--namespace", charttest.Namespace); r.Exit != 0 {
		w.t.Fatal(r.Stderr)
	}
	<-g.process.Exited()
	if err := g.process.Err(); err != nil {
		w.t.Errorf("%s ended with %v", g.name, err)
	}
}

// create creates an object and returns the status and the answer.
func (w *world) create(ctx context.Context, path string, object any) (int, string) {
	b, err := json.Marshal(object)
	if err != nil {
		w.t.Error(err)
		return 0, ""
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, w.config.Host+path, bytes.NewReader(b))
	if err != nil {
		w.t.Error(err)
		return 0, ""
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := w.http.Do(req)
	if err != nil {
		return 0, err.Error()
	}
	defer resp.Body.Close()
	answer, _ := io.ReadAll(resp.Body)
	return resp.StatusCode, string(answer)
}

func pod(namespace, name, image string) map[string]any {
	return map[string]any{"apiVersion": "v1", "kind": "Pod", "metadata": map[string]any{"name": name, "namespace": namespace},
		"spec": map[string]any{"automountServiceAccountToken": false, "containers": []any{map[string]any{"name": "c", "image": image,
			"securityContext": map[string]any{"allowPrivilegeEscalation": false, "runAsNonRoot": true, "capabilities": map[string]any{"drop": []any{"ALL"}}, "seccompProfile": map[string]any{"type": "RuntimeDefault"}}}}}}
}

// createPod creates a Pod with an image of a registry that is not configured.
func (w *world) createPod(ctx context.Context, namespace, name string) (int, string) {
	return w.create(ctx, "/api/v1/namespaces/"+namespace+"/pods", pod(namespace, name, "registry.example/team/web:1"))
}

// bundles are the caBundles of the webhook configuration, decoded.
func (w *world) bundles() (list []string) {
	w.t.Helper()
	r := w.kubectl("", "get", "validatingwebhookconfiguration", webhook, "-o", "jsonpath={range .webhooks[*]}{.clientConfig.caBundle}{\"\\n\"}{end}")
	if r.Exit != 0 {
		w.t.Fatal(r.Stderr)
	}
	for line := range strings.Lines(r.Stdout) {
		b, err := base64.StdEncoding.DecodeString(strings.TrimSpace(line))
		if err != nil {
			w.t.Fatal(err)
		}
		list = append(list, string(b))
	}
	return list
}

// reviews is how many reviews the gate has answered.
func (g *gate) reviews() (n int) {
	g.w.t.Helper()
	resp, err := http.Get("http://" + g.private + "/metrics")
	if err != nil {
		g.w.t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		g.w.t.Fatal(err)
	}
	for line := range strings.Lines(string(b)) {
		if strings.HasPrefix(line, "digestgate_admission_reviews_total{") {
			var value float64
			if _, err := fmt.Sscan(line[strings.LastIndexByte(line, ' ')+1:], &value); err != nil {
				g.w.t.Fatal(err)
			}
			n += int(value)
		}
	}
	return n
}
