package main

import (
	"bytes"
	"crypto/sha256"
	"debug/buildinfo"
	"encoding/hex"
	"fmt"
	"net/url"
	"path"
	"slices"
	"strings"
	"time"

	cdx "github.com/CycloneDX/cyclonedx-go"
	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// newSBOM says what an image for a platform is made of, in CycloneDX: both programs with
// the modules that Go recorded in them, and the Debian packages. It is made from what is
// in the image, and is the same for the same image.
func newSBOM(about about, p v1.Platform, image v1.Hash, trees []tree, packages []packageInfo) ([]byte, error) {
	root := cdx.Component{
		BOMRef: "image", Type: cdx.ComponentTypeContainer, Name: title, Version: image.String(), Description: description,
		PackageURL: fmt.Sprintf("pkg:oci/%s@%s?arch=%s&tag=%s", title, url.QueryEscape(image.String()), p.Architecture, url.QueryEscape(about.version)),
		Licenses:   &cdx.Licenses{{License: &cdx.License{ID: licenses}}},
		Hashes:     sha256Hash(image.Hex),
	}
	b := bom{components: map[string]cdx.Component{}, needs: map[string][]string{}}
	for _, t := range trees {
		for _, name := range t.paths() {
			if t[name].mode.IsRegular() {
				if err := b.program(root.BOMRef, name, t[name].content); err != nil {
					return nil, fmt.Errorf("reading what %s is built from: %w", name, err)
				}
			}
		}
	}
	for _, info := range packages {
		b.debian(root.BOMRef, info)
	}
	out := cdx.NewBOM()
	out.SerialNumber = serial(image)
	out.Metadata = &cdx.Metadata{Timestamp: about.created.Format(time.RFC3339), Component: &root}
	out.Components, out.Dependencies = b.lists()
	var text bytes.Buffer
	if err := cdx.NewBOMEncoder(&text, cdx.BOMFileFormatJSON).SetPretty(true).EncodeVersion(out, cdx.SpecVersion1_6); err != nil {
		return nil, fmt.Errorf("writing the SBOM: %w", err)
	}
	return text.Bytes(), nil
}

// bom gathers components by their reference, each once.
type bom struct {
	components map[string]cdx.Component
	needs      map[string][]string
}

func (b bom) add(by string, c cdx.Component) {
	b.components[c.BOMRef] = c
	b.needs[by] = append(b.needs[by], c.BOMRef)
}

// program adds a program and its modules.
func (b bom) program(by, name string, content []byte) error {
	info, err := buildinfo.Read(bytes.NewReader(content))
	if err != nil {
		return err
	}
	sum := sha256.Sum256(content)
	ref := "file:/" + name
	b.add(by, cdx.Component{
		BOMRef: ref, Type: cdx.ComponentTypeApplication, Name: path.Base(name), Description: info.Path,
		Hashes:     sha256Hash(hex.EncodeToString(sum[:])),
		Licenses:   &cdx.Licenses{{License: &cdx.License{ID: licenses}}},
		Properties: &[]cdx.Property{{Name: "digestgate:path", Value: "/" + name}},
	})
	b.module(ref, "stdlib", "v"+strings.TrimPrefix(strings.Fields(info.GoVersion)[0], "go"))
	b.module(ref, info.Main.Path, info.Main.Version)
	for _, m := range info.Deps {
		if m.Replace != nil {
			m = m.Replace
		}
		b.module(ref, m.Path, m.Version)
	}
	return nil
}

func (b bom) module(by, name, version string) {
	purl := "pkg:golang/" + name
	if version != "" && version != "(devel)" {
		purl += "@" + strings.ReplaceAll(url.QueryEscape(version), "+", "%20")
	}
	b.add(by, cdx.Component{BOMRef: purl, Type: cdx.ComponentTypeLibrary, Name: name, Version: version, PackageURL: purl})
}

func (b bom) debian(by string, p packageInfo) {
	purl := fmt.Sprintf("pkg:deb/debian/%s@%s?arch=%s&distro=debian-%s", p.name, strings.ReplaceAll(url.QueryEscape(p.version), "+", "%20"), p.arch, distribution)
	b.add(by, cdx.Component{
		BOMRef: purl, Type: cdx.ComponentTypeLibrary, Name: p.name, Version: p.version, PackageURL: purl,
		Supplier: &cdx.OrganizationalEntity{Name: p.maintainer}, Hashes: sha256Hash(p.sha256),
	})
}

// lists are the components and who needs which, in an order that does not change.
func (b bom) lists() (*[]cdx.Component, *[]cdx.Dependency) {
	var components []cdx.Component
	for _, c := range b.components {
		components = append(components, c)
	}
	slices.SortFunc(components, func(x, y cdx.Component) int { return strings.Compare(x.BOMRef, y.BOMRef) })
	var needs []cdx.Dependency
	for ref, list := range b.needs {
		slices.Sort(list)
		list = slices.Compact(list)
		needs = append(needs, cdx.Dependency{Ref: ref, Dependencies: &list})
	}
	slices.SortFunc(needs, func(x, y cdx.Dependency) int { return strings.Compare(x.Ref, y.Ref) })
	return &components, &needs
}

func sha256Hash(hex string) *[]cdx.Hash {
	return &[]cdx.Hash{{Algorithm: cdx.HashAlgoSHA256, Value: hex}}
}

// serial is a UUID (version 8, RFC 9562) made of the digest: the SBOM of an image has one.
func serial(image v1.Hash) string {
	raw := sha256.Sum256([]byte("digestgate sbom " + image.String()))
	u := raw[:16]
	u[6], u[8] = u[6]&0x0f|0x80, u[8]&0x3f|0x80
	return fmt.Sprintf("urn:uuid:%x-%x-%x-%x-%x", u[:4], u[4:6], u[6:8], u[8:10], u[10:])
}
