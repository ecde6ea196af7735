package webhooks

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/digestgate/digestgate/gate"
)

// untouched fails the test when it is read.
type untouched struct{ t *testing.T }

func (u untouched) Read([]byte) (int, error) {
	u.t.Error("the body was read")
	return 0, io.EOF
}

// TestHandler_authenticatesBeforeTheBody: a sender that cannot prove itself by
// its headers is refused without a byte of its body.
func TestHandler_authenticatesBeforeTheBody(t *testing.T) {
	secret := []string{file(t, "user:a secret of some length")}
	two := func(r *http.Request) {
		r.Header.Add("Authorization", "user:a secret of some length")
		r.Header.Add("Authorization", "user:a secret of some length")
	}
	tests := map[string]struct {
		config Config
		change func(*http.Request)
	}{
		"header_missing": {Config{Auth: AuthHeader, SecretFiles: secret}, func(*http.Request) {}},
		"header_wrong":   {Config{Auth: AuthHeader, SecretFiles: secret}, func(r *http.Request) { r.Header.Set("Authorization", "x") }},
		"header_two":     {Config{Auth: AuthHeader, SecretFiles: secret}, two},
		"basic_missing":  {Config{Auth: AuthBasic, SecretFiles: secret}, func(*http.Request) {}},
		"basic_wrong":    {Config{Auth: AuthBasic, SecretFiles: secret}, func(r *http.Request) { r.SetBasicAuth("user", "x") }},
		"token_missing":  {Config{Auth: AuthToken, SecretFiles: secret}, func(*http.Request) {}},
		"token_wrong":    {Config{Auth: AuthToken, SecretFiles: secret}, func(r *http.Request) { r.URL.RawQuery = "token=x" }},
		"token_right_two": {Config{Auth: AuthToken, SecretFiles: secret}, func(r *http.Request) {
			r.URL.RawQuery = url.Values{"token": {"user:a secret of some length"}}.Encode()
			two(r)
		}},
		"none_two":       {Config{Auth: AuthNone}, two},
		"hmac_missing":   {Config{Auth: AuthHMAC, Header: "X-Signature", SecretFiles: secret}, func(*http.Request) {}},
		"hmac_no_digits": {Config{Auth: AuthHMAC, Header: "X-Signature", SecretFiles: secret}, func(r *http.Request) { r.Header.Set("X-Signature", "sha256=xyz") }},
		"hmac_too_short": {Config{Auth: AuthHMAC, Header: "X-Signature", SecretFiles: secret}, func(r *http.Request) { r.Header.Set("X-Signature", "sha256=00") }},
		"hmac_two": {Config{Auth: AuthHMAC, Header: "X-Signature", SecretFiles: secret}, func(r *http.Request) {
			two(r)
			r.Header.Set("X-Signature", "sha256="+strings.Repeat("0", 64))
		}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			h := handler(t, test.config, func(context.Context, string, []gate.Push) ([]gate.PushResult, error) {
				t.Error("the delivery was taken")
				return nil, nil
			}, Options{})
			r := httptest.NewRequest(http.MethodPost, "/webhooks/prod", untouched{t})
			r.ContentLength = 1000
			test.change(r)
			w := httptest.NewRecorder()
			h.ServeHTTP(w, r)
			if w.Code != http.StatusUnauthorized {
				t.Errorf("got %d %s, want 401", w.Code, w.Body)
			}
			if w.Header().Get("Connection") != "close" {
				t.Error("the connection stays open, so that the server would wait for the body")
			}
		})
	}
}
