package app

import (
	"github.com/digestgate/digestgate/gate/notify"
	"github.com/digestgate/digestgate/gate/notify/cloudevents"
	"github.com/digestgate/digestgate/gate/notify/dingtalk"
	"github.com/digestgate/digestgate/gate/notify/feishu"
	"github.com/digestgate/digestgate/gate/notify/mail"
	"github.com/digestgate/digestgate/gate/notify/slack"
	"github.com/digestgate/digestgate/gate/notify/teams"
	"github.com/digestgate/digestgate/gate/notify/webhook"
	"github.com/digestgate/digestgate/gate/notify/wecom"
)

// Notifiers are all kinds of targets of notifications. A folder of gate/notify that is
// not in the table fails a test.
func Notifiers() []notify.Vendor {
	return []notify.Vendor{
		webhook.Vendor(), cloudevents.Vendor(), slack.Vendor(), dingtalk.Vendor(), feishu.Vendor(), wecom.Vendor(), teams.Vendor(), mail.Vendor(),
	}
}
