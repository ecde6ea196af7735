//go:build goexperiment.jsonv2

package main

import (
	_ "github.com/aquasecurity/trivy/pkg/fanal/analyzer/all"
	_ "github.com/aquasecurity/trivy/pkg/fanal/applier"
	_ "github.com/aquasecurity/trivy/pkg/fanal/artifact/image"
	_ "modernc.org/sqlite"
)

func main() {}
