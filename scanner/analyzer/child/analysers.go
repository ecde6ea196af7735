//go:build goexperiment.jsonv2

package child

// Importing an analyser registers it with Trivy. This list is what
// "trivy image" runs for packages, without what we do ourselves (secrets, JAR
// files, package.json, which distribution it is: of the package os/ubuntu only the
// analyser of extended support is used), what we do not believe (SBOM files inside
// images), what an image scan
// leaves out (lock files, single RPM archives, executables' digests) and what
// later issues bring (configuration files, licence texts).
import (
	_ "github.com/digestgate/digestgate/scanner/analyzer/child/trivy/analyzer/buildinfo"
	_ "github.com/digestgate/digestgate/scanner/analyzer/child/trivy/analyzer/language/conda/meta"
	_ "github.com/digestgate/digestgate/scanner/analyzer/child/trivy/analyzer/language/dotnet/deps"
	_ "github.com/digestgate/digestgate/scanner/analyzer/child/trivy/analyzer/language/dotnet/nuget"
	_ "github.com/digestgate/digestgate/scanner/analyzer/child/trivy/analyzer/language/dotnet/packagesprops"
	_ "github.com/digestgate/digestgate/scanner/analyzer/child/trivy/analyzer/language/golang/binary"
	_ "github.com/digestgate/digestgate/scanner/analyzer/child/trivy/analyzer/language/julia/pkg"
	_ "github.com/digestgate/digestgate/scanner/analyzer/child/trivy/analyzer/language/php/composer"
	_ "github.com/digestgate/digestgate/scanner/analyzer/child/trivy/analyzer/language/python/packaging"
	_ "github.com/digestgate/digestgate/scanner/analyzer/child/trivy/analyzer/language/ruby/gemspec"
	_ "github.com/digestgate/digestgate/scanner/analyzer/child/trivy/analyzer/language/rust/binary"
	_ "github.com/digestgate/digestgate/scanner/analyzer/child/trivy/analyzer/language/rust/cargo"
	_ "github.com/digestgate/digestgate/scanner/analyzer/child/trivy/analyzer/os/ubuntu"
	_ "github.com/digestgate/digestgate/scanner/analyzer/child/trivy/analyzer/pkg/apk"
	_ "github.com/digestgate/digestgate/scanner/analyzer/child/trivy/analyzer/pkg/bottlerocket_inventory"
	_ "github.com/digestgate/digestgate/scanner/analyzer/child/trivy/analyzer/pkg/dpkg"
	_ "github.com/digestgate/digestgate/scanner/analyzer/child/trivy/analyzer/pkg/rpm"
	_ "github.com/digestgate/digestgate/scanner/analyzer/child/trivy/analyzer/rapidfort"
	_ "github.com/digestgate/digestgate/scanner/analyzer/child/trivy/analyzer/repo/apk"

	// The RPM database is SQLite on newer distributions; Trivy's reader wants
	// the driver registered.
	_ "modernc.org/sqlite"
)
