package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/digestgate/digestgate/cmd/digestgate/client"
	"github.com/digestgate/digestgate/cmd/digestgate/demo"
	"github.com/digestgate/digestgate/cmd/digestgate/programtest"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/gate/view"
	"github.com/digestgate/digestgate/scanner/advisory"
	"github.com/digestgate/digestgate/scanner/registry/fake"
	"github.com/digestgate/digestgate/store"
)

const hookSecret = "a-secret-of-the-webhook"

// server is `digestgate serve` as a process of its own, so that it can be
// killed, with a registry in this process.
type server struct {
	t        *testing.T
	dir      string
	config   string
	registry *fake.Registry
	layer    string   // digest of the last layer that was pushed
	cwd      string   // where it is started; "" is this directory
	env      []string // besides that of the test
	args     []string // the command; nil is serve
	// listeners is how many there are to wait for; 0 is 3.
	listeners int
	within    *memoryGroup // where it is put before it begins; nil: where this process is
	cmd       *exec.Cmd
	urls      map[string]string // by listener
	log       *logText
	logged    chan struct{}
}

// logText is what a process has said so far.
type logText struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *logText) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(b)
}

func (l *logText) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// newServer prepares a server; extra is YAML that is put after the usual keys.
func newServer(t *testing.T, extra string) *server {
	t.Helper()
	reg, err := fake.Start(fake.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = reg.Close() })
	s := &server{t: t, dir: t.TempDir(), registry: reg, env: []string{"DIGESTGATE_ANALYZER=" + programtest.AnalyzerPath(t)}}
	_, err = advisory.Build(t.Context(), advisory.BuildOptions{
		From: os.DirFS("demo/advisories"), Out: filepath.Join(s.dir, "advisories"),
	})
	if err != nil {
		t.Fatal(err)
	}
	secret := filepath.Join(s.dir, "secret")
	if err := os.WriteFile(secret, []byte(hookSecret), 0o600); err != nil {
		t.Fatal(err)
	}
	s.config = filepath.Join(s.dir, "config.yaml")
	text := fmt.Sprintf(`
dataDir: %[1]s/data
listen: {http: "127.0.0.1:0", admission: "127.0.0.1:0", private: "127.0.0.1:0"}
registries:
  - {name: hub, type: harbor, host: %[2]q, plainHTTP: true, webhook: {auth: header, secretFiles: [%[3]s]}}
advisories: {path: %[1]s/advisories, stale: allow}
%[4]s`, s.dir, reg.Host, secret, extra)
	if err := os.WriteFile(s.config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return s
}

var listeningPattern = regexp.MustCompile(`msg=listening listener=(\w+) address=(\S+) tls=(true|false)`)

// start runs the process and waits until it listens everywhere.
func (s *server) start() {
	s.t.Helper()
	args := s.args
	if args == nil {
		args = []string{"serve"}
	}
	s.cmd = s.within.command(programIn(s.t, s.dir), append(slices.Clone(args), "-c", s.config)...)
	s.cmd.Dir = s.cwd
	// Nobody takes over from most processes of tests; what comes last counts.
	s.cmd.Env = append(append(os.Environ(), "DIGESTGATE_ADMISSION_SHUTDOWNDELAY=0s"), s.env...)
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	stderr, err := s.cmd.StderrPipe()
	if err != nil {
		s.t.Fatal(err)
	}
	if err := s.cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	s.urls, s.log, s.logged = map[string]string{}, &logText{}, make(chan struct{})
	up := make(chan struct{})
	go s.follow(stderr, up)
	s.t.Cleanup(func() {
		_ = s.cmd.Process.Kill()
		<-s.logged
		if s.t.Failed() {
			s.t.Logf("log of the server:\n%s", s.log)
		}
	})
	select {
	case <-up:
	case <-s.logged:
		s.t.Fatalf("the server ended:\n%s", s.log)
	case <-time.After(2 * time.Minute):
		s.t.Fatal("the server did not start")
	}
}

// follow reads the log to its end.
func (s *server) follow(stderr io.Reader, up chan struct{}) {
	defer close(s.logged)
	want := s.listeners
	if want == 0 {
		want = 3
	}
	lines := bufio.NewScanner(stderr)
	for lines.Scan() {
		fmt.Fprintln(s.log, lines.Text())
		if m := listeningPattern.FindStringSubmatch(lines.Text()); m != nil && len(s.urls) < want {
			scheme := "http://"
			if m[3] == "true" {
				scheme = "https://"
			}
			s.urls[m[1]] = scheme + m[2]
			if len(s.urls) == want {
				close(up)
			}
		}
	}
}

// end stops the process with a signal and returns its exit code.
func (s *server) end(sig os.Signal) int {
	s.t.Helper()
	if err := s.cmd.Process.Signal(sig); err != nil {
		s.t.Fatal(err)
	}
	<-s.logged
	_ = s.cmd.Wait()
	return s.cmd.ProcessState.ExitCode()
}

// tokenFile is the file with the admin token that the server has made.
func (s *server) tokenFile() string { return filepath.Join(s.dir, "data", "admin-token") }

// asking runs a command that asks the server, and compares its exit status and its output,
// in which each pattern has to be; it returns standard output.
func (s *server) asking(t *testing.T) func(code int, args []string, out ...string) (stdout string) {
	return func(code int, args []string, out ...string) (stdout string) {
		t.Helper()
		got, stdout, stderr := command(t, append(args, "--server", s.urls["http"], "--token-file", s.tokenFile())...)
		if got != code {
			t.Errorf("%q: exit %d, want %d\nstdout: %s\nstderr: %s", args, got, code, stdout, stderr)
		}
		for _, pattern := range out {
			if !regexp.MustCompile("(?m)" + pattern).MatchString(stdout + stderr) {
				t.Errorf("%q: want %q\nstdout: %s\nstderr: %s", args, pattern, stdout, stderr)
			}
		}
		return stdout
	}
}

func (s *server) client() *client.Client {
	s.t.Helper()
	token, err := os.ReadFile(s.tokenFile())
	if err != nil {
		s.t.Fatal(err)
	}
	return &client.Client{Server: s.urls["http"], Token: strings.TrimSpace(string(token)), HTTP: &http.Client{Timeout: time.Minute}}
}

// deliver sends a push event of Harbor and returns the status and the body.
func (s *server) deliver(secret, repo, tag string, d gate.Digest) (int, string) {
	s.t.Helper()
	body := fmt.Sprintf(`{"type":"PUSH_ARTIFACT","occur_at":1586922308,"operator":"admin","event_data":{"resources":[{"digest":%q,"tag":%q,
		"resource_url":"%s/%s:%s"}],"repository":{"name":%q,"namespace":"team","repo_full_name":%q,"repo_type":"private"}}}`,
		d, tag, s.registry.Host, repo, tag, repo, repo)
	req, err := http.NewRequest(http.MethodPost, s.urls["http"]+"/webhooks/hub", strings.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	req.Header.Set("Authorization", secret)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		s.t.Fatal(err)
	}
	defer res.Body.Close()
	answer, err := io.ReadAll(res.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return res.StatusCode, string(answer)
}

// until polls the image until ok, and returns its last view.
func (s *server) until(d gate.Digest, limit time.Duration, ok func(view.ImageDetail) bool) view.ImageDetail {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), limit)
	defer cancel()
	var v view.ImageDetail
	for {
		err := s.client().Call(ctx, http.MethodGet, "/images/"+string(d), nil, &v)
		if err == nil && ok(v) {
			return v
		}
		select {
		case <-ctx.Done():
			s.t.Fatalf("image %s after %s: %+v, %v", d.Short(), limit, v, err)
		case <-time.After(100 * time.Millisecond):
		}
	}
}

func (s *server) quota() view.QuotaView {
	s.t.Helper()
	var q view.QuotaView
	if err := s.client().Call(s.t.Context(), http.MethodGet, "/quota", nil, &q); err != nil {
		s.t.Fatal(err)
	}
	return q
}

// pushDebian pushes an image of Debian 12 with the given packages.
func (s *server) pushDebian(repo, tag string, packages [][3]string, extra map[string]string) gate.Digest {
	s.t.Helper()
	layers := [][]byte{demo.Root(packages, "amd64")}
	if extra != nil {
		layers = append(layers, fake.Tar(extra))
	}
	img, err := fake.NewImage(fake.ImageOptions{}, layers...)
	if err != nil {
		s.t.Fatal(err)
	}
	pushed, err := img.Layers()
	if err != nil {
		s.t.Fatal(err)
	}
	layer, err := pushed[len(pushed)-1].Digest()
	if err != nil {
		s.t.Fatal(err)
	}
	s.layer = layer.String()
	d, err := s.registry.Push(repo, tag, img)
	if err != nil {
		s.t.Fatal(err)
	}
	return d
}

// stall makes the registry hang in the middle of the last layer, the first
// times that it is pulled (0: always).
func (s *server) stall(times int) {
	s.registry.Fail(fake.Fault{Method: "GET", Path: "/v2/**/blobs/" + s.layer, Times: times, After: 10, Stall: true})
}

func scanned(v view.ImageDetail) bool { return v.State == gate.StateScanned && v.Verdict != nil }

func TestKilledServerResumesAndChargesOnce(t *testing.T) {
	if testing.Short() {
		t.Skip("waits for a lease of 30 s to run out")
	}
	t.Parallel()
	s := newServer(t, "")
	s.start()
	d := s.pushDebian("team/app", "v1", demo.Released, map[string]string{"a": strings.Repeat("x", 1<<20)})
	s.stall(0)
	if status, answer := s.deliver(hookSecret, "team/app", "v1", d); status != http.StatusAccepted {
		t.Fatalf("delivery: %d %s", status, answer)
	}
	s.until(d, time.Minute, func(v view.ImageDetail) bool { return v.State == gate.StateScanning })
	if s.quota().Used != 1 {
		t.Errorf("quota while scanning: %+v", s.quota())
	}
	s.end(syscall.SIGKILL)
	s.registry.Reset()

	s.start()
	v := s.until(d, 90*time.Second, scanned)
	if v.Verdict.Decision != gate.OutcomeDeny || v.Counts.Critical != 2 {
		t.Errorf("verdict after the restart: %+v, %+v", v.Verdict, v.Counts)
	}
	if q := s.quota(); q.Used != 1 {
		t.Errorf("quota after the restart: %+v, want one charge", q)
	}
	if code := s.end(syscall.SIGTERM); code != 0 {
		t.Errorf("exit code after SIGTERM: %d", code)
	}
}

func TestKilledChildIsRetriedAndChargedOnce(t *testing.T) {
	t.Parallel()
	s := newServer(t, "scan: {maxAttempts: 2}")
	s.start()
	d := s.pushDebian("team/app", "v1", demo.Updated, nil)
	s.stall(1)
	s.deliver(hookSecret, "team/app", "v1", d)
	s.until(d, time.Minute, func(v view.ImageDetail) bool { return v.State == gate.StateScanning })
	killed := false
	for deadline := time.Now().Add(time.Minute); !killed && time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		killed = s.killChild()
	}
	if !killed {
		t.Fatal("no child was found")
	}
	s.until(d, store.MinAttemptWait+2*time.Minute, scanned) // a counted attempt waits
	if q := s.quota(); q.Used != 1 {
		t.Errorf("quota: %+v, want one charge", q)
	}
}

// killChild kills an analyser that the server has started.
func (s *server) killChild() bool {
	tasks, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", s.cmd.Process.Pid))
	for _, task := range tasks {
		children, _ := os.ReadFile(task)
		for _, pid := range strings.Fields(string(children)) {
			name, _ := os.ReadFile("/proc/" + pid + "/comm")
			if !strings.HasPrefix(string(name), "digestgate-anal") {
				continue
			}
			var n int
			if _, err := fmt.Sscan(pid, &n); err == nil && syscall.Kill(n, syscall.SIGKILL) == nil {
				return true
			}
		}
	}
	return false
}

func TestGracefulStopBurnsNothing(t *testing.T) {
	if testing.Short() {
		t.Skip("waits for the grace of 20 s to run out")
	}
	t.Parallel()
	s := newServer(t, "scan: {maxAttempts: 1}")
	s.start()
	d := s.pushDebian("team/app", "v1", demo.Updated, nil)
	s.stall(0)
	s.deliver(hookSecret, "team/app", "v1", d)
	s.until(d, time.Minute, func(v view.ImageDetail) bool { return v.State == gate.StateScanning })
	if code := s.end(syscall.SIGTERM); code != 0 {
		t.Errorf("exit code: %d", code)
	}
	s.registry.Reset()
	s.start()
	// With one attempt in all, a burnt one would have failed the job.
	s.until(d, time.Minute, scanned)
}

func TestServerRefusesWhatItShould(t *testing.T) {
	t.Parallel()
	s := newServer(t, "")
	s.start()
	base := s.urls["http"]
	for _, c := range []struct {
		name, method, path, auth, body string
		status                         int
		says                           string
	}{
		{"api_without_token", "GET", "/api/v1/images", "", "", 401, "Authorization: Bearer TOKEN"},
		{"api_with_wrong_token", "GET", "/api/v1/quota", "Bearer wrong", "", 401, ""},
		{"unknown_path", "GET", "/nothing", "", "", 404, "the API begins with /api/v1, deliveries go to /webhooks/{registry}"},
		{"unknown_registry", "POST", "/webhooks/other", hookSecret, "{}", 404, ""},
		{"wrong_secret", "POST", "/webhooks/hub", "no", "{}", 401, ""},
		{"wrong_method", "GET", "/webhooks/hub", hookSecret, "", 405, ""},
		{"not_json", "POST", "/webhooks/hub", hookSecret, "{", 400, ""},
		{"oversize", "POST", "/webhooks/hub", hookSecret, strings.Repeat(" ", 1<<20+1), 413, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			req, err := http.NewRequest(c.method, base+c.path, strings.NewReader(c.body))
			if err != nil {
				t.Fatal(err)
			}
			req.Header.Set("Authorization", c.auth)
			res, err := http.DefaultClient.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			defer res.Body.Close()
			body, err := io.ReadAll(res.Body)
			if err != nil {
				t.Fatal(err)
			}
			if res.StatusCode != c.status || !strings.Contains(string(body), c.says) {
				t.Errorf("got %d %s, want %d with %q", res.StatusCode, body, c.status, c.says)
			}
			if got := res.Header.Get("Content-Type"); !strings.HasPrefix(got, "application/problem+json") {
				t.Errorf("content type %q, want problem+json", got)
			}
			if strings.Contains(string(body), hookSecret) {
				t.Error("the answer repeats the secret")
			}
		})
	}
	c := s.client()
	err := c.Call(t.Context(), http.MethodPost, "/scans", map[string]any{"images": []string{s.registry.Host + "/a:b", "evil.example/x", "??"}}, nil)
	if err == nil || !strings.Contains(err.Error(), "422") || !strings.Contains(err.Error(), "evil.example") || !strings.Contains(err.Error(), "??") {
		t.Errorf("scans of images that cannot be: %v", err)
	}
	var jobs struct{ Jobs []view.Job }
	if err := c.Call(t.Context(), http.MethodGet, "/jobs", nil, &jobs); err != nil || len(jobs.Jobs) != 0 {
		t.Errorf("jobs after refused requests: %+v, %v", jobs, err)
	}
	if strings.Contains(s.log.String(), hookSecret) || strings.Contains(s.log.String(), c.Token) {
		t.Error("a secret is in the log")
	}
	s.openAPI()
}

// openAPI checks that the description is served and names every operation.
func (s *server) openAPI() {
	s.t.Helper()
	res, err := http.Get(s.urls["http"] + "/openapi.json")
	if err != nil {
		s.t.Fatal(err)
	}
	defer res.Body.Close()
	var doc struct {
		OpenAPI string
		Paths   map[string]any
	}
	if err := json.NewDecoder(res.Body).Decode(&doc); err != nil {
		s.t.Fatal(err)
	}
	if !strings.HasPrefix(doc.OpenAPI, "3.1") || len(doc.Paths) < 8 {
		s.t.Errorf("openapi %s with %d paths, want 3.1 with at least 8", doc.OpenAPI, len(doc.Paths))
	}
}

func TestTwoServersDoNotShareAStore(t *testing.T) {
	t.Parallel()
	s := newServer(t, "")
	s.start()
	second := exec.Command(filepath.Join(s.dir, "digestgate"), "serve", "-c", s.config)
	second.Env = s.cmd.Env
	out, err := second.CombinedOutput()
	if err == nil || !strings.Contains(string(out), "is using it") {
		t.Errorf("second server on the same store: %v\n%s", err, out)
	}
}
