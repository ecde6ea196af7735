// Package acr reads the deliveries of Alibaba Cloud Container Registry: those
// of a repository's triggers (Personal and Enterprise Edition), and CloudEvents
// that EventBridge forwards (Enterprise Edition).
//
// A trigger sends pushes only and names no kind of event, no host and no
// instance; which registry it belongs to follows from the path alone.
// EventBridge names the instance and its region, from which the registry's
// public host follows; on the default bus all instances of an account meet, so
// that host is compared. The fields of cr:Artifact:PushCompleted are not
// documented where we could read them: they are taken to be those of
// cr:Artifact:BuildCompleted, a digest is used when there is one, and otherwise
// the tag is looked up.
//
// Sources: alibabacloud.com/help/doc-detail/60949 ("Manage triggers");
// developer.aliyun.com/article/64921;
// help.aliyun.com/zh/eventbridge/user-guide/container-registry-events.
//
// All functions are safe for concurrent use.
package acr

import (
	"strings"
	"time"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/webhooks"
)

// Receiver is the receiver of registries of type acr.
func Receiver() webhooks.Receiver { return webhooks.Receiver{Type: "acr", Parse: parse} }

// message is both formats at once; "specversion" tells them apart.
type message struct {
	// Trigger. pushed_at has no time zone and is not read.
	PushData struct {
		Digest string `json:"digest"`
		Tag    string `json:"tag"`
	} `json:"push_data"`
	Repository struct {
		FullName string `json:"repo_full_name"`
	} `json:"repository"`

	// EventBridge.
	SpecVersion string                      `json:"specversion"`
	ID          string                      `json:"id"`
	Type        string                      `json:"type"`
	Time        webhooks.Display[time.Time] `json:"time"`
	Data        artifact                    `json:"data"`
}

type artifact struct {
	InstanceName string `json:"InstanceName"`
	RegionID     string `json:"RegionId"`
	Namespace    string `json:"RepoNamespaceName"`
	Name         string `json:"RepoName"`
	Tag          string `json:"Tag"`
	Digest       string `json:"Digest"`
	BuildStatus  string `json:"BuildStatus"`
}

// host is the public host of the instance, "" when the event does not name it.
func (a artifact) host() string {
	if a.InstanceName == "" || a.RegionID == "" {
		return ""
	}
	return a.InstanceName + "-registry." + a.RegionID + ".cr.aliyuncs.com"
}

// event says what an event of EventBridge means here.
func event(name string, data artifact) (kind gate.PushKind, reason string) {
	switch {
	case name == "cr:Artifact:PushCompleted":
		return gate.PushArrived, ""
	case name == "cr:Artifact:BuildCompleted" && data.BuildStatus == "SUCCESS":
		return gate.PushArrived, "" // what was built has been pushed
	case name == "cr:Artifact:BuildCompleted":
		return gate.PushIgnored, "the build did not succeed, so nothing was pushed"
	case name == "cr:Artifact:ScanCompleted":
		return gate.PushIgnored, "a scan by the registry itself is not looked at"
	case name == "cr:Artifact:SigningCompleted":
		return gate.PushIgnored, "a signature is found when the image is looked at"
	case name == "cr:Artifact:SynchronizationCompleted", name == "cr:Artifact:DeliveryChainCompleted":
		return gate.PushIgnored, "the event does not say which images arrived; synchronisation or admission finds them"
	case strings.HasPrefix(name, "cr:ActionTrail:"):
		return gate.PushIgnored, "an audit event changes nothing"
	case name == "":
		return gate.PushIgnored, "not an event of Container Registry: it has no type"
	}
	return gate.PushIgnored, "events of type " + gate.Quoted(name, 60) + " are not known"
}

func parse(d webhooks.Delivery) ([]gate.Push, error) {
	var m message
	if err := webhooks.Decode(d.Body, &m); err != nil {
		return nil, err
	}
	if m.SpecVersion == "" {
		if m.PushData.Digest == "" && m.PushData.Tag == "" {
			return []gate.Push{gate.Ignored("not the push of a trigger: push_data names neither a digest nor a tag")}, nil
		}
		return []gate.Push{{
			Kind: gate.PushArrived, Repository: m.Repository.FullName,
			Digest: gate.Digest(m.PushData.Digest), Tag: m.PushData.Tag,
		}}, nil
	}
	kind, reason := event(m.Type, m.Data)
	if kind == gate.PushIgnored {
		return []gate.Push{gate.Ignored("%s", reason)}, nil
	}
	if m.Data.Namespace == "" || m.Data.Name == "" {
		return []gate.Push{gate.Ignored("the event names no repository")}, nil
	}
	return []gate.Push{{
		Kind: kind, Host: m.Data.host(), Repository: m.Data.Namespace + "/" + m.Data.Name,
		Digest: gate.Digest(m.Data.Digest), Tag: m.Data.Tag, EventID: m.ID, OccurredAt: m.Time.Value,
	}}, nil
}
