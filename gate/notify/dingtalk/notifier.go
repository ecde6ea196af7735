// Package dingtalk sends messages to a custom robot of a DingTalk group
// (https://open.dingtalk.com/document/orgapp/custom-robot-access).
package dingtalk

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"net/url"
	"strconv"
	"time"

	"github.com/digestgate/digestgate/gate/notify"
	"github.com/digestgate/digestgate/gate/notify/post"
	"github.com/digestgate/digestgate/gate/notify/text"
)

const (
	// limit: a message has at most 20,000 bytes, and JSON escapes some.
	limit = 12_000
	// every: a robot sends 20 messages a minute; above, it is blocked for ten minutes.
	every   = 3 * time.Second
	blocked = 10 * time.Minute
)

// Vendor is the kind of target.
func Vendor() notify.Vendor {
	k := post.Kind{
		HTTPS: true, Body: body, Code: post.ErrCode,
		Slow: map[int64]time.Duration{130101: blocked, 130102: blocked, 410100: blocked, 90018: blocked}, // 发送速度太快
	}
	return notify.Vendor{Type: "dingtalk", Markup: text.Markdown, Template: notify.ListTemplate, Limit: limit, Every: every, TakesSecret: true, Open: k.Open}
}

type markdown struct {
	Title string `json:"title"`
	Text  string `json:"text"`
}

type mention struct {
	IsAtAll bool `json:"isAtAll"`
}

func body(l notify.Letter, secret []byte, target *url.URL) (any, error) {
	if len(secret) > 0 {
		at := strconv.FormatInt(l.At.UnixMilli(), 10)
		q := target.Query()
		q.Set("timestamp", at)
		q.Set("sign", sign(at, secret))
		target.RawQuery = q.Encode()
	}
	return struct {
		MsgType  string   `json:"msgtype"`
		Markdown markdown `json:"markdown"`
		At       mention  `json:"at"`
	}{"markdown", markdown{l.Title, l.Text}, mention{}}, nil
}

// sign is the HMAC-SHA256 of the time in milliseconds, a line feed and the secret, under
// the secret, in base64.
func sign(at string, secret []byte) string {
	mac := hmac.New(sha256.New, secret)
	mac.Write([]byte(at + "\n"))
	mac.Write(secret)
	return base64.StdEncoding.EncodeToString(mac.Sum(nil))
}
