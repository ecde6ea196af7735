// Package tcr reads the deliveries of triggers of Tencent Cloud's Container
// Registry, Enterprise edition: the body of Harbor 1.x, which harborevents
// reads. The Personal edition has no triggers that send anything.
//
// The console offers pushes and deletes of images and charts. That the events
// of charts are called chartPush, chartPull and chartDelete comes from one
// unofficial source; whatever they are called, they are ignored.
//
// Sources: Tencent Cloud documentation 1051/37254 (also 1141/44369) and
// tencentcloudstack/terraform-provider-tencentcloud
// website/docs/r/tcr_webhook_trigger.html.markdown.
//
// All functions are safe for concurrent use.
package tcr

import (
	"github.com/digestgate/digestgate/webhooks"
	"github.com/digestgate/digestgate/webhooks/harborevents"
)

// Receiver is the receiver of registries of type tcr.
func Receiver() webhooks.Receiver {
	dialect := harborevents.Dialect{Sender: "TCR", Events: harborevents.Version1()}
	for _, name := range []string{"chartPush", "chartPull", "chartDelete"} {
		dialect.Events[name] = harborevents.Ignored("charts are not images")
	}
	return webhooks.Receiver{Type: "tcr", Parse: dialect.Parse}
}
