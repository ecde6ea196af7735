package webhooks_test

import (
	"fmt"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/webhooks"
)

// minimal is the receiver of a registry that sends one push in each delivery. A real
// one is a package of its own with recordings; webhookstest.Run checks it with them.
func minimal() webhooks.Receiver {
	return webhooks.Receiver{Type: "minimal", Parse: func(d webhooks.Delivery) ([]gate.Push, error) {
		var event struct {
			Action     string `json:"action"`
			Host       string `json:"host"`
			Repository string `json:"repository"`
			Tag        string `json:"tag"`
			Digest     string `json:"digest"`
		}
		if err := webhooks.Decode(d.Body, &event); err != nil {
			return nil, err // 400
		}
		if event.Action != "push" {
			// 202: a registry may disable a hook that is answered with 4xx.
			return []gate.Push{gate.Ignored("the action %s is not a push", gate.Quoted(event.Action, 40))}, nil
		}
		digest, err := gate.ParseDigest(event.Digest)
		if err != nil {
			return nil, err // 400
		}
		return []gate.Push{{Kind: gate.PushArrived, Host: event.Host, Repository: event.Repository, Tag: event.Tag, Digest: digest}}, nil
	}}
}

// A receiver turns what a registry sends into pushes. It does nothing else: the handler
// authenticates, and the intake queues the work.
func ExampleReceiver() {
	for _, body := range []string{
		`{"action":"push","host":"registry.example.com","repository":"team/app","tag":"1.0","digest":"sha256:0000000000000000000000000000000000000000000000000000000000000001"}`,
		`{"action":"pull"}`,
		`{"action":"push","action":"pull"}`,
	} {
		pushes, err := minimal().Parse(webhooks.Delivery{Body: []byte(body)})
		if err != nil {
			fmt.Println("refused:", err)
			continue
		}
		for _, p := range pushes {
			if p.Kind == gate.PushIgnored {
				fmt.Println("ignored:", p.Reason)
				continue
			}
			fmt.Println(p.Kind, p.Host, p.Repository, p.Tag, p.Digest.Short())
		}
	}
	// Output:
	// push registry.example.com team/app 1.0 sha256:000000000000
	// ignored: the action "pull" is not a push
	// refused: reading the body as JSON: key "action" occurs twice in an object: invalid input
}
