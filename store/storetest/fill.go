package storetest

import "testing"

// Fill makes one of everything that a copy of a store must have, for tests of
// whatever moves it.
func Fill(t *testing.T, h Harness) {
	t.Helper()
	newEnv(t, h).fill()
}
