package match

import (
	"runtime/debug"
	"strconv"
)

// findingsFormat counts up when the same detectors would give other findings
// because of this package: a field more, another sort order.
const findingsFormat = 6

// version identifies the detectors that are linked, from the program's build
// information.
func version() string {
	v := strconv.Itoa(findingsFormat)
	for _, path := range []string{"github.com/aquasecurity/trivy", "github.com/aquasecurity/trivy-db"} {
		v += "+" + path[len("github.com/aquasecurity/"):] + "@" + moduleVersion(path)
	}
	return v
}

func moduleVersion(path string) string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	for _, dep := range info.Deps {
		if dep.Path != path {
			continue
		}
		if r := dep.Replace; r != nil {
			return r.Path + "@" + r.Version
		}
		return dep.Version
	}
	return "unknown"
}
