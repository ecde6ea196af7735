package policy

import (
	"strings"
	"testing"
	"unsafe"

	"github.com/digestgate/digestgate/gate"
)

// TestLongUser: a name of a user that is too long to be read refuses only
// where a policy reads it.
func TestLongUser(t *testing.T) {
	q := question(testInventory(), testFindings())
	q.Request = &gate.Request{Namespace: "shop", LongUser: gate.MaxUser + 1}
	for name, c := range map[string]struct {
		rule string
		code gate.Code
	}{
		"not_read":  {`"x" if input.request.namespace == "other"`, ""},
		"read":      {`"x" if input.request.user == "root"`, gate.CodeReviewInvalid},
		"all":       {`"x" if count(input.request) > 99`, gate.CodeReviewInvalid},
		"exclusion": {`"x" if input.request.user != ""`, gate.CodeReviewInvalid},
	} {
		t.Run(name, func(t *testing.T) {
			d := engineOver(t, Options{}, denying(c.rule)...).Evaluate(t.Context(), q)
			if d.Code != c.code || (c.code != "") != (d.Outcome == gate.OutcomeDeny) {
				t.Fatalf("got %s %q %+v, want code %q", d.Outcome, d.Code, d.Reasons, c.code)
			}
			if c.code != "" && !strings.Contains(d.Reasons[0].Msg, "1025 bytes") {
				t.Errorf("the reason does not say how long the name is: %q", d.Reasons[0].Msg)
			}
		})
	}
}

// TestMemoKeysWeighTheSame: what a request says does not make the keys of the
// decisions that are kept any larger.
func TestMemoKeysWeighTheSame(t *testing.T) {
	var k memoKey
	if n := unsafe.Sizeof(k); n != 32 {
		t.Errorf("a key has %d bytes, want a hash of 32", n)
	}
}
