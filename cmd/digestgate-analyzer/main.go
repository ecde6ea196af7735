//go:build goexperiment.jsonv2

// Command digestgate-analyzer is the disposable child in which digestgate's workers
// have hostile bytes parsed (package scanner/analyzer/child). It is not meant to be
// started by hand.
//
// Built with GOEXPERIMENT=jsonv2 and CGO_ENABLED=0 (make build).
package main

import (
	"os"

	"github.com/digestgate/digestgate/scanner/analyzer/child"
)

// version is set by the build.
var version = "dev"

func main() {
	os.Exit(child.Run(version, os.Args[1:], os.Stdout, os.Stderr))
}
