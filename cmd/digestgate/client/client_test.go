package client

import (
	"crypto/tls"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/digestgate/digestgate/cmd/digestgate/connect"
	"github.com/digestgate/digestgate/cmd/digestgate/programtest"
)

func TestClientToken(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	one, bom, empty, two := file("one", "first\n"), file("bom", "\ufefffirst\r\n"), file("empty", "\n"), file("two", "first\nsecond\n")
	utf16 := file("utf16", "\xff\xfef\x00i\x00")
	for name, c := range map[string]struct {
		flag, value, file string
		want, problem     string
	}{
		"value":           {value: "first", want: "first"},
		"file":            {file: one, want: "first"},
		"both_equal":      {value: "first", file: one, want: "first"},
		"both":            {value: "second", file: one, problem: "DIGESTGATE_TOKEN and DIGESTGATE_TOKEN_FILE"},
		"flag_wins":       {flag: one, value: "second", file: two, want: "first"},
		"byte_order_mark": {file: bom, want: "first"},
		"empty":           {file: empty, problem: "is empty"},
		"two_lines":       {flag: two, problem: "several lines"},
		"utf_16":          {flag: utf16, problem: "UTF-16"},
		"not_there":       {file: filepath.Join(dir, "no"), problem: "that DIGESTGATE_TOKEN_FILE names"},
		"none":            {},
	} {
		t.Run(name, func(t *testing.T) {
			f := clientFlags{server: "http://127.0.0.1:1", tokenFile: c.flag}
			got, err := f.client([]string{"DIGESTGATE_TOKEN=" + c.value, "DIGESTGATE_TOKEN_FILE=" + c.file})
			switch {
			case c.problem != "" && (err == nil || !strings.Contains(err.Error(), c.problem)):
				t.Errorf("client: got %v, want %q", err, c.problem)
			case c.problem == "" && err != nil:
				t.Error(err)
			case c.problem == "" && got.Token != c.want:
				t.Errorf("token: got %q, want %q", got.Token, c.want)
			}
		})
	}
}

// Each way in which a server cannot be called names the flag or the file to mend.
func TestClientSaysWhatToDoAboutCertificates(t *testing.T) {
	t.Parallel()
	now := time.Now()
	valid, ca := programtest.Certificate(t, now.Add(-time.Hour), now.Add(time.Hour), "localhost")
	_, otherCA := programtest.Certificate(t, now.Add(-time.Hour), now.Add(time.Hour), "localhost")
	expired, expiredCA := programtest.Certificate(t, now.Add(-2*time.Hour), now.Add(-time.Hour), "localhost")
	early, earlyCA := programtest.Certificate(t, now.Add(time.Hour), now.Add(2*time.Hour), "localhost")
	server := func(c *tls.Certificate) (port string) {
		s := httptest.NewUnstartedServer(http.NotFoundHandler())
		s.Config.ErrorLog = log.New(io.Discard, "", 0)
		if c == nil {
			s.Start()
		} else {
			s.TLS = &tls.Config{Certificates: []tls.Certificate{*c}}
			s.StartTLS()
		}
		t.Cleanup(s.Close)
		_, port, err := net.SplitHostPort(s.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		return port
	}
	secure, plain := server(&valid), server(nil)
	for name, c := range map[string]struct{ url, ca, api, admission string }{
		"unknown_authority": {"https://localhost:" + secure, "", "--ca-file FILE", "--ca-file FILE"},
		"other_authority":   {"https://localhost:" + secure, otherCA, "does not hold the authority", "does not hold the authority"},
		"other_name":        {"https://127.0.0.1:" + secure, ca, "its certificate is for localhost: give", "that the server's admission.tls.certFile names"},
		"expired":           {"https://localhost:" + server(&expired), expiredCA, "http.tls.certFile", "admission.tls.certFile"},
		"not_yet":           {"https://localhost:" + server(&early), earlyCA, "correct the clock", "correct the clock"},
		"plain":             {"https://localhost:" + plain, ca, "write http:// instead of https://", "write http:// instead of https://"},
		"tls":               {"http://localhost:" + secure, "", "write https:// instead of http://", "write https:// instead of http://"},
		"nobody":            {"http://localhost:1", "", "its http listener?", "its admission listener?"},
	} {
		t.Run(name, func(t *testing.T) {
			f := clientFlags{server: c.url, caFile: c.ca}
			client, err := f.client(nil)
			if err != nil {
				t.Fatal(err)
			}
			if err := client.Call(t.Context(), http.MethodGet, "/images", nil, nil); err == nil || !strings.Contains(err.Error(), c.api) {
				t.Errorf("call: got %v, want %q", err, c.api)
			}
			ask, err := connect.Reviewer(c.url, c.ca)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := ask(t.Context(), nil); err == nil || !strings.Contains(err.Error(), c.admission) {
				t.Errorf("review: got %v, want %q", err, c.admission)
			}
		})
	}
}
