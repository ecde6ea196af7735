package feed_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/gate/outbound"
	"github.com/digestgate/digestgate/scanner/advisory/feed"
)

func text(client *http.Client, in feed.Feed) *feed.Text {
	return &feed.Text{Feed: in, Client: client, Now: func() time.Time { return clock }, Most: 100}
}

// TestTextIsAskedForAsAFile: what is kept in memory is asked for by the rules of files:
// on a condition, with a checksum, within a bound, and as a whole.
func TestTextIsAskedForAsAFile(t *testing.T) {
	s, f, url := start(t, map[string][]byte{"/a.csv": []byte("one"), "/a.sum": []byte(sum([]byte("one"))), "/big": make([]byte, 101), "/empty": nil})
	in := text(f.Client, feed.Feed{URL: url + "/a.csv"})
	for i, want := range []string{"one", "", "two", "two"} {
		switch i {
		case 2:
			s.files["/a.csv"] = []byte("two")
		case 3:
			in.Forget()
		}
		got, changed, err := in.Read(t.Context())
		if err != nil || string(got) != want || changed != (want != "") {
			t.Errorf("read %d: got %q, changed %t, %v; want %q", i, got, changed, err, want)
		}
	}
	if s.bodies != 3 {
		t.Errorf("%d bodies were sent, want 3", s.bodies)
	}
	checked := text(f.Client, feed.Feed{URL: url + "/a.csv", SHA256: url + "/a.sum"})
	if _, _, err := checked.Read(t.Context()); !errors.Is(err, gate.ErrIntegrity) {
		t.Errorf("another checksum: got %v", err)
	}
	s.files["/a.csv"] = []byte("one")
	for i, want := range []bool{true, false} {
		if _, changed, err := checked.Read(t.Context()); err != nil || changed != want {
			t.Errorf("the checksum, read %d: changed %t, %v", i, changed, err)
		}
	}
	for name, want := range map[string]error{"/big": gate.ErrTooLarge, "/empty": gate.ErrInvalid, "/nobody": gate.ErrNotFound} {
		if _, changed, err := text(f.Client, feed.Feed{URL: url + name}).Read(t.Context()); changed || !errors.Is(err, want) {
			t.Errorf("%s: changed %t, %v, want %v", name, changed, err, want)
		}
	}
	s.answer = func(w http.ResponseWriter, _ *http.Request) bool {
		w.Header().Set("Retry-After", "Mon, 01 Jun 2026 12:30:00 GMT")
		w.WriteHeader(http.StatusServiceUnavailable)
		return true
	}
	_, _, err := in.Read(t.Context())
	if after, _ := gate.RetryAfter(err); after != 30*time.Minute {
		t.Errorf("Retry-After with a date: got %v (%v)", after, err)
	}
}

// TestRedirectsCarryNoCredentials: a feed that moved to another host is followed there
// without them, or not at all.
func TestRedirectsCarryNoCredentials(t *testing.T) {
	other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "" {
			t.Error("another host was sent the credentials")
		}
		_, _ = w.Write([]byte("moved"))
	}))
	t.Cleanup(other.Close)
	first := httptest.NewServer(http.RedirectHandler(other.URL+"/b.csv", http.StatusFound))
	t.Cleanup(first.Close)
	client := outbound.NewClient(outbound.ClientOptions{
		Purpose: outbound.Feed, Hosts: []string{strings.TrimPrefix(first.URL, "http://"), strings.TrimPrefix(other.URL, "http://")}, Timeout: time.Minute,
	})
	if got, _, err := text(client, feed.Feed{URL: first.URL + "/a.csv"}).Read(t.Context()); err != nil || string(got) != "moved" {
		t.Errorf("without credentials: got %q, %v", got, err)
	}
	in := feed.Feed{URL: first.URL + "/a.csv", Username: "reader", PasswordFile: "/dev/null"}
	if _, _, err := text(client, in).Read(t.Context()); err == nil || !strings.Contains(err.Error(), "the credentials are not for that") {
		t.Errorf("with credentials: got %v", err)
	}
}
