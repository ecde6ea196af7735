package redis

import (
	"strings"
	"testing"
)

// TestEnormousKeysAreNotOurs: another program's key may have 512 MB, and would be
// remembered with its name.
func TestEnormousKeysAreNotOurs(t *testing.T) {
	k := keys{"dg"}
	name := "dg:tag:hub/team/app:" // as long as the names of a reference allow
	for n, want := range map[int]string{1: "string", 500: "string", maxKey: "", 1 << 20: ""} {
		if got := k.typeOf(name + strings.Repeat("x", n)); got != want {
			t.Errorf("a key with a tag of %d bytes: got type %q, want %q", n, got, want)
		}
	}
}
