package webhooks

import (
	"bytes"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/digestgate/digestgate/gate"
)

// TestNewAuthenticator_secrets: what would never match is refused, what is easy
// to guess is taken and warned about.
func TestNewAuthenticator_secrets(t *testing.T) {
	long := strings.Repeat("x", gate.MinSecret)
	tests := map[string]struct {
		auth, content string
		refused       string // part of the error, "" for none
		warns         bool
	}{
		"basic_good":           {AuthBasic, "user:" + long, "", false},
		"basic_colons":         {AuthBasic, "user:" + long + ":x", "", false},
		"basic_no_user":        {AuthBasic, ":" + long, "user:password", false},
		"basic_no_password":    {AuthBasic, long + ":", "user:password", false},
		"basic_neither":        {AuthBasic, ":", "user:password", false},
		"basic_no_colon":       {AuthBasic, long, "user:password", false},
		"basic_short_password": {AuthBasic, long + ":x", "", true},
		"header_good":          {AuthHeader, long, "", false},
		"header_short":         {AuthHeader, long[1:], "", true},
		"token_short":          {AuthToken, "x", "", true},
		"hmac_short":           {AuthHMAC, "x", "", true},
		"bom":                  {AuthHeader, "\xef\xbb\xbf" + long, "", false},
		"bom_alone":            {AuthHeader, "\xef\xbb\xbf", "empty", false},
		"utf16":                {AuthHMAC, "\xff\xfex\x00y\x00", "UTF-16", false},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			c := Config{Auth: test.auth, SecretFiles: []string{file(t, test.content)}}
			if test.auth == AuthHMAC {
				c.Header = "X-Signature"
			}
			var log bytes.Buffer
			_, err := NewAuthenticator(c, time.Now, slog.New(slog.NewTextHandler(&log, nil)))
			if (err != nil) != (test.refused != "") || err != nil && (!errors.Is(err, gate.ErrInvalid) || !strings.Contains(err.Error(), test.refused)) {
				t.Fatalf("got %v, want %q", err, test.refused)
			}
			if validated := c.Validate(); (validated != nil) != (err != nil) {
				t.Errorf("Validate: got %v, but NewAuthenticator %v", validated, err)
			}
			if warned := strings.Contains(log.String(), "short"); warned != test.warns {
				t.Errorf("warned: %t, want %t: %s", warned, test.warns, log.String())
			}
		})
	}
	c := Config{Auth: AuthHeader, SecretFiles: []string{file(t, "\xef\xbb\xbf"+long)}}
	a, err := NewAuthenticator(c, time.Now, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	r := request(t, "/")
	r.Header.Set("Authorization", long)
	if err := a.Check(r, "", nil); err != nil {
		t.Errorf("a secret whose file has a byte order mark: %v", err)
	}
}
