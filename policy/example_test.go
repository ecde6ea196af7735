package policy_test

import (
	"context"
	"fmt"

	"github.com/digestgate/digestgate/policy"
)

// A rule is one file of package digestgate, and its tests are another beside it. The
// message names the thing, its value and what to do. digestgate policy test runs the
// same.
func ExampleTest() {
	rule := policy.File{Name: "old.rego", Text: `package digestgate

deny contains {"rule": "too-old", "msg": sprintf("the image was built on %s; build it again", [input.image.created])} if {
	age := input.nowUnix - input.image.createdUnix
	age > 90 * 86400
}
`}
	test := policy.File{Name: "old_test.rego", Text: `package digestgate_test

import data.digestgate.deny
import data.digestgate.testing

rules(total) := {r.rule | some r in deny with input as total}

test_old if {
	"too-old" in rules(testing.image({"nowUnix": 10000000, "image": {"createdUnix": 0}}))
}

test_new if {
	not "too-old" in rules(testing.image({"nowUnix": 10000000, "image": {"createdUnix": 9999999}}))
}
`}
	results, err := policy.Test(context.Background(), []policy.File{rule, test}, "")
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, r := range results {
		fmt.Println(r.Name, r.Passed)
	}
	// Output:
	// digestgate_test.test_old true
	// digestgate_test.test_new true
}
