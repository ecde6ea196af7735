package registry

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/scanner/registry/fake"
)

const anyManifest = "/v2/**/manifests/*"

// bufferedBytes is what a peer may have sent that nobody read: socket buffers
// on both sides.
const bufferedBytes = 12 << 20

// clock is a time that only moves when told.
type clock struct {
	mu sync.Mutex
	t  time.Time
}

func newClock() *clock { return &clock{t: time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)} }

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.t
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.t = c.t.Add(d)
}

func TestMapsAnswers(t *testing.T) {
	tests := map[string]struct {
		fault    fake.Fault
		want     error
		requests int
		text     string
	}{
		"404":                 {fake.Fault{Status: 404}, gate.ErrNotFound, 1, "answered 404"},
		"410":                 {fake.Fault{Status: 410}, gate.ErrNotFound, 1, ""},
		"manifest_unknown":    {fake.Fault{Status: 400, Body: []byte(`{"errors":[{"code":"MANIFEST_UNKNOWN"}]}`)}, gate.ErrNotFound, 1, "400 MANIFEST_UNKNOWN"},
		"401":                 {fake.Fault{Status: 401}, gate.ErrRegistryAuth, 1, "401"},
		"403":                 {fake.Fault{Status: 403}, gate.ErrRegistryAuth, 1, "check username, passwordFile"},
		"denied":              {fake.Fault{Status: 400, Body: []byte(`{"errors":[{"code":"DENIED"}]}`)}, gate.ErrRegistryAuth, 1, ""},
		"400":                 {fake.Fault{Status: 400, Body: []byte("Client sent an HTTP request to an HTTPS server.")}, gate.ErrRegistryUnavailable, 1, "remove plainHTTP"},
		"412_harbor_policy":   {fake.Fault{Status: 412, Body: []byte(`{"errors":[{"code":"PROJECTPOLICYVIOLATION"}]}`)}, gate.ErrRegistryRefused, 1, "answered 412 PROJECTPOLICYVIOLATION: the registry refuses this image: blocked by its own policy or removed; look at"},
		"409":                 {fake.Fault{Status: 409}, gate.ErrRegistryRefused, 1, "blocked by its own policy or removed"},
		"423":                 {fake.Fault{Status: 423}, gate.ErrRegistryRefused, 1, "blocked by its own policy or removed"},
		"451":                 {fake.Fault{Status: 451, Body: []byte(`{"errors":[{"code":"DENIED"}]}`)}, gate.ErrRegistryRefused, 1, "451 DENIED: the registry refuses"},
		"500":                 {fake.Fault{Status: 500}, gate.ErrRegistryUnavailable, 3, "500"},
		"502":                 {fake.Fault{Status: 502}, gate.ErrRegistryUnavailable, 3, ""},
		"503":                 {fake.Fault{Status: 503}, gate.ErrRegistryUnavailable, 3, ""},
		"500_with_not_found":  {fake.Fault{Status: 500, Body: []byte(`{"errors":[{"code":"NAME_UNKNOWN"}]}`)}, gate.ErrRegistryUnavailable, 3, ""},
		"204":                 {fake.Fault{Status: 204}, gate.ErrRegistryUnavailable, 1, "204"},
		"hostile_error_text":  {fake.Fault{Status: 400, Body: []byte(`{"errors":[{"code":"<b>x\u001b","message":"<script>"}]}`)}, gate.ErrRegistryUnavailable, 1, ""},
		"endless_error":       {fake.Fault{Status: 404, Flood: 1 << 30}, gate.ErrNotFound, 1, ""}, // N09
		"endless_forbidden":   {fake.Fault{Status: 403, Body: []byte(`{"errors":[{"code":"`), Flood: 1 << 30}, gate.ErrRegistryAuth, 1, ""},
		"endless_manifest":    {fake.Fault{Body: []byte("{"), Flood: 1 << 30, Unsized: true}, gate.ErrIntegrity, 1, "over the limit"},
		"announced_too_large": {fake.Fault{Body: []byte("{"), Header: http.Header{"Content-Length": {"1000000000"}}, After: 1, Stall: true}, gate.ErrIntegrity, 1, "over the limit"},
		"huge_header":         {fake.Fault{Status: 200, Header: http.Header{"X-Huge": {strings.Repeat("x", 1<<20)}}}, gate.ErrRegistryUnavailable, 3, ""}, // N09
		"reset":               {fake.Fault{Body: []byte("{}"), After: 1, Reset: true}, gate.ErrRegistryUnavailable, 3, ""},
		"truncated":           {fake.Fault{Body: []byte("{}"), Header: http.Header{"Content-Length": {"100"}}, After: 2, Reset: true}, gate.ErrRegistryUnavailable, 3, ""},
		"no_header":           {fake.Fault{Hang: true}, gate.ErrRegistryUnavailable, 1, "did not answer in time"},
		"stalls_in_the_body":  {fake.Fault{Body: []byte("{}"), After: 1, Stall: true}, gate.ErrRegistryUnavailable, 1, "did not answer in time"}, // N08
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, fake.Options{}, func(_ *Config, o *Options) {
				o.timeouts = patient()
				if strings.Contains(tt.text, "in time") {
					o.timeouts.header, o.timeouts.small = 300*time.Millisecond, 500*time.Millisecond
				}
			})
			r.push(t, "1", 10)
			tt.fault.Path = anyManifest
			r.Fail(tt.fault)
			_, err := r.client.Resolve(t.Context(), r.loc, "1")
			if !errors.Is(err, tt.want) || !strings.Contains(fmt.Sprint(err), tt.text) {
				t.Errorf("got %v, want %v with %q", err, tt.want, tt.text)
			}
			if n := len(r.Requests()); n != tt.requests {
				t.Errorf("%d requests, want %d", n, tt.requests)
			}
			if s := fmt.Sprint(err); strings.ContainsAny(s, "\x1b<\n") {
				t.Errorf("hostile text in %q", s)
			}
			if n := r.Flooded(); n > maxHashedBytes+bufferedBytes {
				t.Errorf("%d bytes were read", n)
			}
			if class, ok := gate.Classify(err); !ok || class.Err == gate.ErrTimeout {
				t.Errorf("classified as %v", class)
			}
		})
	}
}

func TestRecoversFromFlapping(t *testing.T) { // N02
	for name, f := range map[string]fake.Fault{
		"503_twice":   {Status: 503, Times: 2},
		"reset_once":  {Body: []byte("{}"), Reset: true, Times: 1},
		"reset_in_it": {After: 20, Reset: true, Times: 2},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, fake.Options{})
			want, _ := r.push(t, "1", 10)
			f.Path = anyManifest
			r.Fail(f)
			m, err := r.client.Resolve(t.Context(), r.loc, "1")
			if err != nil || m.Digest != want {
				t.Errorf("got %+v, %v", m, err)
			}
		})
	}
}

func TestHonoursRetryAfter(t *testing.T) { // N01
	now := newClock().now()
	tests := map[string]struct {
		value string
		want  time.Duration
	}{
		"seconds":       {"5", 5 * time.Second},
		"date":          {now.Add(90 * time.Second).Format(http.TimeFormat), 90 * time.Second},
		"past_date":     {now.Add(-90 * time.Second).Format(http.TimeFormat), time.Second},
		"zero":          {"0", time.Second},
		"negative":      {"-1", time.Second},
		"huge":          {"1e9", time.Hour},
		"infinite":      {"Inf", time.Hour},
		"microseconds":  {"35.852µs", time.Second},
		"as_ghcr_sends": {"35.852µs, allowed: 44000/minute", time.Second},
		"missing":       {"", unstatedPause},
		"garbage":       {"soon", unstatedPause},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			clk := newClock()
			r, other := start(t, fake.Options{}), start(t, fake.Options{})
			a, b := configFor(t, r, fake.Options{}), configFor(t, other, fake.Options{})
			b.Name = "other"
			client := newClient(t, Options{Registries: []Config{a, b}, Now: clk.now})
			img, _ := fake.RandomImage(1, v1.Platform{}, 10)
			for _, x := range []*fake.Registry{r, other} {
				if _, err := x.Push("app", "1", img); err != nil {
					t.Fatal(err)
				}
			}
			f := fake.Fault{Path: anyManifest, Status: 429, Times: 1, Header: http.Header{}}
			if tt.value != "" {
				f.Header.Set("Retry-After", tt.value)
			}
			r.Fail(f)
			loc := gate.Location{Registry: "test", Repository: "app"}
			for range 3 { // the second and third find the pause
				_, err := client.Head(t.Context(), loc, "1")
				var wait *gate.RetryAfterError
				if !errors.As(err, &wait) || !errors.Is(err, gate.ErrRegistryUnavailable) || wait.After != tt.want {
					t.Fatalf("got %v, want to wait %s", err, tt.want)
				}
			}
			if n := len(r.Requests()); n != 1 {
				t.Errorf("%d requests during the pause, want 1", n)
			}
			if _, err := client.Head(t.Context(), gate.Location{Registry: "other", Repository: "app"}, "1"); err != nil {
				t.Errorf("another host suffers: %v", err)
			}
			clk.advance(tt.want)
			if _, err := client.Head(t.Context(), loc, "1"); err != nil {
				t.Errorf("after the pause: %v", err)
			}
		})
	}
}

func TestPausesGrow(t *testing.T) {
	clk := newClock()
	var log bytes.Buffer
	p := newPauses(clk.now, slog.New(slog.NewTextHandler(&log, nil)))
	limited := &http.Response{StatusCode: 429, Header: http.Header{}}
	left := func() time.Duration {
		var e *pausedError
		if errors.As(p.check("h"), &e) {
			return e.after
		}
		return 0
	}
	for _, want := range []time.Duration{5, 10, 20, 40, 80, 160, 300, 300} {
		p.observe("h", limited)
		if left() != want*time.Second {
			t.Errorf("got a pause of %s, want %s", left(), want*time.Second)
		}
		clk.advance(want * time.Second)
	}
	if p.check("h") != nil {
		t.Error("the pause does not end")
	}
	p.observe("h", limited)
	p.observe("h", &http.Response{StatusCode: 200, Header: http.Header{}})
	if left() != maxUnstatedPause {
		t.Errorf("a late success ended the pause: %s left", left())
	}
	if !strings.Contains(log.String(), "host=h") {
		t.Errorf("nothing in the log: %q", log.String())
	}
	for i := range 3 * maxPausedHosts {
		p.observe(fmt.Sprint(i), limited)
	}
	if len(p.hosts) > maxPausedHosts {
		t.Errorf("%d hosts are remembered", len(p.hosts))
	}
	long := strings.Repeat("x", 60<<10)
	for i := range 10 { // of redirects: a header has room for it
		p.observe(fmt.Sprint(i, long), nil)
		p.body(bodyKind("blobs"), fmt.Sprint(i, long), false)
	}
	for host := range p.hosts {
		if len(host) > maxPausedHost {
			t.Fatalf("a host of %d bytes is remembered", len(host))
		}
	}
}

func TestDeadHostRests(t *testing.T) { // N02: breaker per host
	clk := newClock()
	r := newRig(t, fake.Options{}, func(_ *Config, o *Options) { o.Now = clk.now })
	r.push(t, "1", 10)
	r.Fail(fake.Fault{Path: anyManifest, Status: 500})
	for range 20 {
		if _, err := r.client.Head(t.Context(), r.loc, "1"); !errors.Is(err, gate.ErrRegistryUnavailable) {
			t.Fatalf("got %v", err)
		}
	}
	if n := len(r.Requests()); n != breakAfter {
		t.Errorf("%d requests to a dead host, want %d", n, breakAfter)
	}
	r.Reset()
	if _, err := r.client.Head(t.Context(), r.loc, "1"); err == nil {
		t.Error("no rest")
	}
	clk.advance(maxBreak)
	if _, err := r.client.Head(t.Context(), r.loc, "1"); err != nil {
		t.Errorf("after the rest: %v", err)
	}
}

// TestRests: a registry rests while it has asked to wait, while its last requests all
// failed, and while the server without whose tokens it is not read does.
func TestRests(t *testing.T) {
	clk := newClock()
	r := newRig(t, fake.Options{}, func(_ *Config, o *Options) { o.Now = clk.now })
	r.push(t, "1", 10)
	rest := func() gate.Rest { return r.client.Rests(r.loc.Registry) }
	ask := func() { _, _ = r.client.Head(t.Context(), r.loc, "1") }
	if ask(); rest() != (gate.Rest{}) || r.client.Rests("unknown") != (gate.Rest{}) {
		t.Errorf("a healthy registry: %+v", rest())
	}
	r.Fail(fake.Fault{Path: anyManifest, Status: 429, Header: http.Header{"Retry-After": {"120"}}})
	ask()
	if got, want := rest(), (gate.Rest{Left: 2 * time.Minute, Kind: gate.CauseAskedToWait, Until: clk.now().Add(2 * time.Minute).UTC()}); got != want {
		t.Errorf("after a 429: %+v, want %+v", got, want)
	}
	r.Reset()
	clk.advance(2 * time.Minute)
	if ask(); rest() != (gate.Rest{}) {
		t.Errorf("after the rest: %+v", rest())
	}
	r.Fail(fake.Fault{Path: anyManifest, Status: 500})
	for range 20 {
		ask()
	}
	if got := rest(); got.Left <= 0 || got.Kind != gate.CauseUnreachable {
		t.Errorf("a dead host: %+v", got)
	}
	clk.advance(maxBreak)
	s, _ := r.client.named(r.loc.Registry)
	s.realm.Store("tokens.example.com:443")
	for range breakAfter {
		s.pauses.observe("tokens.example.com:443", nil)
	}
	if got := rest(); got.Left != firstBreak {
		t.Errorf("a dead token server: %+v", got)
	}
}

func TestCallersDeadlineIsATimeout(t *testing.T) {
	r := newRig(t, fake.Options{})
	r.Fail(fake.Fault{Path: anyManifest, Hang: true})
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	begin := time.Now()
	_, err := r.client.Head(ctx, r.loc, "1")
	if !errors.Is(err, gate.ErrTimeout) || errors.Is(err, gate.ErrRegistryUnavailable) {
		t.Errorf("got %v, want ErrTimeout", err)
	}
	if d := time.Since(begin); d >= patient().header {
		t.Errorf("it took %s, as long as without a deadline", d)
	}
	ctx2, cancel2 := context.WithCancelCause(t.Context())
	cancel2(gate.ErrCancelled)
	_, err = r.client.Resolve(ctx2, r.loc, "1")
	if class, _ := gate.Classify(err); class.Err != gate.ErrCancelled {
		t.Errorf("cancelled: got %v", err)
	}
}

func TestWordsFailuresBelowHTTP(t *testing.T) {
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed.Close()
	tlsServer := start(t, fake.Options{TLS: true})
	plainServer := start(t, fake.Options{})
	tests := map[string]struct {
		change func(*Config)
		text   string
	}{
		"refused":           {func(c *Config) { c.Host = closed.Addr().String() }, "connection refused"},
		"unknown_name":      {func(c *Config) { c.Host = "does-not-exist.invalid" }, "cannot be resolved"},
		"unknown_authority": {func(c *Config) { c.Host, c.PlainHTTP = tlsServer.Host, false }, "configure caFile"},
		"plain_server":      {func(c *Config) { c.Host, c.PlainHTTP = plainServer.Host, false }, "set plainHTTP"},
		"tls_server":        {func(c *Config) { c.Host = tlsServer.Host }, "remove plainHTTP"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			cfg := configFor(t, plainServer, fake.Options{})
			tt.change(&cfg)
			o := Options{Registries: []Config{cfg}, Resolver: nowhere()}
			_, err := newClient(t, o).Head(t.Context(), gate.Location{Registry: "test", Repository: "app"}, "1")
			if !errors.Is(err, gate.ErrRegistryUnavailable) || !strings.Contains(err.Error(), tt.text) {
				t.Errorf("got %v, want %q", err, tt.text)
			}
		})
	}
	t.Run("insecure_skip_verify", func(t *testing.T) {
		cfg := configFor(t, tlsServer, fake.Options{})
		cfg.PlainHTTP, cfg.InsecureSkipVerify = false, true
		_, err := newClient(t, Options{Registries: []Config{cfg}}).Head(t.Context(), gate.Location{Registry: "test", Repository: "app"}, "1")
		if !errors.Is(err, gate.ErrNotFound) {
			t.Errorf("got %v, want an answer", err)
		}
	})
}

// nowhere is a resolver that knows no name and asks nobody.
func nowhere() *net.Resolver {
	return &net.Resolver{PreferGo: true, Dial: func(context.Context, string, string) (net.Conn, error) {
		return nil, &net.DNSError{Err: "no such host", IsNotFound: true}
	}}
}

func secondsOf(n int) time.Duration { return time.Duration(n) * time.Second }

// TestAskedWait: what a registry has asked for is told as it was, also when it is
// longer than the host is left alone; what cannot be meant is not repeated.
func TestAskedWait(t *testing.T) {
	now := newClock().now()
	for value, want := range map[string]struct{ after, asked time.Duration }{
		"7":     {7 * time.Second, 7 * time.Second},
		"0.25":  {time.Second, 250 * time.Millisecond},
		"7200":  {time.Hour, 2 * time.Hour},
		"90m":   {time.Hour, 90 * time.Minute},
		"86400": {time.Hour, 24 * time.Hour},
		now.Add(26 * time.Hour).Format(http.TimeFormat):                       {time.Hour, 26 * time.Hour},
		now.Add(90*time.Second).Format("Monday, 02-Jan-06 15:04:05") + " GMT": {90 * time.Second, 90 * time.Second},
		now.Add(-time.Hour).Format(http.TimeFormat):                           {time.Second, 0},
		now.AddDate(50, 0, 0).Format(http.TimeFormat):                         {time.Hour, 0},
		"Fri, 31 Dec 9999 23:59:59 GMT":                                       {time.Hour, 0},
		"0":                                                                   {time.Second, 0},
		"-5":                                                                  {time.Second, 0},
		"-Inf":                                                                {time.Second, 0},
		"-1e400":                                                              {time.Second, 0},
		"Inf":                                                                 {time.Hour, 0},
		"1e400":                                                               {time.Hour, 0},
		"99999999999999999999":                                                {time.Hour, 0},
		"NaN":                                                                 {},
		"soon":                                                                {},
	} {
		after, asked, ok := parseRetryAfter(value, now)
		if after != want.after || asked != want.asked || ok != (want.after > 0) {
			t.Errorf("%q: got %s, asked %s, %v; want %s, asked %s", value, after, asked, ok, want.after, want.asked)
		}
	}
	clk := newClock()
	r := start(t, fake.Options{})
	client := newClient(t, Options{Registries: []Config{configFor(t, r, fake.Options{})}, Now: clk.now})
	r.Fail(fake.Fault{Path: anyManifest, Status: http.StatusServiceUnavailable, Times: 1, Header: http.Header{"Retry-After": {"7200"}}})
	for _, passed := range []time.Duration{0, 10 * time.Minute} { // the second finds the pause
		clk.advance(passed)
		_, err := client.Head(t.Context(), gate.Location{Registry: "test", Repository: "app"}, "1")
		var wait *gate.RetryAfterError
		if !errors.As(err, &wait) || wait.After != time.Hour-passed || wait.Asked != 2*time.Hour-passed {
			t.Errorf("after %s: got %v, %+v; want what is left of one hour and of the two that were asked for", passed, err, wait)
		}
	}
}
