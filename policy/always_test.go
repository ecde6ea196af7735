package policy

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestAlways(t *testing.T) {
	t.Parallel()
	set, err := Compile([]File{{Name: "a.rego", Text: `package digestgate

deny contains {"rule": "one", "msg": "never"}

deny contains {"rule": "two", "msg": "never"} if true

deny contains {"rule": "three", "msg": v.id} if {
	some v in input.findings.vulnerabilities
}

deny contains {"rule": "four", "msg": "old"} if input.image.platform == "linux/386"

deny contains {"rule": "five", "msg": "not"} if not input.image.platform == "linux/amd64"

warn contains {"rule": "six", "msg": "a warning refuses nothing"}
`}})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"a.rego:3", "a.rego:5"}, set.Always()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
