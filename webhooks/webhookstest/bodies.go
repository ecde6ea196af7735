package webhookstest

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/webhooks"
)

// Body is a body that a test made up, and what the receiver makes of it.
type Body struct {
	Body string
	Want []gate.Push
	// Part is a part of the reason why its one event is ignored, instead of
	// Want.
	Part string
}

// Bodies parses each body, without headers, and compares.
func Bodies(t *testing.T, r webhooks.Receiver, bodies map[string]Body) {
	t.Helper()
	for name, b := range bodies {
		t.Run(name, func(t *testing.T) {
			got, err := r.Parse(webhooks.Delivery{Body: []byte(b.Body)})
			if err != nil {
				t.Fatal(err)
			}
			if b.Part == "" {
				if diff := cmp.Diff(b.Want, got); diff != "" {
					t.Errorf("Parse(%s) (-want +got):\n%s", b.Body, diff)
				}
				return
			}
			if len(got) != 1 || got[0].Kind != gate.PushIgnored || !strings.Contains(got[0].Reason, b.Part) {
				t.Errorf("Parse(%s): got %+v, want it ignored because of %q", b.Body, got, b.Part)
			}
		})
	}
}

// Wrong parses bodies whose shape is not that of the format: each is an error.
func Wrong(t *testing.T, r webhooks.Receiver, bodies ...string) {
	t.Helper()
	for _, body := range bodies {
		if got, err := r.Parse(webhooks.Delivery{Body: []byte(body)}); !errors.Is(err, gate.ErrInvalid) {
			t.Errorf("Parse(%s): got %+v, %v, want ErrInvalid", body, got, err)
		}
	}
}
