// Package plain runs the conformance suite of the store on one redis-server.
package plain
