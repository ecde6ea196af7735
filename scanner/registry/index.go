package registry

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	specs "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/digestgate/digestgate/gate"
)

// expansion collects the children of an index, nested ones flattened.
type expansion struct {
	c        *Client
	s        *session
	repo     string
	children []gate.Child
	claims   []gate.Attestation
	seen     int // descriptors so far, skipped ones too
}

// errOver says that an index is too large or too deep. The bytes are the
// manifest's own, so it is a fact about the digest.
type errOver struct{ text string }

func (e errOver) Error() string { return e.text }

// expandIndex fills Children and, where nothing can be judged, Unassessable.
// Indexes that it names are read, images are not: what an index says of them,
// and what they say of themselves, decides nothing but which platform's node
// would choose them (docs/adr/0011-indexes.md).
func (c *Client) expandIndex(ctx context.Context, s *session, repo string, d *document, m *gate.Manifest) error {
	x := &expansion{c: c, s: s, repo: repo}
	err := x.add(ctx, d, 0)
	var over errOver
	if errors.As(err, &over) {
		m.Unassessable = over.text
		return nil
	}
	if err != nil {
		return err
	}
	m.Children, m.Attestations = x.children, x.claims
	m.Unassessable = whyNoChild(x.children)
	return nil
}

func (x *expansion) add(ctx context.Context, d *document, depth int) error {
	x.seen += len(d.Manifests)
	if x.seen > MaxDescriptors {
		return errOver{fmt.Sprintf("the index has more than %d descriptors", MaxDescriptors)}
	}
	for _, desc := range d.Manifests {
		if isUnknown(desc.Platform) {
			x.attestation(d, desc)
			continue
		}
		child := x.child(desc)
		if !child.Judged || !child.Digest.Valid() || !isIndexType(desc.MediaType) {
			x.children = append(x.children, child)
			continue
		}
		if depth+1 > MaxNesting {
			return errOver{fmt.Sprintf("the index is nested deeper than %d", MaxNesting)}
		}
		nested, err := x.read(ctx, desc)
		if err != nil {
			return err
		}
		if !nested.index { // an image that is called an index: CRI-O does not look at the word
			x.children = append(x.children, child)
			continue
		}
		if err := x.add(ctx, nested, depth+1); err != nil {
			return err
		}
	}
	return nil
}

// The annotations by which BuildKit says that a descriptor is an attestation, and of
// which manifest (docs.docker.com/build/metadata/attestations/attestation-storage).
const (
	annotationReferenceType   = "vnd.docker.reference.type"
	annotationReferenceDigest = "vnd.docker.reference.digest"
	attestationManifest       = "attestation-manifest"
)

// attestation notes a descriptor that the index calls an attestation of another manifest
// in it. One of a manifest outside the index is not noted: an index says nothing about
// what is outside.
func (x *expansion) attestation(d *document, desc descriptor) {
	about := gate.Digest(desc.Annotations[annotationReferenceDigest])
	if desc.Annotations[annotationReferenceType] != attestationManifest || !desc.Digest.Valid() || !about.Valid() || about == desc.Digest {
		return
	}
	if slices.ContainsFunc(d.Manifests, func(other descriptor) bool { return other.Digest == about }) {
		x.claims = append(x.claims, gate.Attestation{Digest: desc.Digest, Subject: about})
	}
}

// child is what an index's own bytes say of a child. One without a platform is
// judged, whatever it is: CRI-O takes the first such child when nothing fits
// better (containers/image, OCI1IndexPublic.chooseInstance), Docker the same of a
// platform without content (pullManifestList), and containerd where its
// configuration fits. One that a node chooses and we cannot read is refused.
func (x *expansion) child(desc descriptor) gate.Child {
	child := gate.Child{Digest: gate.Digest(gate.Printable(string(desc.Digest), 160)), MediaType: gate.Printable(desc.MediaType, 128), Judged: true}
	if desc.Size > 0 && desc.Size <= maxBlobBytes {
		child.Size = desc.Size
	}
	if p := desc.Platform; p != nil && (p.OS != "" || p.Architecture != "") {
		child.Platform = fromSpecs(*p)
		child.Judged = x.c.matcher.match(*p)
	}
	return child
}

// read reads a nested index. Where this registry does not have it, nothing is
// known of the index that names it; another registry may have both.
func (x *expansion) read(ctx context.Context, desc descriptor) (*document, error) {
	raw, err := x.s.readManifest(ctx, x.repo, string(desc.Digest))
	if errors.Is(err, gate.ErrNotFound) {
		text := fmt.Sprintf("the registry does not have %s, which the index names as an index in it (%v); push all of the index", desc.Digest, err)
		return nil, &wordedError{text, gate.ErrIntegrity}
	}
	if err != nil {
		return nil, fmt.Errorf("reading %s, which the index names as an index: %w", desc.Digest.Short(), err)
	}
	return parseDocument(raw.contentType, raw.body)
}

// whyNoChild says why an index can never be assessed: no child is judged, or one
// that is cannot be read.
func whyNoChild(children []gate.Child) string {
	if len(children) == 0 {
		return "the index has no images"
	}
	var names []string
	linux, judged := false, false
	for _, c := range children {
		if c.Judged && !c.Digest.Valid() {
			return unreadableName(c)
		}
		judged = judged || c.Judged
		linux = linux || isLinux(specs.Platform{OS: c.Platform.OS})
		if n := c.Platform.String(); n != "" && len(names) < 8 {
			names = append(names, n)
		}
	}
	list := strings.Join(names, ", ")
	switch {
	case judged:
		return ""
	case !linux:
		return fmt.Sprintf("no Linux platform: the index is for %s", list)
	}
	return fmt.Sprintf("no configured platform: the index is for %s (see scan.platforms)", list)
}

func unreadableName(c gate.Child) string {
	platform := c.Platform.String()
	if platform == "" {
		platform = "any platform"
	}
	return fmt.Sprintf("the index names its image for %s by the digest %s, but only sha256 digests can be read; push it again with a tool that uses sha256", platform, gate.Quoted(string(c.Digest), 40))
}
