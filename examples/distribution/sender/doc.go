// Package sender plays CNCF Distribution against digestgate: Distribution v3 runs in
// the process of the test with its own notifications switched on, and `digestgate
// serve` is a process of its own that hears of every image from them and from nothing
// else. It is a module of its own, so that Distribution is not a dependency of
// digestgate.
//
// DIGESTGATE_BIN and DIGESTGATE_ANALYZER_BIN name the two programs; without
// them those in bin/ at the root of the repository are taken. `make e2e` builds
// them and runs it.
package sender
