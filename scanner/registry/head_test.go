package registry

import (
	"errors"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/scanner/registry/fake"
)

// headRefusals are answers to HEAD that say nothing about GET.
func headRefusals() map[string]fake.Fault {
	faults := map[string]fake.Fault{
		"no_digest":  {Status: 200},
		"login_page": {Status: 302, Header: http.Header{"Location": {"http://198.51.100.1/login"}}},
		"broken":     {Body: []byte{}, Reset: true},
	}
	for _, status := range []int{204, 304, 400, 402, 403, 404, 405, 406, 409, 410, 412, 415, 418, 423, 451, 501} {
		faults[fmt.Sprint(status)] = fake.Fault{Status: status}
	}
	return faults
}

// TestHeadRefused: what a host answers to HEAD only is no answer about a tag; one
// GET tells, and the host is asked by GET from then on.
func TestHeadRefused(t *testing.T) {
	for name, f := range headRefusals() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			clock := newClock()
			r := newRig(t, fake.Options{}, func(_ *Config, o *Options) { o.Now = clock.now })
			want, _ := r.push(t, "1", 10)
			f.Method, f.Path = http.MethodHead, anyManifest
			r.Fail(f)
			heads := func() int { return r.Count(http.MethodHead, "/manifests/") }
			for _, ref := range []string{"1", string(want), "1"} {
				if got, err := r.client.Head(t.Context(), r.loc, ref); err != nil || got != want {
					t.Fatalf("Head(%q): got %q, %v, want %q", ref, got, err, want)
				}
			}
			first := heads()
			if gets := r.Count(http.MethodGet, "/manifests/"); gets != 3 || first > 1 && name != "broken" {
				t.Errorf("%d HEAD and %d GET for three questions, want one HEAD and three GET", first, gets)
			}
			clock.advance(headsFor)
			if got, err := r.client.Head(t.Context(), r.loc, "1"); err != nil || got != want || heads() == first {
				t.Errorf("after %s: got %q, %v, %d HEAD, want another HEAD", headsFor, got, err, heads())
			}
		})
	}
}

// TestHeadAndGetRefused: then the answer to the one GET is the answer, and nothing
// is learnt of the host.
func TestHeadAndGetRefused(t *testing.T) {
	for name, c := range map[string]struct {
		status int
		body   string
		want   error
	}{
		"not_there": {404, `{"errors":[{"code":"MANIFEST_UNKNOWN"}]}`, gate.ErrNotFound},
		"forbidden": {403, `{"errors":[{"code":"DENIED"}]}`, gate.ErrRegistryAuth},
		"policy":    {412, ``, gate.ErrRegistryRefused},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, fake.Options{})
			r.push(t, "1", 10)
			r.Fail(fake.Fault{Path: "/v2/**/manifests/2", Status: c.status, Body: []byte(c.body)})
			for n := 1; n <= 2; n++ {
				_, err := r.client.Head(t.Context(), r.loc, "2")
				if !errors.Is(err, c.want) || r.Count(http.MethodHead, "/2") != n || r.Count(http.MethodGet, "/2") != n {
					t.Errorf("got %v after %d HEAD and %d GET, want %v after %d each", err, r.Count(http.MethodHead, "/2"), r.Count(http.MethodGet, "/2"), c.want, n)
				}
			}
			if _, err := r.client.Head(t.Context(), r.loc, "1"); err != nil || r.Count(http.MethodGet, "/1") != 0 {
				t.Errorf("a tag that is there: %v, %d GET, want none", err, r.Count(http.MethodGet, "/1"))
			}
		})
	}
}

// TestHeadThatIsAnAnswer: 401, 429 and 5xx are about the registry, and cost no GET.
func TestHeadThatIsAnAnswer(t *testing.T) {
	for name, c := range map[string]struct {
		fault fake.Fault
		want  error
	}{
		"401": {fake.Fault{Status: 401, Header: http.Header{"Www-Authenticate": {"Basic"}}}, gate.ErrRegistryAuth},
		"429": {fake.Fault{Status: 429}, gate.ErrRegistryUnavailable},
		"500": {fake.Fault{Status: 500}, gate.ErrRegistryUnavailable},
		"503": {fake.Fault{Status: 503}, gate.ErrRegistryUnavailable},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, fake.Options{})
			r.push(t, "1", 10)
			c.fault.Method, c.fault.Path = http.MethodHead, anyManifest
			r.Fail(c.fault)
			if _, err := r.client.Head(t.Context(), r.loc, "1"); !errors.Is(err, c.want) || r.Count(http.MethodGet, "") != 0 {
				t.Errorf("got %v and %d GET, want %v and none", err, r.Count(http.MethodGet, ""), c.want)
			}
		})
	}
}

// TestHeadThatWorkedOnce: a tag that was pushed between HEAD and GET does not make
// a host one that refuses HEAD.
func TestHeadThatWorkedOnce(t *testing.T) {
	clock := newClock()
	r := newRig(t, fake.Options{}, func(_ *Config, o *Options) { o.Now = clock.now })
	r.push(t, "1", 10)
	head := func() {
		t.Helper()
		if _, err := r.client.Head(t.Context(), r.loc, "1"); err != nil {
			t.Fatal(err)
		}
	}
	head()
	r.Fail(fake.Fault{Method: http.MethodHead, Path: anyManifest, Status: 404})
	head()
	head()
	if n := r.Count(http.MethodHead, ""); n != 3 {
		t.Errorf("%d HEAD, want 3: one of them had worked", n)
	}
	clock.advance(headsFor + time.Second)
	head()
	head()
	if n := r.Count(http.MethodHead, ""); n != 4 {
		t.Errorf("%d HEAD, want 4: none has worked for an hour", n)
	}
}
