package feed_test

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/scanner/advisory/feed"
)

var clock = time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC)

// site serves files and counts bodies.
type site struct {
	files  map[string][]byte
	bodies int
	answer func(w http.ResponseWriter, r *http.Request) bool
}

func (s *site) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if s.answer != nil && s.answer(w, r) {
		return
	}
	b, ok := s.files[r.URL.Path]
	if !ok {
		http.NotFound(w, r)
		return
	}
	tag := fmt.Sprintf(`"%x"`, sha256.Sum256(b))
	w.Header().Set("ETag", tag)
	w.Header().Set("Last-Modified", "Mon, 25 May 2026 10:00:00 GMT")
	if r.Header.Get("If-None-Match") == tag {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	s.bodies++
	_, _ = w.Write(b)
}

func start(t *testing.T, files map[string][]byte) (*site, *feed.Fetcher, string) {
	t.Helper()
	s := &site{files: files}
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	return s, &feed.Fetcher{Client: server.Client(), Dir: filepath.Join(t.TempDir(), "feed"), Now: func() time.Time { return clock }}, server.URL
}

func sum(b []byte) string { return fmt.Sprintf("%x", sha256.Sum256(b)) }

// TestUnchangedIsNotDownloadedAgain: a feed is asked for conditionally, and one whose
// kept bytes are damaged is downloaded again.
func TestUnchangedIsNotDownloadedAgain(t *testing.T) {
	s, f, url := start(t, map[string][]byte{"/osv/all.json": []byte(`[1]`)})
	first, changed, err := f.Fetch(t.Context(), feed.Feed{URL: url + "/osv/all.json?key=secret"})
	if err != nil || !changed || !strings.HasSuffix(first.Path, "-all.json") || first.Bytes != 3 || first.ModifiedAt.Day() != 25 {
		t.Fatalf("got %+v, %v, %v", first, changed, err)
	}
	again, changed, err := f.Fetch(t.Context(), feed.Feed{URL: url + "/osv/all.json?key=secret"})
	if err != nil || changed || again.Sum != first.Sum || s.bodies != 1 {
		t.Errorf("unchanged: got %+v, %v, %v, %d bodies", again, changed, err, s.bodies)
	}
	if err := os.WriteFile(first.Path, []byte(`[2]`), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, _, err := f.Fetch(t.Context(), feed.Feed{URL: url + "/osv/all.json?key=secret"}); err != nil || s.bodies != 2 {
		t.Errorf("damaged: got %v, %d bodies", err, s.bodies)
	}
	s.files["/osv/all.json"] = []byte(`[1,2]`)
	newer, changed, err := f.Fetch(t.Context(), feed.Feed{URL: url + "/osv/all.json?key=secret"})
	if err != nil || !changed || newer.Bytes != 5 {
		t.Errorf("changed: got %+v, %v, %v", newer, changed, err)
	}
	if entries, _ := os.ReadDir(f.Dir); len(entries) != 2 {
		t.Errorf("%d files are kept, want the newest and its state", len(entries))
	}
	if have, err := f.Have(feed.Feed{}); err != nil || have.Sum != newer.Sum {
		t.Errorf("offline: got %+v, %v", have, err)
	}
}

// TestRefused: what is not what was asked for leaves the file of before.
func TestRefused(t *testing.T) {
	good := []byte(`{"id":"X"}`)
	s, f, url := start(t, map[string][]byte{"/x.json": good, "/x.json.sha256": []byte(sum(good) + "  x.json\n"), "/bad.sha256": []byte("<html>")})
	kept, _, err := f.Fetch(t.Context(), feed.Feed{URL: url + "/x.json", SHA256: url + "/x.json.sha256"})
	if err != nil {
		t.Fatal(err)
	}
	one := sum([]byte("other"))
	for name, c := range map[string]struct {
		feed   feed.Feed
		answer func(w http.ResponseWriter, r *http.Request) bool
		most   int64
		want   error
		text   string
	}{
		"checksum":     {feed: feed.Feed{URL: url + "/x.json", SHA256: one}, want: gate.ErrIntegrity, text: one},
		"no_checksum":  {feed: feed.Feed{URL: url + "/x.json", SHA256: url + "/bad.sha256"}, want: gate.ErrInvalid, text: "does not begin with a SHA-256"},
		"away":         {feed: feed.Feed{URL: url + "/gone.json"}, want: gate.ErrNotFound, text: "answered 404"},
		"no_access":    {feed: feed.Feed{URL: url + "/n.json"}, want: gate.ErrRegistryAuth, answer: status(http.StatusForbidden, nil)},
		"server_error": {feed: feed.Feed{URL: url + "/n.json"}, want: gate.ErrRegistryUnavailable, answer: status(500, nil)},
		"moved_away":   {feed: feed.Feed{URL: url + "/n.json"}, want: gate.ErrRegistryUnavailable, answer: status(302, nil)},
		"empty":        {feed: feed.Feed{URL: url + "/n.json"}, want: gate.ErrInvalid, text: "it is empty", answer: status(200, nil)},
		"too_large":    {feed: feed.Feed{URL: url + "/y.json"}, want: gate.ErrTooLarge, answer: status(200, make([]byte, 100)), most: 50},
		"truncated": {feed: feed.Feed{URL: url + "/y.json"}, want: gate.ErrRegistryUnavailable, answer: func(w http.ResponseWriter, _ *http.Request) bool {
			w.Header().Set("Content-Length", "100")
			_, _ = w.Write([]byte("{"))
			return true
		}},
		"too_large_unsaid": {feed: feed.Feed{URL: url + "/y.json"}, want: gate.ErrTooLarge, most: 50, answer: func(w http.ResponseWriter, _ *http.Request) bool {
			for range 20 {
				_, _ = w.Write(make([]byte, 10))
				_ = http.NewResponseController(w).Flush()
			}
			return true
		}},
	} {
		s.answer, f.Most = c.answer, c.most
		_, _, err := f.Fetch(t.Context(), c.feed)
		if !errors.Is(err, c.want) || !strings.Contains(err.Error(), c.text) {
			t.Errorf("%s: got %v, want %v with %q", name, err, c.want, c.text)
		}
		if have, err := f.Have(feed.Feed{}); err != nil || have.Sum != kept.Sum {
			t.Errorf("%s: the file of before: %+v, %v", name, have, err)
		}
	}
	s.answer, f.Most = nil, 0
	f.Free = func(string) (int64, bool) { return 1 << 20, true }
	if _, _, err := f.Fetch(t.Context(), feed.Feed{URL: url + "/bad.sha256"}); !errors.Is(err, gate.ErrResource) {
		t.Errorf("no room: got %v", err)
	}
}

func status(code int, body []byte) func(w http.ResponseWriter, r *http.Request) bool {
	return func(w http.ResponseWriter, _ *http.Request) bool {
		w.WriteHeader(code)
		_, _ = w.Write(body)
		return true
	}
}

// TestPause: a server that asks to wait is believed, within bounds.
func TestPause(t *testing.T) {
	s, f, url := start(t, nil)
	for header, want := range map[string]time.Duration{"120": 2 * time.Minute, "999999999": 24 * time.Hour, "-1": 0, "Mon, 01 Jun 2026 13:00:00 GMT": time.Hour, "x": 0} {
		s.answer = func(w http.ResponseWriter, _ *http.Request) bool {
			w.Header().Set("Retry-After", header)
			w.WriteHeader(http.StatusTooManyRequests)
			return true
		}
		_, _, err := f.Fetch(t.Context(), feed.Feed{URL: url + "/x.json"})
		if after, _ := gate.RetryAfter(err); after != want || !errors.Is(err, gate.ErrRegistryUnavailable) {
			t.Errorf("Retry-After %q: got %v (%v), want %v", header, after, err, want)
		}
	}
}

// TestCredentials: they go to the host of the feed, and the password file is read at each
// use.
func TestCredentials(t *testing.T) {
	s, f, url := start(t, map[string][]byte{"/x.json": []byte("{}")})
	other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "" {
			t.Error("another host was sent the credentials")
		}
		fmt.Fprint(w, sum([]byte("{}")))
	}))
	t.Cleanup(other.Close)
	password := filepath.Join(t.TempDir(), "password")
	if err := os.WriteFile(password, []byte("geheim\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	s.answer = func(w http.ResponseWriter, r *http.Request) bool {
		if user, pass, _ := r.BasicAuth(); user != "reader" || pass != "geheim" {
			w.WriteHeader(http.StatusUnauthorized)
			return true
		}
		return false
	}
	in := feed.Feed{URL: url + "/x.json", SHA256: other.URL + "/sum", Username: "reader", PasswordFile: password}
	if _, _, err := f.Fetch(t.Context(), in); err != nil {
		t.Error(err)
	}
	in.Username = ""
	if _, _, err := f.Fetch(t.Context(), feed.Feed{URL: url + "/x.json"}); !errors.Is(err, gate.ErrRegistryAuth) {
		t.Errorf("without credentials: got %v", err)
	}
	if err := os.Remove(password); err != nil {
		t.Fatal(err)
	}
	if _, _, err := f.Fetch(t.Context(), feed.Feed{URL: url + "/x.json", Username: "reader", PasswordFile: password}); !errors.Is(err, gate.ErrInvalid) {
		t.Errorf("without the file: got %v", err)
	}
}

func repomd(href, kind, sum string) []byte {
	return fmt.Appendf(nil, `<?xml version="1.0"?><repomd xmlns="http://linux.duke.edu/metadata/repo">
<data type="primary"><checksum type="sha256">00</checksum><location href="repodata/primary.xml.gz"/></data>
<data type="updateinfo"><checksum type=%q>%s</checksum><location href=%q/><size>200</size></data></repomd>`, kind, sum, href)
}

// TestRepository: of an RPM repository the updateinfo that repomd.xml names is
// downloaded, when it has changed and with its checksum.
func TestRepository(t *testing.T) {
	var zipped bytes.Buffer
	w := gzip.NewWriter(&zipped)
	_, _ = w.Write([]byte("<updates/>"))
	_ = w.Close()
	const at = "/hce/2.0/updates/x86_64/repodata/repomd.xml"
	s, f, url := start(t, map[string][]byte{
		at: repomd("repodata/abc-updateinfo.xml.gz", "sha256", sum(zipped.Bytes())),
		"/hce/2.0/updates/x86_64/repodata/abc-updateinfo.xml.gz": zipped.Bytes(),
	})
	file, changed, err := f.Fetch(t.Context(), feed.Feed{URL: url + at})
	if err != nil || !changed || !strings.HasSuffix(file.Path, "-abc-updateinfo.xml.gz") {
		t.Fatalf("got %+v, %v, %v", file, changed, err)
	}
	if _, changed, err := f.Fetch(t.Context(), feed.Feed{URL: url + at}); err != nil || changed || s.bodies != 3 {
		t.Errorf("again: %v, %v, %d bodies, want repomd.xml twice and one updateinfo", changed, err, s.bodies)
	}
	for name, text := range map[string][]byte{
		"md5":           repomd("repodata/abc-updateinfo.xml.gz", "md5", strings.Repeat("0", 32)),
		"other_sum":     repomd("repodata/abc-updateinfo.xml.gz", "sha256", strings.Repeat("0", 64)),
		"other_host":    repomd("https://evil.example.com/x.xml", "sha256", sum(zipped.Bytes())),
		"above":         repomd("../../../x.xml", "sha256", sum(zipped.Bytes())),
		"absolute":      repomd("/x.xml", "sha256", sum(zipped.Bytes())),
		"none":          []byte(`<repomd/>`),
		"not_xml":       []byte(`<repomd`),
		"entity":        []byte(`<!DOCTYPE r [<!ENTITY x "y">]><repomd><data type="&x;"/></repomd>`),
		"external":      []byte(`<!DOCTYPE r [<!ENTITY x SYSTEM "file:///etc/passwd">]><repomd>&x;</repomd>`),
		"many_elements": []byte("<repomd>" + strings.Repeat("<a/>", 5000) + "</repomd>"),
	} {
		s.files[at] = text
		if _, _, err := f.Fetch(t.Context(), feed.Feed{URL: url + at}); !errors.Is(err, gate.ErrInvalid) && !errors.Is(err, gate.ErrIntegrity) {
			t.Errorf("%s: got %v", name, err)
		}
		if have, err := f.Have(feed.Feed{}); err != nil || have.Sum != file.Sum {
			t.Errorf("%s: the file of before is gone: %v", name, err)
		}
	}
}
