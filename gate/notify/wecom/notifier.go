// Package wecom sends messages to a group robot of WeCom
// (https://developer.work.weixin.qq.com/document/path/91770).
package wecom

import (
	"net/url"
	"time"

	"github.com/digestgate/digestgate/gate/notify"
	"github.com/digestgate/digestgate/gate/notify/post"
	"github.com/digestgate/digestgate/gate/notify/text"
)

const (
	// limit: a text in Markdown has at most 4,096 bytes in UTF-8.
	limit = 4096
	// every: a robot sends 20 messages a minute.
	every = 3 * time.Second
)

// Vendor is the kind of target.
func Vendor() notify.Vendor {
	k := post.Kind{
		HTTPS: true, Body: body, Code: post.ErrCode,
		Slow: map[int64]time.Duration{45009: time.Minute}, Final: []int64{40058}, // too often; invalid content
	}
	return notify.Vendor{Type: "wecom", Markup: text.Markdown, Template: notify.ListTemplate, Limit: limit, Every: every, Open: k.Open}
}

type markdown struct {
	Content string `json:"content"`
}

func body(l notify.Letter, _ []byte, _ *url.URL) (any, error) {
	return struct {
		MsgType  string   `json:"msgtype"`
		Markdown markdown `json:"markdown"`
	}{"markdown", markdown{l.Text}}, nil
}
