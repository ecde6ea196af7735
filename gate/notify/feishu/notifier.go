// Package feishu sends messages to a custom bot of a Feishu or Lark group
// (https://open.feishu.cn/document/client-docs/bot-v3/add-custom-bot).
package feishu

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"net/url"
	"strconv"
	"time"

	"github.com/digestgate/digestgate/gate/notify"
	"github.com/digestgate/digestgate/gate/notify/post"
	"github.com/digestgate/digestgate/gate/notify/text"
)

const (
	// limit: a request has at most 20 KB, and JSON escapes some.
	limit = 12_000
	// every: a bot sends 100 messages a minute and 5 a second.
	every = time.Second
)

// Vendor is the kind of target.
func Vendor() notify.Vendor {
	k := post.Kind{
		HTTPS: true, Body: body, Code: code,
		Slow: map[int64]time.Duration{9499: time.Minute, 11232: time.Minute}, // too many requests
	}
	return notify.Vendor{Type: "feishu", Markup: text.Feishu, Template: notify.ListTemplate, Limit: limit, Every: every, TakesSecret: true, Open: k.Open}
}

type tagged struct {
	Tag     string `json:"tag"`
	Content string `json:"content"`
}

type header struct {
	Title    tagged `json:"title"`
	Template string `json:"template"` // the colour
}

type card struct {
	Header   header   `json:"header"`
	Elements []tagged `json:"elements"`
}

func body(l notify.Letter, secret []byte, _ *url.URL) (any, error) {
	m := struct {
		Timestamp string `json:"timestamp,omitempty"`
		Sign      string `json:"sign,omitempty"`
		MsgType   string `json:"msg_type"`
		Card      card   `json:"card"`
	}{MsgType: "interactive", Card: card{header{tagged{"plain_text", l.Title}, "blue"}, []tagged{{"markdown", l.Text}}}}
	if l.Bad {
		m.Card.Header.Template = "red"
	}
	if len(secret) > 0 {
		m.Timestamp = strconv.FormatInt(l.At.Unix(), 10)
		m.Sign = sign(m.Timestamp, secret)
	}
	return m, nil
}

// sign is the HMAC-SHA256 of nothing under the time in seconds, a line feed and the
// secret, in base64: the text to sign is the key.
func sign(at string, secret []byte) string {
	mac := hmac.New(sha256.New, append([]byte(at+"\n"), secret...))
	return base64.StdEncoding.EncodeToString(mac.Sum(nil))
}

// code is code, StatusCode in what former versions of the bot answer: HTTP's status is 200
// also when it refuses.
func code(body []byte) (int64, bool) {
	var v struct {
		Code   *int64 `json:"code"`
		Former *int64 `json:"StatusCode"`
	}
	switch {
	case json.Unmarshal(body, &v) != nil:
		return 0, false
	case v.Code != nil:
		return *v.Code, true
	case v.Former != nil:
		return *v.Former, true
	}
	return 0, false
}
