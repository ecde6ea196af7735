//go:build goexperiment.jsonv2

package child

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path"

	"github.com/aquasecurity/trivy/pkg/dependency"
	"github.com/aquasecurity/trivy/pkg/dependency/parser/nodejs/packagejson"
	ftypes "github.com/aquasecurity/trivy/pkg/fanal/types"
	"github.com/digestgate/digestgate/scanner/analyzer/child/trivy/analyzer"

	"github.com/digestgate/digestgate/gate"
)

const (
	packageJSON = "package.json"
	// maxPackageJSON bounds what is decoded. The largest of 20,000 published
	// packages has 250 kB.
	maxPackageJSON = 16 << 20
)

func isPackageJSON(name string) bool { return path.Base(name) == packageJSON }

// errUnidentified is a package that can be read and does not say what it is.
var errUnidentified = errors.New("the package cannot be identified")

// errMocked is what Yarn's linker "pnpm" writes in the place of an optional
// package that is not for this machine: {"name": …, "mocked": true}.
var errMocked = errors.New("the package is a placeholder")

// npm lists the package that a package.json describes. Trivy's own analyser
// passes over a package without a version as if it were none, is stopped by
// fields that Node does not read, and by some of them altogether.
func (f *files) npm(j *job) {
	pkg, err := j.npmPackage()
	switch {
	case errors.Is(err, errMocked):
		// Nothing but this file is there.
	case errors.Is(err, errUnidentified):
		f.notes.failKind(gate.RiskVulnerabilities, gate.GapUnidentified, string(analyzer.TypeNodePkg), j.name, err.Error())
	case err != nil:
		f.notes.fail(gate.RiskVulnerabilities, string(analyzer.TypeNodePkg), j.name, err.Error())
	default:
		f.result.Merge(&analyzer.AnalysisResult{Applications: []ftypes.Application{{
			Type: ftypes.NodePkg, FilePath: j.name, Packages: ftypes.Packages{*pkg},
		}}})
	}
}

func (j *job) npmPackage() (*ftypes.Package, error) {
	if j.content.size > maxPackageJSON {
		return nil, fmt.Errorf("it has %d bytes, more than %d", j.content.size, maxPackageJSON)
	}
	r, err := j.content.open()
	if err != nil {
		return nil, err
	}
	defer r.Close()
	pkg, err := parsePackageJSON(r)
	if err != nil {
		return nil, err
	}
	pkg.FilePath, pkg.AnalyzedBy = j.name, analyzer.TypeNodePkg
	return pkg, nil
}

// parsePackageJSON reads the fields that name a package as Node and npm do: a
// byte order mark is skipped, keys have their exact spelling, the last of equal
// keys counts, and other fields may hold anything.
func parsePackageJSON(r io.Reader) (*ftypes.Package, error) {
	raw, err := io.ReadAll(r)
	if err != nil {
		return nil, err
	}
	var fields map[string]json.RawMessage
	if err := json.NewDecoder(bytes.NewReader(bytes.TrimPrefix(raw, []byte("\ufeff")))).Decode(&fields); err != nil {
		return nil, fmt.Errorf("it is not a JSON object: %w", err)
	}
	name, version := text(fields["name"]), text(fields["version"])
	switch {
	case version == "" && len(fields) == 2 && name != "" && string(fields["mocked"]) == "true":
		return nil, errMocked
	case name == "":
		return nil, fmt.Errorf("%w: it has no name", errUnidentified)
	case !packagejson.IsValidName(name):
		return nil, fmt.Errorf("%w: no package can be published under its name %s", errUnidentified, gate.Quoted(name, 100))
	case version == "":
		return nil, fmt.Errorf("%w: %s has no version", errUnidentified, gate.Quoted(name, 100))
	}
	var license packagejson.License
	if l := fields["license"]; l != nil {
		_ = json.Unmarshal(l, &license) // what is no licence counts as none
	}
	return &ftypes.Package{
		ID: dependency.ID(ftypes.NodePkg, name, version), Name: name, Version: version, Licenses: license.Names(),
	}, nil
}

// text is a JSON text, "" for everything else.
func text(raw json.RawMessage) string {
	var s string
	if json.Unmarshal(raw, &s) != nil {
		return ""
	}
	return s
}

// plugAndPlay is said of what isPlugAndPlay finds.
const plugAndPlay = "the application's packages are in zip files (Yarn Plug'n'Play), which this version does not read; " +
	"install with nodeLinker: node-modules to have them judged"

// isPlugAndPlay has the names of the files with which Yarn tells Node where
// packages are, instead of node_modules (.pnp.js before Yarn 3).
func isPlugAndPlay(name string) bool {
	base := path.Base(name)
	return base == ".pnp.cjs" || base == ".pnp.js"
}
