// Package charttest tests the Helm chart of digestgate: every file of charts/digestgate/ci is
// rendered with the libraries of Helm 3 and Helm 4, validated against the schemas of
// Kubernetes, and read for what a gate must not get wrong.
//
// The tests in this package need nothing but Go. Those in the folder cluster install the chart
// into a real API server.
package charttest
