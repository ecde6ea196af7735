package app

import (
	"fmt"
	"runtime"
	"runtime/debug"
	"strings"
)

// VersionText says what an operator quotes in a report.
func VersionText(version string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "digestgate %s\n%s %s/%s\n", version, runtime.Version(), runtime.GOOS, runtime.GOARCH)
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return b.String()
	}
	for _, dep := range info.Deps {
		switch dep.Path {
		case "github.com/aquasecurity/trivy", "github.com/aquasecurity/trivy-db", "github.com/open-policy-agent/opa":
			fmt.Fprintf(&b, "%s %s\n", dep.Path, dep.Version)
		}
	}
	return b.String()
}
