// Package webhookstest is the suite that every receiver passes: recorded
// deliveries with what they mean, and everything that may arrive instead of
// them. A receiver's test calls [Run], [Fuzz] and [Bench] with a [Suite]; [Bodies] and
// [Wrong] are for bodies that a test makes up.
//
// The suite drives the real handler, authentication and intake; only the store
// is a small one in memory with the contract of store.Scheduler.Enqueue.
package webhookstest

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/gate/intake"
	"github.com/digestgate/digestgate/webhooks"
)

// Suite describes one receiver to [Run].
type Suite struct {
	Receiver webhooks.Receiver
	// Registry is the configured registry that the recorded deliveries come
	// from; its aliases are the other hosts that occur in them.
	Registry gate.Registry
	// HostInBody says that the format names the host. The suite then checks
	// that deliveries for another host are not acted on.
	HostInBody bool
	// Dir holds the recorded deliveries. Every .json file there must have a
	// case, so that none is forgotten.
	Dir   string
	Cases []Case
}

// Case is one recorded delivery and what it means.
type Case struct {
	File string
	// Pushes are what the receiver makes of it; none with Status 400 when the
	// receiver itself refuses it, and not the intake.
	Pushes []gate.Push
	// Status is 202 unless given.
	Status int
	// State is that of the whole delivery in an empty store.
	State gate.PushState
}

func (c Case) status() int {
	if c.Status == 0 {
		return http.StatusAccepted
	}
	return c.Status
}

// acted reports whether the delivery leads to a job.
func (c Case) acted() bool { return c.State == gate.PushQueued }

// Run runs the suite.
func Run(t *testing.T, s Suite) {
	t.Run("every_recording_has_a_case", s.complete)
	t.Run("deliveries", s.deliveries)
	t.Run("repetitions", s.repetitions)
	t.Run("authentication", s.authentication)
	t.Run("limits", s.limits)
	t.Run("malformed", s.malformed)
	t.Run("mutations", s.mutations)
	if s.HostInBody {
		t.Run("foreign_hosts", s.foreignHosts)
	}
}

func (s Suite) complete(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(s.Dir, "*.json"))
	if err != nil {
		t.Fatal(err)
	}
	var have, want []string
	for _, f := range files {
		have = append(have, filepath.Base(f))
	}
	for _, c := range s.Cases {
		want = append(want, c.File)
	}
	slices.Sort(want)
	if diff := cmp.Diff(have, want); diff != "" {
		t.Errorf("recorded deliveries (-files +cases):\n%s", diff)
	}
	if !slices.ContainsFunc(s.Cases, Case.acted) {
		t.Error("no recorded delivery leads to a job: the suite would prove nothing")
	}
	if _, err := os.Stat(filepath.Join(s.Dir, "SOURCES.md")); err != nil {
		t.Errorf("the sources of the recordings are not told: %v", err)
	}
}

func (s Suite) deliveries(t *testing.T) {
	for _, c := range s.Cases {
		t.Run(subtest(c.File), func(t *testing.T) {
			rec := s.recording(t, c)
			pushes, err := s.Receiver.Parse(rec.Delivery())
			if (err != nil) != (c.status() == http.StatusBadRequest && c.Pushes == nil) {
				t.Fatalf("Parse: got error %v, want status %d", err, c.status())
			}
			if diff := cmp.Diff(c.Pushes, pushes); diff != "" {
				t.Errorf("Parse (-want +got):\n%s", diff)
			}
			e := s.endpoint(t, webhooks.Config{Auth: webhooks.AuthNone})
			got := e.post(t, rec)
			if got.Status != c.status() || got.Answer.State != c.State {
				t.Fatalf("POST: got %d %q (%s%s), want %d %q", got.Status, got.Answer.State, got.Detail, got.Answer.Reason, c.status(), c.State)
			}
			s.sameInProcess(t, rec, got)
			if c.status() == http.StatusBadRequest {
				if e.store.touched() {
					t.Error("the store was written to for a delivery that is refused")
				}
				return
			}
			s.jobsOf(t, c, e.store)
		})
	}
}

// sameInProcess checks that replaying without a server says the same.
func (s Suite) sameInProcess(t *testing.T, rec webhooks.Recording, want webhooks.Replayed) {
	t.Helper()
	e := s.endpoint(t, webhooks.Config{Auth: webhooks.AuthNone})
	answer, err := e.handler.Deliver(t.Context(), s.Registry.Name, rec.Delivery())
	got := webhooks.Replayed{Status: http.StatusAccepted, Answer: answer}
	if err != nil {
		got = webhooks.Replayed{Status: webhooks.Status(err), Detail: want.Detail}
	}
	// Over HTTP the unexported part of a result is lost, as it must be.
	for i := range got.Answer.Images {
		got.Answer.Images[i].Foreign = false
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("Deliver and POST differ (-POST +Deliver):\n%s", diff)
	}
}

// jobsOf checks that the jobs are exactly those that the pushes call for.
func (s Suite) jobsOf(t *testing.T, c Case, store *memory) {
	t.Helper()
	want := map[string]bool{}
	for _, p := range c.Pushes {
		loc := gate.Location{Registry: s.Registry.Name, Repository: p.Repository}
		if p.Kind == gate.PushDeleted && p.Digest != "" && !store.gone[goneKey{p.Digest, loc}] {
			t.Errorf("%s is not marked gone from %s", p.Digest, loc)
		}
		switch {
		case !c.acted() || p.Kind == gate.PushIgnored:
		case p.Kind == gate.PushDeleted && p.Tag != "":
			want[gate.JobKey(gate.JobResolve, loc, "", p.Tag)] = true
		case p.Kind == gate.PushArrived:
			want[gate.JobKey(gate.JobResolve, loc, p.Digest, p.Tag)] = true
		}
		if key := (gate.TagKey{Location: loc, Tag: p.Tag}); c.acted() && p.Tag != "" && !store.dirty[key] {
			t.Errorf("tag %s is not marked dirty", key)
		}
	}
	got := map[string]bool{}
	for key := range store.jobs {
		got[key] = true
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("resolve jobs (-want +got):\n%s", diff)
	}
}

// repetitions: the same delivery again joins the live job; once the digest has
// an inventory and the job is done, it is known and the tag is confirmed. An
// event with an identity is taken once and repeated to no effect; another
// replica, which does not know of it, answers as to one without.
func (s Suite) repetitions(t *testing.T) {
	for _, c := range s.Cases {
		if !c.acted() || slices.ContainsFunc(c.Pushes, func(p gate.Push) bool { return p.Kind != gate.PushArrived }) {
			continue
		}
		t.Run(subtest(c.File), func(t *testing.T) {
			rec := s.recording(t, c)
			e := s.endpoint(t, webhooks.Config{Auth: webhooks.AuthNone})
			for i, want := range []gate.PushState{gate.PushQueued, gate.PushDuplicate, gate.PushDuplicate} {
				if got := e.post(t, rec); got.Answer.State != want {
					t.Fatalf("delivery %d: got %q, want %q", i+1, got.Answer.State, want)
				}
			}
			identified := !slices.ContainsFunc(c.Pushes, func(p gate.Push) bool { return p.Kind != gate.PushIgnored && p.EventID == "" })
			if (e.store.avoided == 0) != identified {
				t.Errorf("avoided: got %d; a repetition counts when it leads to a job, and no replay does", e.store.avoided)
			}
			want := gate.PushKnown
			for _, p := range c.Pushes {
				e.store.scanned(p.Digest)
				if p.Digest == "" {
					want = gate.PushQueued
				}
			}
			if identified {
				if got := e.post(t, rec); got.Answer.State != gate.PushDuplicate || got.Answer.Reason == "" {
					t.Errorf("replay after the scan: got %+v, want duplicate with a reason", got.Answer)
				}
				e = s.endpointOn(t, webhooks.Config{Auth: webhooks.AuthNone}, webhooks.Options{}, e.store)
			}
			if got := e.post(t, rec); got.Answer.State != want {
				t.Errorf("delivery after the scan: got %q, want %q", got.Answer.State, want)
			}
		})
	}
}

func (s Suite) foreignHosts(t *testing.T) {
	for _, c := range s.Cases {
		if !c.acted() {
			continue
		}
		t.Run(subtest(c.File), func(t *testing.T) {
			other := s
			other.Registry.Host, other.Registry.Aliases = "registry.of.another.owner", nil
			e := other.endpoint(t, webhooks.Config{Auth: webhooks.AuthNone})
			got := e.post(t, s.recording(t, c))
			if got.Status != http.StatusAccepted || got.Answer.State != gate.PushNotActedOn {
				t.Errorf("POST: got %d %q, want 202 ignored", got.Status, got.Answer.State)
			}
			if !strings.Contains(got.Answer.Reason, "alias") {
				t.Errorf("the reason %q does not say what to do", got.Answer.Reason)
			}
			if e.store.touched() {
				t.Error("the store was written to for a foreign host")
			}
		})
	}
}

// endpoint is a handler with one registry over a store in memory.
type endpoint struct {
	handler *webhooks.Handler
	auth    *webhooks.Authenticator
	store   *memory
	path    string
}

func (s Suite) endpoint(t testing.TB, c webhooks.Config) endpoint {
	t.Helper()
	return s.endpointWith(t, c, webhooks.Options{})
}

func (s Suite) endpointWith(t testing.TB, c webhooks.Config, opt webhooks.Options) endpoint {
	t.Helper()
	return s.endpointOn(t, c, opt, newMemory())
}

func (s Suite) endpointOn(t testing.TB, c webhooks.Config, opt webhooks.Options, store *memory) endpoint {
	t.Helper()
	registries, err := gate.NewRegistries([]gate.Registry{s.Registry})
	if err != nil {
		t.Fatal(err)
	}
	quota, err := gate.NewQuota(gate.DefaultQuota())
	if err != nil {
		t.Fatal(err)
	}
	if c.Auth != webhooks.AuthNone && len(c.SecretFiles) == 0 {
		c.SecretFiles = []string{secretFile(t, secretOf(c.Auth))}
	}
	if c.Auth == webhooks.AuthHMAC {
		c.Header = "X-Hub-Signature-256"
	}
	auth, err := webhooks.NewAuthenticator(c, now(opt), discard())
	if err != nil {
		t.Fatal(err)
	}
	handler, err := webhooks.NewHandler(
		[]webhooks.Endpoint{{Name: s.Registry.Name, Receiver: s.Receiver, Auth: auth}},
		intake.New(registries, quota, store), opt)
	if err != nil {
		t.Fatal(err)
	}
	return endpoint{handler: handler, auth: auth, store: store, path: webhooks.Prefix + s.Registry.Name}
}

// post delivers a recording, signed as the endpoint wants it.
func (e endpoint) post(t testing.TB, rec webhooks.Recording) webhooks.Replayed {
	t.Helper()
	req, err := rec.Request(t.Context(), "http://digestgate.test"+e.path, e.auth)
	if err != nil {
		t.Fatal(err)
	}
	return e.send(t, req)
}

// send serves any request and checks what every answer must have.
func (e endpoint) send(t testing.TB, req *http.Request) webhooks.Replayed {
	t.Helper()
	w := httptest.NewRecorder()
	e.handler.ServeHTTP(w, req)
	out := webhooks.Replayed{Status: w.Code}
	if w.Code == http.StatusAccepted {
		if err := json.Unmarshal(w.Body.Bytes(), &out.Answer); err != nil {
			t.Fatalf("answer %q: %v", w.Body, err)
		}
		if out.Answer.Images == nil || out.Answer.State == "" || (out.Answer.State == gate.PushNotActedOn && out.Answer.Reason == "") {
			t.Fatalf("answer is not complete: %s", w.Body)
		}
		return out
	}
	var p struct {
		Status        int
		Title, Detail string
	}
	if err := json.Unmarshal(w.Body.Bytes(), &p); err != nil || p.Status != w.Code || p.Title == "" || p.Detail == "" {
		t.Fatalf("refusal %d %q: %v", w.Code, w.Body, err)
	}
	if got := w.Header().Get("Content-Type"); got != "application/problem+json" {
		t.Errorf("Content-Type of a refusal: got %q", got)
	}
	retry := w.Code == http.StatusTooManyRequests || w.Code == http.StatusServiceUnavailable
	if got := w.Header().Get("Retry-After"); (got != "") != retry {
		t.Errorf("Retry-After of a %d: got %q", w.Code, got)
	}
	out.Detail = p.Detail
	return out
}

func (s Suite) recording(t testing.TB, c Case) webhooks.Recording {
	t.Helper()
	rec, err := webhooks.ReadRecording(filepath.Join(s.Dir, c.File), "")
	if err != nil {
		t.Fatal(err)
	}
	return rec
}

// first is a recorded delivery that leads to a job.
func (s Suite) first(t testing.TB) webhooks.Recording {
	t.Helper()
	for _, c := range s.Cases {
		if c.acted() {
			return s.recording(t, c)
		}
	}
	t.Fatal("no case leads to a job")
	return webhooks.Recording{}
}

// subtest turns a file name into the name of a subtest.
func subtest(file string) string {
	return strings.NewReplacer(".", "_", "-", "_").Replace(strings.TrimSuffix(file, ".json"))
}
