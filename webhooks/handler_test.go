package webhooks

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"go.uber.org/goleak"

	"github.com/digestgate/digestgate/gate"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const digest = gate.Digest("sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa")

// takerFunc is an intake.
type takerFunc func(ctx context.Context, registry string, pushes []gate.Push) ([]gate.PushResult, error)

func (f takerFunc) Take(ctx context.Context, registry string, pushes []gate.Push) ([]gate.PushResult, error) {
	return f(ctx, registry, pushes)
}

// queueAll queues every push that is not ignored.
func queueAll(_ context.Context, registry string, pushes []gate.Push) ([]gate.PushResult, error) {
	var out []gate.PushResult
	for _, p := range pushes {
		r := gate.PushResult{Registry: registry, Repository: p.Repository, Tag: p.Tag, Digest: p.Digest, State: gate.PushQueued}
		if p.Kind == gate.PushIgnored {
			r.State, r.Reason = gate.PushNotActedOn, p.Reason
		}
		out = append(out, r)
	}
	return out, nil
}

// simple is a format of this test: a list of tags of one repository.
var simple = Receiver{Type: "simple", Parse: func(d Delivery) ([]gate.Push, error) {
	var v struct {
		Tags []string `json:"tags"`
	}
	if err := Decode(d.Body, &v); err != nil {
		return nil, err
	}
	var out []gate.Push
	for _, tag := range v.Tags {
		if tag == "panic" {
			panic("index out of range")
		}
		if tag == "pull" {
			out = append(out, gate.Ignored("a pull"))
			continue
		}
		out = append(out, gate.Push{Kind: gate.PushArrived, Repository: "team/app", Digest: digest, Tag: tag})
	}
	return out, nil
}}

func handler(t testing.TB, c Config, take takerFunc, opt Options) *Handler {
	t.Helper()
	h, err := NewHandler([]Endpoint{{Name: "prod", Receiver: simple, Auth: authenticator(t, c)}}, take, opt)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func serve(h http.Handler, method, target, body string) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(method, target, strings.NewReader(body)))
	return w
}

func TestAnswers(t *testing.T) {
	h := handler(t, Config{Auth: AuthNone}, queueAll, Options{})
	for name, c := range map[string]struct {
		method, target, body string
		status               int
		want                 string
	}{
		"queued": {"POST", "/webhooks/prod", `{"tags":["1.0"]}`, 202,
			`{"state":"queued","images":[{"registry":"prod","repository":"team/app","tag":"1.0","digest":"` + string(digest) + `","state":"queued"}]}`},
		"ignored": {"POST", "/webhooks/prod", `{"tags":["pull"]}`, 202, `{"state":"ignored","reason":"a pull","images":[]}`},
		"nothing": {"POST", "/webhooks/prod", `{}`, 202, `{"state":"ignored","reason":"the delivery holds no event","images":[]}`},
		"both": {"POST", "/webhooks/prod", `{"tags":["pull","1.0"]}`, 202,
			`{"state":"queued","images":[{"registry":"prod","repository":"team/app","tag":"1.0","digest":"` + string(digest) + `","state":"queued"}]}`},
		"malformed": {"POST", "/webhooks/prod", `{`, 400,
			`{"title":"Bad Request","status":400,"detail":"reading the body as JSON: it ends in the middle: invalid input"}`},
		"panic": {"POST", "/webhooks/prod", `{"tags":["panic"]}`, 400,
			`{"title":"Bad Request","status":400,"detail":"reading the body: its shape is not understood: invalid input"}`},
		"slash": {"POST", "/webhooks/prod/", `{}`, 404,
			`{"title":"Not Found","status":404,"detail":"the path of a registry ends with its name, without a slash; only with webhook.auth token may a secret follow"}`},
		"name": {"POST", "/webhooks/Prod", `{}`, 404,
			`{"title":"Not Found","status":404,"detail":"no registry of that name takes webhooks here; the path is /webhooks/{name}, with the name of a registry that has a webhook block"}`},
		"method": {"GET", "/webhooks/prod", ``, 405, `{"title":"Method Not Allowed","status":405,"detail":"deliveries are sent with POST"}`},
	} {
		t.Run(name, func(t *testing.T) {
			w := serve(h, c.method, c.target, c.body)
			if diff := cmp.Diff(c.want+"\n", w.Body.String()); w.Code != c.status || diff != "" {
				t.Errorf("got %d, want %d (-want +got):\n%s", w.Code, c.status, diff)
			}
		})
	}
}

// TestTokenInPath: the token is the rest of the path, unescaped once.
func TestTokenInPath(t *testing.T) {
	h := handler(t, Config{Auth: AuthToken, SecretFiles: []string{file(t, "a/b%2f c")}}, queueAll, Options{})
	for target, want := range map[string]int{
		"/webhooks/prod/a%2Fb%252f%20c": 202, "/webhooks/prod/a/b%252f%20c": 202, "/webhooks/prod/": 404, "/webhooks/prod": 401,
		"/webhooks/prod/x/../a%2Fb%252f%20c": 401, "/webhooks/%70rod/a%2Fb%252f%20c": 202, "/webhooks//a%2Fb%252f%20c": 404,
	} {
		if w := serve(h, "POST", target, `{}`); w.Code != want {
			t.Errorf("POST %s: got %d, want %d", target, w.Code, want)
		}
	}
}

func TestDeliveryOfThousands(t *testing.T) {
	var taken int
	h := handler(t, Config{Auth: AuthNone}, func(ctx context.Context, registry string, pushes []gate.Push) ([]gate.PushResult, error) {
		taken = len(pushes)
		return queueAll(ctx, registry, pushes)
	}, Options{})
	tags := make([]string, 10000)
	for i := range tags {
		tags[i] = fmt.Sprintf("t%d", i)
	}
	body, _ := json.Marshal(map[string][]string{"tags": tags})
	w := serve(h, "POST", "/webhooks/prod", string(body))
	var a Answer
	if err := json.Unmarshal(w.Body.Bytes(), &a); err != nil || taken != maxEvents || len(a.Images) != maxEvents {
		t.Errorf("10,000 events: %d taken, %d answered, %v", taken, len(a.Images), err)
	}
	if !strings.HasPrefix(a.Reason, "9800 further events") {
		t.Errorf("reason: got %q", a.Reason)
	}
	w = serve(h, "POST", "/webhooks/prod", `{"tags":["1","1","1","pull","pull"]}`)
	if w.Code != 202 || taken != 2 {
		t.Errorf("repetitions in one delivery: %d taken, want 2", taken)
	}
}

// TestLog: one line for a delivery, and never a secret, whatever the outcome.
func TestLog(t *testing.T) {
	const token = "s3cr3t-t0ken"
	var log bytes.Buffer
	reg := prometheus.NewRegistry()
	outcome := errors.New("disk: no answer")
	fail := false
	foreign := false
	still := time.Now()
	h := handler(t, Config{Auth: AuthToken, SecretFiles: []string{file(t, token)}, DeliveriesPerSecond: 1, Burst: 8}, func(ctx context.Context, registry string, pushes []gate.Push) ([]gate.PushResult, error) {
		if fail {
			return nil, fmt.Errorf("%w: %w", outcome, gate.ErrStoreUnavailable)
		}
		res, err := queueAll(ctx, registry, pushes)
		for i := range res {
			res[i].Foreign = foreign
		}
		return res, err
	}, Options{Log: slog.New(slog.NewTextHandler(&log, nil)), Metrics: NewMetrics(reg), Now: func() time.Time { return still }})
	for _, c := range []struct {
		name, target, body string
		status             int
		want               []string
		before             func()
	}{
		{"queued", "/webhooks/prod?token=" + token, `{"tags":["1.0","2.0"]}`, 202, []string{"level=INFO", "registry=prod", "state=queued", "images=2", "status=202", "remote=192.0.2.1:1234", "duration="}, nil},
		{"in_path", "/webhooks/prod/" + token, `{"tags":["1.0"]}`, 202, []string{"state=queued"}, nil},
		{"ignored", "/webhooks/prod?token=" + token, `{"tags":["pull"]}`, 202, []string{"level=INFO", "state=ignored", `reason="a pull"`}, nil},
		{"foreign", "/webhooks/prod?token=" + token, `{"tags":["1.0"]}`, 202, []string{"level=WARN"}, func() { foreign = true }},
		{"malformed", "/webhooks/prod?token=" + token, "\x1b[31m" + token, 400, []string{"level=WARN", "status=400"}, nil},
		{"wrong_token", "/webhooks/prod?token=" + token + "x", `{}`, 401, []string{"level=WARN", "status=401"}, nil},
		{"wrong_in_path", "/webhooks/prod/" + token + "x", `{}`, 401, []string{"status=401"}, nil},
		{"two_segments", "/webhooks/prod/" + token + "/x", `{}`, 401, []string{"status=401"}, nil},
		{"unknown_name", "/webhooks/" + token, `{}`, 404, []string{"status=404"}, nil},
		{"too_large", "/webhooks/prod?token=" + token, strings.Repeat("x", 1<<20+1), 413, []string{"status=413"}, nil},
		{"panic", "/webhooks/prod?token=" + token, `{"tags":["panic"]}`, 400, []string{"level=ERROR", "panicked"}, nil},
		{"unavailable", "/webhooks/prod?token=" + token, `{"tags":["1.0"]}`, 503, []string{"level=ERROR", "status=503", "disk: no answer"}, func() { fail = true }},
		{"last", "/webhooks/prod?token=" + token, `{"tags":["1.0"]}`, 503, []string{"status=503"}, nil},
		{"rate", "/webhooks/prod?token=" + token, `{}`, 429, []string{"status=429"}, nil},
	} {
		if c.before != nil {
			c.before()
		}
		log.Reset()
		w := serve(h, "POST", c.target, c.body)
		if w.Code != c.status {
			t.Errorf("%s: got %d %s, want %d", c.name, w.Code, w.Body, c.status)
		}
		for _, want := range c.want {
			if !strings.Contains(log.String(), want) {
				t.Errorf("%s: the log lacks %q:\n%s", c.name, want, &log)
			}
		}
		lines := strings.Count(log.String(), "\n")
		if want := strings.Count(log.String(), "panicked") + 1; lines != want {
			t.Errorf("%s: %d log lines, want %d:\n%s", c.name, lines, want, &log)
		}
		if strings.Contains(log.String()+w.Body.String(), token) || strings.Contains(log.String(), "\x1b") {
			t.Errorf("%s: log or answer has the secret or control bytes:\n%s%s", c.name, &log, w.Body)
		}
		if strings.Contains(w.Body.String(), "disk") {
			t.Errorf("%s: the answer tells the sender of our inside: %s", c.name, w.Body)
		}
	}
	want := `
# HELP digestgate_webhook_deliveries_total Deliveries of registries by kind of registry and outcome.
# TYPE digestgate_webhook_deliveries_total counter
digestgate_webhook_deliveries_total{outcome="ignored",type="simple"} 1
digestgate_webhook_deliveries_total{outcome="queued",type="simple"} 3
digestgate_webhook_deliveries_total{outcome="refused",type=""} 1
digestgate_webhook_deliveries_total{outcome="refused",type="simple"} 7
digestgate_webhook_deliveries_total{outcome="unavailable",type="simple"} 2
`
	if err := testutil.GatherAndCompare(reg, strings.NewReader(want), "digestgate_webhook_deliveries_total"); err != nil {
		t.Error(err)
	}
}

func TestSlowBody(t *testing.T) {
	h := handler(t, Config{Auth: AuthNone}, queueAll, Options{ReadTimeout: 50 * time.Millisecond})
	srv := httptest.NewServer(h)
	defer srv.Close()
	conn, err := net.Dial("tcp", srv.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprintf(conn, "POST /webhooks/prod HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{")
	// The server answers and closes although the rest never comes.
	answer, err := io.ReadAll(conn)
	if err != nil || !bytes.HasPrefix(answer, []byte("HTTP/1.1 400 ")) || !bytes.Contains(answer, []byte("did not arrive")) {
		t.Errorf("answer to a body that stops: %q, %v", answer, err)
	}
}

// TestDeadlineEndsWithTheBody: a deadline for the body must not cut the work
// on it, nor the next delivery of the connection.
func TestDeadlineEndsWithTheBody(t *testing.T) {
	h := handler(t, Config{Auth: AuthNone}, func(ctx context.Context, registry string, pushes []gate.Push) ([]gate.PushResult, error) {
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(120 * time.Millisecond): // longer than the read timeout
		}
		return queueAll(ctx, registry, pushes)
	}, Options{ReadTimeout: 40 * time.Millisecond})
	var connections atomic.Int32
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h.ServeHTTP(w, r)
		// The context belongs to the connection: other handlers would inherit
		// what went wrong with it.
		if err := r.Context().Err(); err != nil {
			t.Errorf("the request's context has ended: %v", err)
		}
	}))
	srv.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			connections.Add(1)
		}
	}
	srv.Start()
	defer srv.Close()
	for range 3 {
		res, err := srv.Client().Post(srv.URL+"/webhooks/prod", "application/json", strings.NewReader(`{"tags":["1"]}`))
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, res.Body)
		res.Body.Close()
		if res.StatusCode != http.StatusAccepted {
			t.Errorf("got %d, want 202", res.StatusCode)
		}
	}
	if n := connections.Load(); n != 1 {
		t.Errorf("three deliveries took %d connections, want 1", n)
	}
}

// TestSenderGivesUp: what a sender has delivered is made durable although it
// does not wait for the answer.
func TestSenderGivesUp(t *testing.T) {
	began, left, outcome := make(chan struct{}), make(chan struct{}), make(chan error, 1)
	h := handler(t, Config{Auth: AuthNone}, func(ctx context.Context, registry string, pushes []gate.Push) ([]gate.PushResult, error) {
		close(began)
		<-left
		outcome <- ctx.Err()
		return queueAll(ctx, registry, pushes)
	}, Options{})
	ctx, cancel := context.WithCancel(t.Context())
	var done sync.WaitGroup
	done.Go(func() {
		r := httptest.NewRequest("POST", "/webhooks/prod", strings.NewReader(`{"tags":["1"]}`)).WithContext(ctx)
		h.ServeHTTP(httptest.NewRecorder(), r)
	})
	<-began
	cancel()
	close(left)
	done.Wait()
	if err := <-outcome; err != nil {
		t.Errorf("the intake was cancelled with the sender: %v", err)
	}
}

func TestNewHandlerRefuses(t *testing.T) {
	auth := authenticator(t, Config{Auth: AuthNone})
	for name, list := range map[string][]Endpoint{
		"no_name":     {{Receiver: simple, Auth: auth}},
		"no_receiver": {{Name: "a", Auth: auth}},
		"no_auth":     {{Name: "a", Receiver: simple}},
		"twice":       {{Name: "a", Receiver: simple, Auth: auth}, {Name: "a", Receiver: simple, Auth: auth}},
	} {
		if _, err := NewHandler(list, takerFunc(queueAll), Options{}); !errors.Is(err, gate.ErrInvalid) {
			t.Errorf("%s: got %v, want ErrInvalid", name, err)
		}
	}
}

func BenchmarkDelivery(b *testing.B) {
	h := handler(b, Config{Auth: AuthHeader, SecretFiles: []string{file(b, "secret")}}, queueAll, Options{})
	body := []byte(`{"tags":["1.0"]}`)
	b.ReportAllocs()
	for b.Loop() {
		r := httptest.NewRequest("POST", "/webhooks/prod", bytes.NewReader(body))
		r.Header.Set("Authorization", "secret")
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Code != http.StatusAccepted {
			b.Fatal(w.Code)
		}
	}
}

// witness notes what it is told.
type witness struct{ lines []string }

func (w *witness) Seen(registry string, state gate.PushState, at time.Time) {
	w.lines = append(w.lines, fmt.Sprintf("%s %s %d", registry, state, at.Unix()))
}

// TestWitness: what was authenticated and answered is told, acted on or not,
// and nothing else.
func TestWitness(t *testing.T) {
	seen := &witness{}
	now := time.Unix(1_790_000_000, 0)
	var fail error
	h := handler(t, Config{Auth: AuthToken, SecretFiles: []string{file(t, "s3cr3t")}}, func(ctx context.Context, registry string, pushes []gate.Push) ([]gate.PushResult, error) {
		if fail != nil {
			return nil, fail
		}
		return queueAll(ctx, registry, pushes)
	}, Options{Seen: seen, Now: func() time.Time { return now }})
	serve(h, "POST", "/webhooks/prod/wrong", `{"tags":["1.0"]}`)
	serve(h, "POST", "/webhooks/prod/s3cr3t", `{`)
	serve(h, "GET", "/webhooks/prod/s3cr3t", ``)
	fail = gate.ErrStoreUnavailable
	serve(h, "POST", "/webhooks/prod/s3cr3t", `{"tags":["1.0"]}`)
	if len(seen.lines) != 0 {
		t.Errorf("told of deliveries that were refused: %q", seen.lines)
	}
	fail = nil
	serve(h, "POST", "/webhooks/prod/s3cr3t", `{"tags":["1.0"]}`)
	serve(h, "POST", "/webhooks/prod/s3cr3t", `{"tags":["pull"]}`)
	if diff := cmp.Diff([]string{"prod queued 1790000000", "prod ignored 1790000000"}, seen.lines); diff != "" {
		t.Errorf("told (-want +got):\n%s", diff)
	}
}

// unread is a body that must not be looked at.
type unread struct{ t *testing.T }

func (u unread) Read([]byte) (int, error) {
	u.t.Error("the body was read")
	return 0, io.EOF
}

// TestAnnouncedSize: a body that says itself that it is too large is not read.
func TestAnnouncedSize(t *testing.T) {
	h := handler(t, Config{Auth: AuthNone}, queueAll, Options{MaxBody: 10})
	r := httptest.NewRequest("POST", "/webhooks/prod", unread{t})
	r.ContentLength = 11
	w := httptest.NewRecorder()
	if h.ServeHTTP(w, r); w.Code != 413 || w.Header().Get("Connection") != "close" {
		t.Errorf("got %d %v, want 413 and the end of the connection", w.Code, w.Header())
	}
}

// TestReplace: endpoints come, go and change their secret while deliveries
// arrive; one that stays remembers what it has taken.
func TestReplace(t *testing.T) {
	secret := func(text string) *Authenticator {
		return authenticator(t, Config{Auth: AuthToken, SecretFiles: []string{file(t, text)}})
	}
	build := func(list ...Endpoint) *Handler {
		h, err := NewHandler(list, nil, Options{})
		if err != nil {
			t.Fatal(err)
		}
		return h
	}
	var taken atomic.Int32
	count := func(ctx context.Context, registry string, pushes []gate.Push) ([]gate.PushResult, error) {
		taken.Add(int32(len(pushes)))
		return queueAll(ctx, registry, pushes)
	}
	h, err := NewHandler([]Endpoint{{Name: "stays", Receiver: simple, Auth: secret("first-secret-0000")}, {Name: "goes", Receiver: simple, Auth: secret("first-secret-0000")}}, takerFunc(count), Options{})
	if err != nil {
		t.Fatal(err)
	}
	before, _ := h.endpoint("stays")
	h.Replace(build(Endpoint{Name: "stays", Receiver: simple, Auth: secret("second-secret-000")}, Endpoint{Name: "comes", Receiver: simple, Auth: secret("second-secret-000")}))
	after, _ := h.endpoint("stays")
	if after.limit != before.limit || after.replays != before.replays {
		t.Error("an endpoint that stays forgot its rate or its deliveries")
	}
	for target, want := range map[string]int{
		"/webhooks/stays/first-secret-0000": 401, "/webhooks/stays/second-secret-000": 202,
		"/webhooks/goes/first-secret-0000": 404, "/webhooks/comes/second-secret-000": 202,
	} {
		if w := serve(h, "POST", target, `{"tags":["1.0"]}`); w.Code != want {
			t.Errorf("POST %s: got %d, want %d", target, w.Code, want)
		}
	}
	if n := taken.Load(); n != 2 {
		t.Errorf("the taker got %d pushes, want 2", n)
	}
}
