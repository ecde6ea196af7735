// Package swr reads the deliveries of triggers of Huawei Cloud's Software
// Repository for Container, Enterprise edition. The Basic edition sends
// nothing: its triggers redeploy a workload of CCE or CCI and know no URL.
//
// The Enterprise edition is derived from Harbor 2.x: its API has Harbor's
// policies and jobs, and PUSH_ARTIFACT is the only event that it offers. The
// body itself is printed nowhere that we could read, so Harbor's is expected
// and read by harborevents, but a resource without resource_url is taken too
// and names no host.
//
// Sources: support.huaweicloud.com/intl/en-us/api-swr2/swr_03_0901.html and
// swr_03_0906.html; huaweicloud/terraform-provider-huaweicloud,
// huaweicloud_swr_enterprise_trigger.
//
// All functions are safe for concurrent use.
package swr

import (
	"github.com/digestgate/digestgate/webhooks"
	"github.com/digestgate/digestgate/webhooks/harborevents"
)

// Receiver is the receiver of registries of type swr.
func Receiver() webhooks.Receiver {
	dialect := harborevents.Dialect{Sender: "SWR", Events: harborevents.Version2(), HostOptional: true}
	return webhooks.Receiver{Type: "swr", Parse: dialect.Parse}
}
