// Package webhook sends messages to a receiver of one's own: the message as JSON, or what
// a template makes of it, signed as Standard Webhooks are
// (https://www.standardwebhooks.com), for which there are libraries in many languages.
package webhook

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/gate/notify"
	"github.com/digestgate/digestgate/gate/notify/post"
	"github.com/digestgate/digestgate/gate/notify/text"
)

// Vendor is the kind of target.
func Vendor() notify.Vendor {
	k := post.Kind{Body: body, Header: Sign}
	return notify.Vendor{Type: "webhook", Markup: text.JSON, Limit: text.MaxOutput, TakesSecret: true, Open: k.Open}
}

func body(l notify.Letter, _ []byte, _ *url.URL) (any, error) {
	if !json.Valid([]byte(l.Text)) {
		return nil, fmt.Errorf("the output of the template is not JSON: %w", gate.ErrInvalid)
	}
	return json.RawMessage(l.Text), nil
}

// Sign adds the three headers of Standard Webhooks. The signature is the HMAC-SHA256, in
// base64, of the id, a dot, the time of the try in Unix seconds, a dot and the body.
// Without a secret the id and the time are sent unsigned.
func Sign(h http.Header, l notify.Letter, secret, body []byte) {
	at := strconv.FormatInt(l.At.Unix(), 10)
	h.Set("Webhook-Id", l.ID)
	h.Set("Webhook-Timestamp", at)
	if len(secret) == 0 {
		return
	}
	mac := hmac.New(sha256.New, key(secret))
	mac.Write([]byte(l.ID + "." + at + "."))
	mac.Write(body)
	h.Set("Webhook-Signature", "v1,"+base64.StdEncoding.EncodeToString(mac.Sum(nil)))
}

// key is a secret as its bytes. One that begins with "whsec_" is in base64, as the
// libraries of Standard Webhooks write it.
func key(secret []byte) []byte {
	if coded, ok := strings.CutPrefix(string(secret), "whsec_"); ok {
		if raw, err := base64.StdEncoding.DecodeString(coded); err == nil {
			return raw
		}
	}
	return secret
}
