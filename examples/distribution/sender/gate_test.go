package sender

import (
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// gate is `digestgate serve` as a process that can be stopped and started
// again: the address of its webhooks stays the same, as its name does in
// production.
type gate struct {
	t           *testing.T
	dir         string
	program     string
	analyzer    string
	http        string // base URL
	hook, token string

	private string // base URL of this run
	log     *bytes.Buffer
	cmd     *exec.Cmd
	ended   chan struct{}
}

// newGate prepares everything but the configuration, which needs the host of
// the registry.
func newGate(t *testing.T) *gate {
	t.Helper()
	find := func(variable, name string) string {
		path, err := filepath.Abs(cmp.Or(os.Getenv(variable), filepath.Join("..", "..", "..", "bin", name)))
		if err == nil {
			_, err = os.Stat(path)
		}
		if err != nil {
			t.Fatalf("%s: %v; `make build` in the root of the repository makes it", variable, err)
		}
		return path
	}
	g := &gate{
		t: t, dir: t.TempDir(), hook: "Bearer " + rand.Text(), token: rand.Text(),
		program: find("DIGESTGATE_BIN", "digestgate"), analyzer: find("DIGESTGATE_ANALYZER_BIN", "digestgate-analyzer"),
	}
	g.write("hook", g.hook)
	g.write("token", g.token)
	build := exec.CommandContext(t.Context(), g.program, "advisories", "build", "--updated-at", time.Now().UTC().Format(time.RFC3339), "--from", "testdata/advisories", "--out", filepath.Join(g.dir, "advisories"))
	if text, err := build.CombinedOutput(); err != nil {
		t.Fatalf("digestgate advisories build: %v\n%s", err, text)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	g.http = "http://" + l.Addr().String()
	l.Close()
	return g
}

func (g *gate) write(name, content string) {
	g.t.Helper()
	if err := os.WriteFile(filepath.Join(g.dir, name), []byte(content), 0o600); err != nil {
		g.t.Fatal(err)
	}
}

// configure writes the configuration for one registry.
func (g *gate) configure(host string) {
	g.t.Helper()
	g.write("config.yaml", fmt.Sprintf(`
dataDir: %[1]s/data
listen: {http: %[2]q, admission: "127.0.0.1:0", private: "127.0.0.1:0"}
registries:
- name: registry
  type: distribution
  host: %[3]q
  plainHTTP: true
  webhook: {auth: header, header: Authorization, secretFiles: [%[1]s/hook]}
scan: {platforms: [linux/amd64, linux/arm64]}
# The vulnerabilities of the test are of 2023 and stay what they are.
advisories: {path: %[1]s/advisories, repositories: [], maxAge: 0s}
auth: {adminTokenFile: %[1]s/token}
`, g.dir, strings.TrimPrefix(g.http, "http://"), host))
}

var privatePattern = regexp.MustCompile(`msg=listening listener=private address=(\S+)`)

// start starts the server and waits until it is ready.
func (g *gate) start() {
	g.t.Helper()
	g.log, g.ended = &bytes.Buffer{}, make(chan struct{})
	log := g.log
	g.t.Cleanup(func() {
		if g.t.Failed() {
			g.t.Logf("log of digestgate:\n%s", log)
		}
	})
	g.cmd = exec.Command(g.program, "serve", "--config", filepath.Join(g.dir, "config.yaml"))
	g.cmd.Dir = g.dir
	g.cmd.Env = []string{"PATH=/nonexistent", "HOME=" + g.dir, "DIGESTGATE_ANALYZER=" + g.analyzer}
	g.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	stderr, err := g.cmd.StderrPipe()
	if err != nil {
		g.t.Fatal(err)
	}
	if err := g.cmd.Start(); err != nil {
		g.t.Fatal(err)
	}
	address := make(chan string, 1)
	go g.follow(stderr, address)
	g.t.Cleanup(func() { g.stop() })
	select {
	case a := <-address:
		g.private = "http://" + a
	case <-g.ended:
		g.t.Fatalf("digestgate serve ended:\n%s", g.log)
	case <-time.After(time.Minute):
		g.t.Fatal("digestgate did not start within a minute")
	}
	g.until("ready", time.Minute, func() (string, bool) {
		status, body, err := g.get(g.private + "/readyz")
		return fmt.Sprint(status, string(body), err), err == nil && status == http.StatusOK
	})
}

// follow reads the log to its end.
func (g *gate) follow(stderr io.Reader, address chan<- string) {
	defer close(g.ended)
	buf := make([]byte, 32<<10)
	told := false
	for {
		n, err := stderr.Read(buf)
		g.log.Write(buf[:n])
		if m := privatePattern.FindSubmatch(g.log.Bytes()); m != nil && !told {
			told = true
			address <- string(m[1])
		}
		if err != nil {
			return
		}
	}
}

// stop ends the server in order, as a roll-out does. It may be called twice.
func (g *gate) stop() {
	g.t.Helper()
	if g.cmd == nil {
		return
	}
	_ = g.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-g.ended:
	case <-time.After(30 * time.Second):
		g.t.Error("digestgate did not stop within 30 s")
		_ = g.cmd.Process.Kill()
		<-g.ended
	}
	if err := g.cmd.Wait(); err != nil {
		g.t.Errorf("digestgate serve: %v", err)
	}
	g.cmd = nil
}

// get reads a URL as the administrator.
func (g *gate) get(url string) (status int, body []byte, err error) {
	ctx, cancel := context.WithTimeout(g.t.Context(), 10*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return 0, nil, err
	}
	req.Header.Set("Authorization", "Bearer "+g.token)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, nil, err
	}
	defer res.Body.Close()
	body, err = io.ReadAll(io.LimitReader(res.Body, 4<<20))
	return res.StatusCode, body, err
}

// until polls, because another process has no other signal.
func (g *gate) until(what string, limit time.Duration, ok func() (state string, done bool)) {
	g.t.Helper()
	deadline := time.After(limit)
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		state, done := ok()
		if done {
			return
		}
		select {
		case <-deadline:
			g.t.Fatalf("%s: not within %s: %s", what, limit, state)
		case <-g.ended:
			g.t.Fatalf("%s: digestgate serve ended:\n%s", what, g.log)
		case <-tick.C:
		}
	}
}

// image is the part of GET /api/v1/images/{digest} that the test reads.
type image struct {
	Kind    string `json:"kind"`
	State   string `json:"state"`
	Verdict *struct {
		Decision string `json:"decision"`
	} `json:"verdict"`
	Locations []struct {
		Repository string   `json:"repository"`
		Tags       []string `json:"tags"`
	} `json:"locations"`
}

// image asks the API; ok is false for a digest that digestgate has not heard of.
func (g *gate) image(digest string) (got image, ok bool) {
	g.t.Helper()
	g.json("/images/"+digest, &got)
	return got, got.Kind != ""
}

// json reads a path of the API into v, which stays as it is on 404.
func (g *gate) json(path string, v any) {
	g.t.Helper()
	status, body, err := g.get(g.http + "/api/v1" + path)
	if err != nil || status != http.StatusOK && status != http.StatusNotFound {
		g.t.Fatalf("GET %s: %d %s %v", path, status, body, err)
	}
	if status == http.StatusNotFound {
		return
	}
	if err := json.Unmarshal(body, v); err != nil {
		g.t.Fatalf("GET %s: %v in %s", path, err, body)
	}
}

// decided waits until an image that is named only by an event is scanned,
// judged and confirmed under its tag, and returns the decision.
func (g *gate) decided(digest, repository, tag string) (decision string) {
	g.t.Helper()
	g.until(repository+":"+tag, time.Minute, func() (string, bool) {
		got, _ := g.image(digest)
		if got.State != "scanned" || got.Verdict == nil {
			return fmt.Sprintf("%+v", got), false
		}
		decision = got.Verdict.Decision
		for _, l := range got.Locations {
			for _, name := range l.Tags {
				if l.Repository == repository && name == tag {
					return "", true
				}
			}
		}
		return fmt.Sprintf("no tag: %+v", got), false
	})
	return decision
}

// quotaUsed is how many analyses were charged.
func (g *gate) quotaUsed() int {
	g.t.Helper()
	var q struct {
		Used int `json:"used"`
	}
	g.json("/quota", &q)
	return q.Used
}

var deliveriesPattern = regexp.MustCompile(`(?m)^digestgate_webhook_deliveries_total\{outcome="(\w+)",type="distribution"\} (\d+)$`)

// deliveries are the outcomes of all deliveries since the start.
func (g *gate) deliveries() map[string]int {
	g.t.Helper()
	status, body, err := g.get(g.private + "/metrics")
	if err != nil || status != http.StatusOK {
		g.t.Fatalf("GET /metrics: %d %v", status, err)
	}
	out := map[string]int{}
	for _, m := range deliveriesPattern.FindAllSubmatch(body, -1) {
		n, err := strconv.Atoi(string(m[2]))
		if err != nil {
			g.t.Fatal(err)
		}
		out[string(m[1])] = n
	}
	return out
}
