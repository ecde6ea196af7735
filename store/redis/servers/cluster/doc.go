// Package cluster runs the conformance suite of the store on a cluster of three masters.
package cluster
