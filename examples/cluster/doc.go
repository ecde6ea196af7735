// Package e2e plays digestgate against a real API server: what a developer
// sees through kubectl is asserted, not what digestgate would answer. See
// README.md; `make e2e` runs it.
package e2e
