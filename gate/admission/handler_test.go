package admission

import (
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/gate/certificate"
	"github.com/digestgate/digestgate/gate/listener"
)

const token = "s3cret-token_of.the~cluster"

func newHandler(t testing.TB, d Decider, o Options, change ...func(*Config)) *Handler {
	t.Helper()
	c := Default()
	for _, f := range change {
		f(&c)
	}
	if err := c.Validate(); err != nil {
		t.Fatal(err)
	}
	h, err := NewHandler(NewReviewer(c, d, o))
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func withProd(t testing.TB) func(*Config) {
	file := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(file, []byte(token+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return func(c *Config) { c.Clusters = append(c.Clusters, ClusterConfig{"prod", file}) }
}

func post(h http.Handler, path string, body []byte, change ...func(*http.Request)) *httptest.ResponseRecorder {
	req := httptest.NewRequest(http.MethodPost, path, bytes.NewReader(body))
	req.Header.Set("Content-Type", "application/json")
	for _, c := range change {
		c(req)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, req)
	return w
}

func TestHandler_status(t *testing.T) {
	body := encode(t, review(pod(good), nil))
	header := func(key, value string) func(*http.Request) {
		return func(r *http.Request) { r.Header.Set(key, value) }
	}
	padded := append(bytes.Repeat([]byte(" "), maxBody-len(body)), body...)
	tests := map[string]struct {
		path   string
		body   []byte
		change func(*http.Request)
		want   int
	}{
		"default_cluster":     {BasePath, body, nil, 200},
		"cluster_and_token":   {BasePath + "/prod/" + token, body, nil, 200},
		"charset":             {BasePath, body, header("Content-Type", "application/json; charset=utf-8"), 200},
		"timeout":             {BasePath + "?timeout=10s", body, nil, 200},
		"nonsense_timeout":    {BasePath + "?timeout=-5s", body, nil, 200},
		"at_the_limit":        {BasePath, padded, nil, 200},
		"over_the_limit":      {BasePath, append(padded, ' '), nil, 413},
		"over_limit_chunked":  {BasePath, append(padded, ' '), func(r *http.Request) { r.ContentLength = -1 }, 413},
		"announced_too_large": {BasePath, nil, func(r *http.Request) { r.ContentLength = maxBody + 1; r.Body = io.NopCloser(failing{t}) }, 413},
		"empty":               {BasePath, nil, nil, 400},
		"not_json":            {BasePath, []byte("<a>"), nil, 400},
		"no_uid":              {BasePath, []byte(`{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1","request":{}}`), nil, 400},
		"content_type":        {BasePath, body, header("Content-Type", "text/plain"), 400},
		"no_content_type":     {BasePath, body, header("Content-Type", ""), 400},
		"compressed":          {BasePath, body, header("Content-Encoding", "gzip"), 415},
		"get":                 {BasePath, nil, func(r *http.Request) { r.Method = http.MethodGet }, 405},
		"two_authorizations": {BasePath, body, func(r *http.Request) {
			r.Header.Add("Authorization", "a")
			r.Header.Add("Authorization", "a")
			r.Body = io.NopCloser(failing{t})
		}, 401},
		"one_authorization":   {BasePath, body, func(r *http.Request) { r.Header.Add("Authorization", "a") }, 200},
		"wrong_token":         {BasePath + "/prod/" + token[:len(token)-1] + "x", body, nil, 401},
		"prefix_of_token":     {BasePath + "/prod/" + token[:10], body, nil, 401},
		"unknown_cluster":     {BasePath + "/staging/" + token, body, nil, 401},
		"token_of_other":      {BasePath + "/default/" + token, body, nil, 401},
		"cluster_without":     {BasePath + "/prod", body, nil, 404},
		"cluster_empty_token": {BasePath + "/prod/", body, nil, 404},
		"further_path":        {BasePath + "/prod/" + token + "/x", body, nil, 404},
		"slash":               {BasePath + "/", body, nil, 404},
		"other_path":          {"/admission/validateX", body, nil, 404},
		"root":                {"/", body, nil, 404},
		"body_ends_early": {BasePath, nil, func(r *http.Request) {
			r.Body, r.ContentLength = io.NopCloser(io.MultiReader(strings.NewReader("{"), broken{})), 500
		}, 400},
		"encoded_slash_in_url": {BasePath + "/prod%2f" + token, body, nil, 200},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			var log bytes.Buffer
			h := newHandler(t, &lookup{}, Options{Log: slog.New(slog.NewJSONHandler(&log, nil))}, withProd(t))
			w := post(h, test.path, test.body, func(r *http.Request) {
				if test.change != nil {
					test.change(r)
				}
			})
			if w.Code != test.want {
				t.Errorf("%s: got %d %s, want %d", test.path, w.Code, w.Body, test.want)
			}
			if w.Code == 200 {
				if got := verify(t, w.Body.Bytes(), "3f2504e0-4f89-41d3-9a0c-0305e82c3301"); !got.Allowed {
					t.Errorf("%s: refused: %s", test.path, w.Body)
				}
			} else if strings.Contains(w.Body.String(), "true") {
				t.Errorf("%s: an error that allows: %s", test.path, w.Body)
			}
			if strings.Contains(log.String(), token[:10]) || strings.Contains(w.Body.String(), token[:10]) {
				t.Errorf("the token is in the log or the answer:\n%s%s", log.String(), w.Body)
			}
			if n := strings.Count(log.String(), "\n"); n != 1 {
				t.Errorf("%d log lines, want one:\n%s", n, log.String())
			}
		})
	}
}

// failing fails the test when it is read.
type failing struct{ t *testing.T }

func (f failing) Read([]byte) (int, error) { f.t.Error("the body was read"); return 0, io.EOF }

type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

func TestHandler_onlyConfiguredClusters(t *testing.T) {
	body := encode(t, review(pod(good), nil))
	withToken := func(c *Config) { withProd(t)(c); c.Clusters[0].TokenFile = c.Clusters[1].TokenFile }
	tests := map[string]struct {
		change func(*Config)
		path   string
		want   int
	}{
		"default_not_configured":  {func(c *Config) { withProd(t)(c); c.Clusters = c.Clusters[1:] }, BasePath, 401},
		"default_needs_its_token": {withToken, BasePath, 401},
		"default_with_its_token":  {withToken, BasePath + "/default/" + token, 200},
		"no_cluster":              {func(c *Config) { c.Clusters = nil }, BasePath, 401},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if got := post(newHandler(t, &lookup{}, Options{}, test.change), test.path, body).Code; got != test.want {
				t.Errorf("%s: got %d, want %d", test.path, got, test.want)
			}
		})
	}
}

func TestHandler_cluster(t *testing.T) {
	known := &lookup{}
	post(newHandler(t, known, Options{}, withProd(t)), BasePath+"/prod/"+token, encode(t, review(pod(good), nil)))
	if len(known.asked) != 1 || known.asked[0].Cluster != "prod" {
		t.Errorf("the lookup was asked %+v, want cluster prod", known.asked)
	}
}

// TestHandler_timeout: an answer comes 1.5 s before the caller gives up (A31).
func TestHandler_timeout(t *testing.T) {
	tests := map[string]time.Duration{
		"": 8500 * time.Millisecond, "?timeout=10s": 8500 * time.Millisecond, "?timeout=5s": 3500 * time.Millisecond,
		"?timeout=30s": 28500 * time.Millisecond, "?timeout=1h": 28500 * time.Millisecond, "?timeout=2s": 500 * time.Millisecond,
		"?timeout=1s": 250 * time.Millisecond, "?timeout=0s": 8500 * time.Millisecond, "?timeout=x": 8500 * time.Millisecond,
	}
	for query, want := range tests {
		t.Run(strings.TrimPrefix(query, "?"), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				stop := make(chan struct{})
				d := &hanging{stop}
				start := time.Now()
				w := post(newHandler(t, d, Options{}), BasePath+query, encode(t, review(pod(good), nil)))
				if took := time.Since(start); took != want {
					t.Errorf("answered after %s, want %s", took, want)
				}
				if got := verify(t, w.Body.Bytes(), "3f2504e0-4f89-41d3-9a0c-0305e82c3301"); got.Allowed || got.Result.Reason != "TIMEOUT" {
					t.Errorf("got %s", w.Body)
				}
				close(stop)
				synctest.Wait()
			})
		})
	}
}

func TestHandler_bodyBudget(t *testing.T) {
	h := newHandler(t, &lookup{}, Options{})
	body := encode(t, review(pod(good), nil))
	h.bodies = listener.NewBodies(1, maxArriving)
	if w := post(h, BasePath, body); w.Code != 503 || w.Header().Get("Retry-After") == "" {
		t.Errorf("without budget: got %d %s, want 503", w.Code, w.Body)
	}
	h.bodies = listener.NewBodies(maxBodies, maxArriving)
	for range 3 {
		if w := post(h, BasePath, body); w.Code != 200 {
			t.Errorf("with budget: got %d %s", w.Code, w.Body)
		}
	}
	if held := h.bodies.Held(); held != 0 {
		t.Errorf("%d bytes were not given back", held)
	}
}

func TestHandler_largeObjects(t *testing.T) {
	big := pod(good)
	big.Annotations = map[string]string{"x": strings.Repeat("y", 2900<<10)}
	old := pod(bad)
	old.Annotations = big.Annotations
	w := post(newHandler(t, &lookup{}, Options{}), BasePath, encode(t, review(big, old)))
	if w.Code != 200 || !verify(t, w.Body.Bytes(), "3f2504e0-4f89-41d3-9a0c-0305e82c3301").Allowed {
		t.Errorf("two objects of 2.9 MiB: got %d %.300s, want an allow", w.Code, w.Body)
	}
}

// TestHandler_log: one line with what an operator needs, client text escaped.
func TestHandler_log(t *testing.T) {
	var log bytes.Buffer
	p := pod("reg.example.com/\x1b[31mapp", bad)
	p.Name = "web\nlevel=ERROR"
	v := review(p, nil)
	v.Request.Name, v.Request.UserInfo.Username = "web\nlevel=ERROR", "jane\x1b"
	post(newHandler(t, &lookup{}, Options{Log: slog.New(slog.NewTextHandler(&log, nil))}), BasePath, encode(t, v))
	line := log.String()
	for _, want := range []string{
		"msg=\"admission review\"", "uid=3f2504e0-4f89-41d3-9a0c-0305e82c3301", "cluster=default", "namespace=shop", `kind="v1 Pod"`,
		`name="web\\nlevel=ERROR"`, "outcome=deny", "allowed=false", "code=REF_INVALID", "digests=sha256:" + badHex, "duration=", "mode=enforce",
	} {
		if !strings.Contains(line, want) {
			t.Errorf("the log line lacks %s:\n%s", want, line)
		}
	}
	if strings.Count(line, "\n") != 1 || strings.ContainsRune(line, '\x1b') {
		t.Errorf("the log line is not one safe line: %q", line)
	}
}

func TestHandler_internalError(t *testing.T) {
	var log bytes.Buffer
	d := deciderFunc(nil) // calling it panics
	w := post(newHandler(t, d, Options{Log: slog.New(slog.NewTextHandler(&log, nil))}), BasePath, encode(t, review(pod(good), nil)))
	got := verify(t, w.Body.Bytes(), "3f2504e0-4f89-41d3-9a0c-0305e82c3301")
	if got.Allowed || got.Result.Code != 500 || got.Result.Reason != "INTERNAL" {
		t.Fatalf("got %s", w.Body)
	}
	_, id, ok := strings.Cut(got.Result.Message, "request id ")
	if !ok || len(id) != 12 || !strings.Contains(log.String(), "request="+id) || !strings.Contains(log.String(), "nil pointer") {
		t.Errorf("the message %q and the log do not share a request id:\n%s", got.Result.Message, log.String())
	}
	if strings.Contains(w.Body.String(), "goroutine") || strings.Contains(w.Body.String(), "nil pointer") {
		t.Errorf("the answer shows internals: %s", w.Body)
	}
}

func TestRecorder(t *testing.T) {
	reg := prometheus.NewPedanticRegistry()
	rec, err := NewRecorder(reg)
	if err != nil {
		t.Fatal(err)
	}
	h := newHandler(t, &lookup{}, Options{Recorder: rec}, func(c *Config) {
		c.Namespaces = map[string]NamespaceConfig{"soft": {ModeWarn}}
	})
	for _, v := range []any{
		review(pod(good), nil), review(pod(bad), nil), review(pod(bad), nil, namespace("soft")), review(pod(pending, bad), nil),
		review(pod(bad), nil, namespace("kube-system")),
	} {
		post(h, BasePath, encode(t, v))
	}
	post(h, BasePath, []byte("{"))
	want := `
# HELP digestgate_admission_rejected_requests_total Requests that got no review in answer, by HTTP status.
# TYPE digestgate_admission_rejected_requests_total counter
digestgate_admission_rejected_requests_total{status="400"} 1
# HELP digestgate_admission_reviews_in_flight Reviews that are being worked on.
# TYPE digestgate_admission_reviews_in_flight gauge
digestgate_admission_reviews_in_flight 0
# HELP digestgate_admission_reviews_total Answered reviews by what they came to before the mode applied, the code of the first refused image, and the mode.
# TYPE digestgate_admission_reviews_total counter
digestgate_admission_reviews_total{code="PENDING",mode="enforce",outcome="deny"} 1
digestgate_admission_reviews_total{code="POLICY",mode="enforce",outcome="deny"} 1
digestgate_admission_reviews_total{code="POLICY",mode="warn",outcome="deny"} 1
digestgate_admission_reviews_total{code="none",mode="enforce",outcome="allow"} 1
digestgate_admission_reviews_total{code="none",mode="enforce",outcome="exempt"} 1
`
	err = testutil.GatherAndCompare(reg, strings.NewReader(want), "digestgate_admission_reviews_total",
		"digestgate_admission_reviews_in_flight", "digestgate_admission_rejected_requests_total")
	if err != nil {
		t.Error(err)
	}
	if _, err := NewRecorder(reg); err == nil {
		t.Error("NewRecorder: registered twice without an error")
	}
}

func TestConfig_validate(t *testing.T) {
	if err := Default().Validate(); err != nil {
		t.Errorf("the default is not valid: %v", err)
	}
	short := filepath.Join(t.TempDir(), "short")
	if err := os.WriteFile(short, []byte("tiny-secret"), 0o600); err != nil {
		t.Fatal(err)
	}
	c := Config{
		Mode: "block", Wait: time.Minute, Tags: TagsConfig{MaxAge: time.Minute, Grace: time.Second}, StoreGrace: -1, NewDigestsPerHour: -1, NewDigestsPerHourTotal: -1,
		Details:          "some",
		Repositories:     []RepositoryConfig{{"library", "allowed"}, {"a/[", "denied"}, {"a/b", "yes"}},
		ExemptNamespaces: []string{"kube-*", "ok"},
		Namespaces:       map[string]NamespaceConfig{"ok": {ModeWarn}, "Bad": {ModeWarn}, "x": {"off"}},
		Clusters:         []ClusterConfig{{"default", ""}, {"default", ""}, {"prod", ""}, {"UP", short}, {"a", "/does/not/exist"}, {"b", short}},
		TLS:              certificate.Config{CertFile: "x"},
	}
	err := c.Validate()
	if gate.CodeOf(err) != gate.CodeReviewInvalid { // the class of ErrInvalid
		t.Errorf("Validate: %v does not wrap ErrInvalid", err)
	}
	lines := strings.Split(fmt.Sprint(err), "\n")
	want := []string{
		"mode", "details", "wait", "tags.grace", "storeGrace", "newDigestsPerHour", "newDigestsPerHourTotal", "repositories[0].pattern", "repositories[1].pattern",
		"repositories[2].admission", "exemptNamespaces[0]", `namespaces["Bad"]`, `namespaces["ok"]`, `namespaces["x"].mode`,
		"clusters[1].name", "clusters[2].tokenFile", "clusters[3].name", "clusters[4].tokenFile", "clusters[5].tokenFile", "tls",
	}
	for _, key := range want {
		found := false
		for _, line := range lines {
			found = found || strings.HasPrefix(line, key+": ")
		}
		if !found {
			t.Errorf("Validate does not complain about %s:\n%v", key, err)
		}
	}
	if strings.Contains(err.Error(), "tiny-secret") {
		t.Error("Validate shows a token")
	}
}
