package archive

import (
	"encoding/json"
	"errors"
	"io/fs"
	"slices"

	"github.com/digestgate/digestgate/gate"
)

// layoutIndex is the top-level index of an OCI image layout
// (opencontainers/image-spec, image-layout.md).
const layoutIndex = "index.json"

// Annotations that name an image in a layout. containerd, BuildKit and Docker from 25
// on write the whole name into the first one.
const (
	annotationContainerd = "io.containerd.image.name"
	annotationRefName    = "org.opencontainers.image.ref.name"
)

const (
	typeIndex          = "application/vnd.oci.image.index.v1+json"
	typeManifest       = "application/vnd.oci.image.manifest.v1+json"
	typeDockerManifest = "application/vnd.docker.distribution.manifest.v2+json"
	typeDockerConfig   = "application/vnd.docker.container.image.v1+json"
	typeDockerLayer    = "application/vnd.docker.image.rootfs.diff.tar"
)

// document is the part of an index or manifest that says what belongs to it.
type document struct {
	MediaType string       `json:"mediaType"`
	Config    *descriptor  `json:"config"`
	Layers    []descriptor `json:"layers"`
	Manifests []descriptor `json:"manifests"`
}

type descriptor struct {
	MediaType   string            `json:"mediaType"`
	Digest      gate.Digest       `json:"digest"`
	Size        int64             `json:"size"`
	Annotations map[string]string `json:"annotations,omitempty"`
	Platform    *platform         `json:"platform,omitempty"`
}

type platform struct {
	OS           string `json:"os"`
	Architecture string `json:"architecture"`
	Variant      string `json:"variant"`
}

func (p *platform) gate() gate.Platform {
	return gate.Platform{OS: gate.Printable(p.OS, 64), Architecture: gate.Printable(p.Architecture, 64), Variant: gate.Printable(p.Variant, 64)}
}

// readLayout finds the images of a layout. Entries of one digest are one image with
// several names. Several entries without a name, each for a platform, are one
// image: the index itself names them, as crane and Bazel write it.
func (a *Archive) readLayout() error {
	raw, err := small(a.files.open(layoutIndex))
	if err != nil {
		return invalid("%s cannot be read: %v", layoutIndex, err)
	}
	var top document
	if err := json.Unmarshal(raw, &top); err != nil {
		return invalid("%s is not the JSON of an index", layoutIndex)
	}
	if len(top.Manifests) > maxImages {
		return invalid("%s names %d images, the limit is %d", layoutIndex, len(top.Manifests), maxImages)
	}
	var nameless []descriptor
	for _, d := range top.Manifests {
		if !d.Digest.Valid() {
			return invalid("%s names an image by %s, which is not a digest of sha256", layoutIndex, gate.Quoted(string(d.Digest), 100))
		}
		names := d.names()
		if len(names) == 0 && d.Platform != nil {
			nameless = append(nameless, d)
		}
		i := slices.IndexFunc(a.named, func(n Named) bool { return n.Digest == d.Digest })
		if i < 0 {
			a.named = append(a.named, Named{Digest: d.Digest})
			i = len(a.named) - 1
		}
		for _, n := range names {
			if !slices.Contains(a.named[i].Names, n) {
				a.named[i].Names = append(a.named[i].Names, n)
			}
		}
	}
	if len(a.named) > 1 && len(nameless) == len(top.Manifests) {
		d := digestOf(raw)
		a.blobs[d] = blob{bytes: raw}
		a.named = []Named{{Digest: d}}
	}
	return nil
}

func (d descriptor) names() []string {
	var names []string
	for _, key := range []string{annotationContainerd, annotationRefName} {
		if n := d.Annotations[key]; n != "" {
			names = append(names, n)
		}
	}
	return names
}

// Contents says which platforms of an image an archive has whole. An image for one
// platform has none in either list.
type Contents struct {
	// Whole are the platforms of an index whose images are there with all their
	// blobs, Lacking those of which something is missing. Docker writes the index of
	// all platforms and the content of those that it has pulled.
	Whole, Lacking []gate.Platform
}

// Contents looks which content of an image or index is there. gate.ErrInvalid when it
// is an image that is not whole, or nothing that an index names is. What cannot be
// read as a manifest counts as whole: it is for others to say what is wrong with it.
func (a *Archive) Contents(d gate.Digest) (Contents, error) {
	var c Contents
	doc, err := a.document(d)
	if errors.Is(err, errUnreadable) {
		return c, nil
	}
	if err != nil {
		return c, err
	}
	if len(doc.Manifests) == 0 {
		if missing := a.missing(doc); missing != "" {
			return c, invalid("it lacks %s of the image; save the image again", missing)
		}
		return c, nil
	}
	any := a.children(doc, 0, &c)
	if !any {
		return c, invalid("it has the index of the image and no image that the index names; save the image again, with its content")
	}
	return c, nil
}

// children sorts what an index names; it reports whether anything is whole.
func (a *Archive) children(index document, depth int, c *Contents) (whole bool) {
	for _, d := range index.Manifests {
		if d.Platform != nil && d.Platform.OS == "unknown" && d.Platform.Architecture == "unknown" {
			continue // what BuildKit says of an image, not an image
		}
		doc, err := a.document(d.Digest)
		there := errors.Is(err, errUnreadable) || err == nil && (len(doc.Manifests) > 0 || a.missing(doc) == "")
		if there && len(doc.Manifests) > 0 && depth < maxNesting {
			whole = a.children(doc, depth+1, c) || whole
			continue
		}
		whole = whole || there
		switch {
		case d.Platform == nil:
		case there:
			c.Whole = append(c.Whole, d.Platform.gate())
		default:
			c.Lacking = append(c.Lacking, d.Platform.gate())
		}
	}
	return whole
}

// missing names the first blob of an image that is not there with its size.
func (a *Archive) missing(doc document) string {
	if doc.Config != nil && a.size(doc.Config.Digest) != doc.Config.Size {
		return "the configuration " + gate.Printable(doc.Config.Digest.Short(), 100)
	}
	for _, l := range doc.Layers {
		if a.size(l.Digest) != l.Size {
			return "layer " + gate.Printable(l.Digest.Short(), 100)
		}
	}
	return ""
}

// document reads a manifest or index.
func (a *Archive) document(d gate.Digest) (document, error) {
	raw, err := small(a.open(d))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return document{}, invalid("it lacks the manifest %s that its index names; save the image again", gate.Printable(d.Short(), 100))
	case err != nil:
		return document{}, invalid("manifest %s cannot be read: %v", d.Short(), err)
	}
	var doc document
	if json.Unmarshal(raw, &doc) != nil {
		return document{}, errUnreadable
	}
	return doc, nil
}

var errUnreadable = errors.New("not the JSON of a manifest")
