package main

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"

	"github.com/digestgate/digestgate/gate/notify"
)

// chat is a receiver of notifications, which takes those with a right signature. A message
// that comes again under its id is one.
type chat struct {
	urlFile, secretFile, caFile, secret string
	mu                                  sync.Mutex
	got                                 []notify.Message
}

func newChat(t *testing.T) *chat {
	t.Helper()
	c := &chat{secret: "the-address-is-a-secret"}
	const key = "a-secret-of-24-characters"
	s := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		mac := hmac.New(sha256.New, []byte(key))
		mac.Write([]byte(r.Header.Get("Webhook-Id") + "." + r.Header.Get("Webhook-Timestamp") + "."))
		mac.Write(body)
		var m notify.Message
		if err != nil || r.URL.Path != "/"+c.secret || r.Header.Get("Webhook-Signature") != "v1,"+base64.StdEncoding.EncodeToString(mac.Sum(nil)) || json.Unmarshal(body, &m) != nil {
			t.Errorf("a request without a right signature: %s %v", r.URL, r.Header)
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		if !slices.ContainsFunc(c.got, func(o notify.Message) bool { return o.ID == m.ID }) {
			c.got = append(c.got, m)
		}
	}))
	t.Cleanup(s.Close)
	dir := t.TempDir()
	write := func(name string, content []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	c.urlFile, c.secretFile = write("url", []byte(s.URL+"/"+c.secret+"\n")), write("secret", []byte(key))
	c.caFile = write("ca.pem", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw}))
	return c
}

// taken are the messages so far.
func (c *chat) taken() []notify.Message {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.got)
}
