//go:build goexperiment.jsonv2

package child

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path"
	"strings"

	"github.com/digestgate/digestgate/scanner/analyzer/child/trivy/analyzer"

	"github.com/digestgate/digestgate/gate"
)

// typeBitnami is the reader of Bitnami's descriptions among Trivy's analysers.
const typeBitnami analyzer.Type = "bitnami"

const (
	bitnamiRoot = "opt/bitnami/"
	// bitnamiList is the list of components that older images have in place of
	// an SPDX file for each.
	bitnamiList = bitnamiRoot + ".bitnami_components.json"
	// maxBitnami bounds such a file, in bytes; the largest seen has 1 MB.
	maxBitnami = 8 << 20
	// maxComponents bounds what one layer names; images have at most some 20.
	maxComponents = 200
)

// isBitnami reports whether the file describes a program that Bitnami compiled.
// What it says is not believed as far as it would take something away; that there
// is such a program is.
func isBitnami(name string) bool {
	if name == bitnamiList {
		return true
	}
	_, ok := spdxComponent(name)
	return ok
}

// spdxComponent is the name in opt/bitnami/…/.spdx-NAME.spdx.
func spdxComponent(name string) (string, bool) {
	base, ok := strings.CutSuffix(path.Base(name), ".spdx")
	if !ok || !strings.HasPrefix(name, bitnamiRoot) {
		return "", false
	}
	return strings.CutPrefix(base, ".spdx-")
}

// component is a program below opt/bitnami, as the image describes it.
type component struct {
	Name    string `json:"name"`
	Version string `json:"version,omitempty"` // "" when the file does not say it
	Path    string `json:"path"`              // the file that names it
}

func (c component) compare(d component) int {
	return cmp.Or(strings.Compare(c.Path, d.Path), strings.Compare(c.Name, d.Name), strings.Compare(c.Version, d.Version))
}

// readBitnami reads one file. An SPDX file that is not understood names its
// component all the same.
func (j *job) readBitnami() error {
	components, err := j.components()
	j.files.mu.Lock()
	defer j.files.mu.Unlock()
	j.files.components = append(j.files.components, components...)
	return err
}

func (j *job) components() ([]component, error) {
	content, err := j.open()
	if err != nil {
		return nil, err
	}
	defer content.Close()
	text, err := io.ReadAll(io.LimitReader(content, maxBitnami+1))
	if err != nil {
		return nil, err
	}
	if name, ok := spdxComponent(j.name); ok {
		return []component{{Name: printable(name), Version: printable(spdxVersion(text, name)), Path: j.name}}, nil
	}
	var list map[string]struct {
		Version string `json:"version"`
	}
	if len(text) > maxBitnami {
		return nil, fmt.Errorf("the list of components has more than %d bytes", maxBitnami)
	}
	if err := json.Unmarshal(text, &list); err != nil {
		return nil, fmt.Errorf("reading the list of components: %w", err)
	}
	if len(list) > maxComponents {
		return nil, errors.New("the list has more components than any image")
	}
	var out []component
	for name, c := range list {
		out = append(out, component{Name: printable(name), Version: printable(c.Version), Path: j.name})
	}
	return out, nil
}

func printable(s string) string { return gate.Printable(s, 100) }

// spdxVersion is the version of the component in its SPDX document, "" when the
// document does not say it.
func spdxVersion(text []byte, name string) string {
	var doc struct {
		Packages []struct {
			Name    string `json:"name"`
			Version string `json:"versionInfo"`
		} `json:"packages"`
	}
	if err := json.Unmarshal(text, &doc); err != nil {
		return ""
	}
	for _, p := range doc.Packages {
		if p.Name == name {
			return p.Version
		}
	}
	return ""
}

// components notes what Bitnami says that it installed and no analyser found:
// programs in C, mostly, of which nothing else tells the version.
func (n *notes) components(readings []*reading, inv *gate.Inventory) {
	noted := map[string]bool{}
	for _, r := range readings {
		for _, c := range r.found.Components {
			key := c.Name + "@" + c.Version
			if c.Name == "" || noted[key] || len(r.paths(c.Path)) == 0 || componentFound(c, inv) {
				continue
			}
			noted[key] = true
			n.failKind(gate.RiskVulnerabilities, gate.GapBitnamiComponent, string(typeBitnami), c.Path,
				strings.TrimSpace(fmt.Sprintf("%s %s", c.Name, c.Version))+" of Bitnami is installed, but no analyser recognises it")
		}
	}
}

// componentFound reports whether an analyser found the component itself: a
// program of that name below opt/bitnami that carries its list of modules, or a
// package there of that name and version.
func componentFound(c component, inv *gate.Inventory) bool {
	for _, app := range inv.Applications {
		if strings.HasPrefix(app.FilePath, bitnamiRoot) && path.Base(app.FilePath) == c.Name && len(app.Packages) > 0 {
			return true
		}
		for _, p := range app.Packages {
			file := cmp.Or(p.FilePath, app.FilePath)
			if strings.HasPrefix(file, bitnamiRoot) && sameComponent(p, c) {
				return true
			}
		}
	}
	return false
}

func sameComponent(p gate.Package, c component) bool {
	name := strings.ToLower(p.Name[strings.LastIndexAny(p.Name, "/:")+1:])
	if rest, ok := strings.CutPrefix(name, strings.ToLower(c.Name)); !ok || (rest != "" && rest[0] != '-' && rest[0] != '_') {
		return false
	}
	// Bitnami counts its builds behind a hyphen: 1.25.3-1.
	version, _, _ := strings.Cut(c.Version, "-")
	return version != "" && strings.TrimPrefix(p.Version, "v") == version
}
