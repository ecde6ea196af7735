package cabundle

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"go.uber.org/goleak"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/gate/certificate"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// made is an authority of the gate.
func made(t *testing.T) []byte {
	t.Helper()
	both, err := certificate.NewAuthority(time.Now)
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(both)
	return pem.EncodeToMemory(block)
}

// foreign is an authority that an operator has added; life from now.
func foreign(t *testing.T, name string, life time.Duration) []byte {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, NotBefore: time.Now().Add(-48 * time.Hour), NotAfter: time.Now().Add(life), IsCA: true}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

type fakeClock struct{ at time.Time }

func (c *fakeClock) now() time.Time { return c.at }

func keeper(t *testing.T, c Config, name string) (*Keeper, *fakeClock, *prometheus.Registry) {
	t.Helper()
	clock, reg := &fakeClock{time.Now()}, prometheus.NewPedanticRegistry()
	k, err := New(Options{Config: c, Name: name, Now: clock.now, Registerer: reg})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(k.client.close)
	return k, clock, reg
}

func look(t *testing.T, k *Keeper) {
	t.Helper()
	if err := k.Look(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// has reports which authorities every webhook believes, in the order asked.
func has(t *testing.T, s *apiServer, list ...[]byte) (text string) {
	t.Helper()
	for _, a := range list {
		if trusts(s.conf(t), a) {
			text += "y"
		} else {
			text += "n"
		}
	}
	return text
}

func TestKeeper(t *testing.T) {
	one, two, company := made(t), made(t), foreign(t, "company", time.Hour)
	s, c := newAPIServer(t, "gate", nil, company, []byte("garbage"))
	k, clock, _ := keeper(t, c, "gate")
	k.Serving(one)
	look(t, k)
	if got := has(t, s, one, company); got != "yy" {
		t.Errorf("after the first look: %s, want the authority in every webhook beside the operator's own", got)
	}
	look(t, k)
	if s.patches != 1 {
		t.Errorf("got %d patches, want 1: a second look changes nothing", s.patches)
	}
	if len(s.managers) != 1 || s.managers[0] != "digestgate" {
		t.Errorf("field manager: got %q", s.managers)
	}
	t.Run("what_is_taken_away_comes_back", func(t *testing.T) {
		s.mu.Lock()
		s.object["webhooks"].([]any)[0].(map[string]any)["clientConfig"].(map[string]any)["caBundle"] = []byte{}
		s.object = normal(t, s.object)
		s.version++
		s.mu.Unlock()
		look(t, k)
		if got := has(t, s, one); got != "y" {
			t.Error("the authority is not in every webhook")
		}
	})
	t.Run("another_process_with_another_authority", func(t *testing.T) {
		other, clock2, _ := keeper(t, c, "gate")
		other.Serving(two)
		look(t, other)
		look(t, k)
		if got := has(t, s, one, two, company); got != "yyy" {
			t.Errorf("got %s, want both authorities", got)
		}
		// Both are in use for days.
		for range 50 {
			clock.at, clock2.at = clock.at.Add(time.Hour), clock2.at.Add(time.Hour)
			look(t, k)
			look(t, other)
		}
		if got := has(t, s, one, two, company); got != "yyy" {
			t.Errorf("after 50 hours: got %s, want both authorities and that of the operator", got)
		}
		// Only the second one is.
		for range 26 {
			clock2.at = clock2.at.Add(time.Hour)
			look(t, other)
			if clock2.at.Sub(clock.at) < 23*time.Hour && has(t, s, one) != "y" {
				t.Fatalf("removed %s after its last use", clock2.at.Sub(clock.at))
			}
		}
		if got := has(t, s, one, two, company); got != "nyy" {
			t.Errorf("a day after its last use: got %s, want the old authority removed and nothing else", got)
		}
	})
	t.Run("writes_are_rare", func(t *testing.T) {
		before := s.patches
		for range 60 {
			look(t, k)
		}
		if s.patches > before+2 {
			t.Errorf("60 looks made %d patches", s.patches-before)
		}
	})
}

// TestKeeper_trusted: a certificate serves only when its authority has been in the object for
// the time that API servers need to notice.
func TestKeeper_trusted(t *testing.T) {
	one, two := made(t), made(t)
	s, c := newAPIServer(t, "gate", one)
	k, clock, reg := keeper(t, c, "gate")
	k.Serving(one)
	if k.Trusted(one) {
		t.Error("trusted before anything was looked at")
	}
	look(t, k)
	if k.Trusted(two) {
		t.Error("a new authority is trusted before it is in the object")
	}
	look(t, k)
	if got := has(t, s, one, two); got != "yy" {
		t.Errorf("got %s, want the announced authority beside the one that serves", got)
	}
	if k.Trusted(two) {
		t.Error("trusted at once: an API server that lags would refuse the certificate")
	}
	clock.at = clock.at.Add(settle)
	if !k.Trusted(two) {
		t.Errorf("not trusted after %s", settle)
	}
	k.Serving(two)
	look(t, k)
	if got := testutil.ToFloat64(k.current); got != 1 {
		t.Errorf("digestgate_webhook_configuration_current: got %v, want 1", got)
	}
	if n, err := testutil.GatherAndCount(reg); n != 1 || err != nil {
		t.Errorf("metrics: got %d, %v", n, err)
	}
}

// TestKeeper_conflict: another process that writes in between loses nothing.
func TestKeeper_conflict(t *testing.T) {
	one, two := made(t), made(t)
	s, c := newAPIServer(t, "gate", nil)
	k, _, _ := keeper(t, c, "gate")
	k.Serving(one)
	times := 0
	s.before = func(s *apiServer) {
		if times++; times == 1 {
			s.object["webhooks"].([]any)[0].(map[string]any)["clientConfig"].(map[string]any)["caBundle"] = two
			s.object = normal(t, s.object)
			s.version++
		}
	}
	look(t, k)
	if got := has(t, s, one, two); got != "yy" || times != 2 {
		t.Errorf("got %s after %d patches, want both authorities after 2", got, times)
	}
	s.before = func(s *apiServer) { s.version++ }
	k.Serving(made(t))
	if err := k.Look(t.Context()); !errors.Is(err, gate.ErrBusy) {
		t.Errorf("with a writer that never rests: got %v, want ErrBusy", err)
	}
}

func TestKeeper_errors(t *testing.T) {
	s, c := newAPIServer(t, "gate", nil)
	k, _, _ := keeper(t, c, "gate")
	k.Serving(made(t))
	look(t, k)
	s.token = "second"
	if err := k.Look(t.Context()); err == nil || !strings.Contains(err.Error(), "401") || k.Problem() == nil {
		t.Errorf("an old token: got %v, want the answer of the API server", err)
	}
	if got := testutil.ToFloat64(k.current); got != 0 {
		t.Errorf("the gauge is %v when nothing can be seen, want 0", got)
	}
	put(t, c.TokenFile, "second")
	look(t, k)
	if k.Problem() != nil {
		t.Error("the problem stays after a look that succeeded")
	}
	s.forbids = true
	if err := k.Look(t.Context()); err == nil || !strings.Contains(err.Error(), "403") {
		t.Errorf("without rights: got %v", err)
	}
	s.forbids, s.name = false, "other"
	if err := k.Await(t.Context(), made(t)); !errors.Is(err, gate.ErrNotFound) {
		t.Errorf("no such object: got %v, want ErrNotFound at once", err)
	}
	s.name = "gate"
	put(t, c.CAFile, string(made(t)))
	ctx, cancel := context.WithTimeoutCause(t.Context(), 50*time.Millisecond, errors.New("long enough"))
	defer cancel()
	if err := k.Await(ctx, made(t)); err == nil || !strings.Contains(err.Error(), "certificate") || !strings.Contains(err.Error(), "long enough") {
		t.Errorf("an API server with another certificate: got %v", err)
	}
}

// TestKeeper_run mends without being asked.
func TestKeeper_run(t *testing.T) {
	one := made(t)
	s, c := newAPIServer(t, "gate", nil)
	k, _, _ := keeper(t, c, "gate")
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { k.Run(ctx); close(done) }()
	k.Serving(one)
	for has(t, s, one) != "y" {
		time.Sleep(5 * time.Millisecond)
	}
	cancel()
	<-done
}

func TestMerged(t *testing.T) {
	one, expired := made(t), foreign(t, certificate.AuthorityName, -time.Hour)
	now := time.Now()
	t.Run("an_expired_authority_goes", func(t *testing.T) {
		got, _ := merged([][]byte{expired}, stamps{}, [][]byte{one}, now)
		if !bytes.Equal(got, one) {
			t.Errorf("got %d certificates", len(parse(got)))
		}
	})
	t.Run("a_stamp_of_the_future_is_not_believed", func(t *testing.T) {
		other := made(t)
		far := stamps{parse(other)[0].mark: now.Add(1000 * time.Hour)}
		_, after := merged([][]byte{other}, far, [][]byte{one}, now)
		if got := after[parse(other)[0].mark]; got.After(now) {
			t.Errorf("stamp: got %s", got)
		}
	})
	t.Run("stamps_that_cannot_be_read", func(t *testing.T) {
		if got := readStamps("{"); len(got) != 0 {
			t.Errorf("got %v", got)
		}
	})
	t.Run("an_object_without_webhooks", func(t *testing.T) {
		if ops := changes(configuration{}, [][]byte{one}, now); len(ops) != 0 {
			t.Errorf("got %v", ops)
		}
	})
}

func TestConfig(t *testing.T) {
	if err := Default().Validate(); err != nil {
		t.Error(err)
	}
	for _, server := range []string{"http://10.0.0.1", "10.0.0.1:443", "https://u:p@h", "https://h/path"} {
		c := Default()
		c.Server = server
		if err := c.Validate(); !errors.Is(err, gate.ErrInvalid) || !strings.HasPrefix(err.Error(), "server: ") {
			t.Errorf("Validate(%q): got %v, want ErrInvalid", server, err)
		}
	}
	if c := Default(); c.TokenPath() != account+"token" || c.CAPath() != account+"ca.crt" {
		t.Errorf("files: got %q and %q", c.TokenPath(), c.CAPath())
	}
	t.Setenv("KUBERNETES_SERVICE_HOST", "fd00::1")
	t.Setenv("KUBERNETES_SERVICE_PORT", "443")
	if got, err := Default().Address(); err != nil || got != "[fd00::1]:443" {
		t.Errorf("address: got %q, %v", got, err)
	}
	t.Setenv("KUBERNETES_SERVICE_HOST", "")
	if _, err := New(Options{Config: Default(), Name: "x"}); !errors.Is(err, gate.ErrInvalid) {
		t.Errorf("outside of a Pod: got %v, want ErrInvalid", err)
	}
}
