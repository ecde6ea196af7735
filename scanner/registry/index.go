package registry

import (
	"context"
	"errors"
	"fmt"
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
	seen     int // descriptors so far, skipped ones too
}

// errOver says that an index is too large or too deep. The bytes are the
// manifest's own, so it is a fact about the digest.
type errOver struct{ text string }

func (e errOver) Error() string { return e.text }

// expandIndex fills Children and, where nothing can be judged, Unassessable.
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
	m.Children = x.children
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
			continue
		}
		if isIndexType(desc.MediaType) {
			if depth+1 > MaxNesting {
				return errOver{fmt.Sprintf("the index is nested deeper than %d", MaxNesting)}
			}
			nested, err := x.read(ctx, desc)
			if err != nil {
				return err
			}
			if !nested.index {
				return unassessable("the index names %s as an index, which it is not", desc.Digest.Short())
			}
			if err := x.add(ctx, nested, depth+1); err != nil {
				return err
			}
			continue
		}
		child, err := x.child(ctx, desc)
		if err != nil {
			return err
		}
		x.children = append(x.children, child)
	}
	return nil
}

func (x *expansion) child(ctx context.Context, desc descriptor) (gate.Child, error) {
	child := gate.Child{Digest: desc.Digest, MediaType: gate.Printable(desc.MediaType, 128), Size: desc.Size}
	if desc.Platform != nil {
		child.Platform = fromSpecs(*desc.Platform)
		child.Judged = x.c.matcher.match(*desc.Platform)
		return child, nil
	}
	p, judged, err := x.unnamed(ctx, desc)
	if err != nil {
		return gate.Child{}, fmt.Errorf("reading the child %s without a platform: %w", desc.Digest.Short(), err)
	}
	child.Platform, child.Judged = fromSpecs(p), judged
	return child, nil
}

// unnamed finds the platform of a child whose descriptor has none by reading
// its configuration, as containerd does. CRI-O takes such a child for any
// platform when nothing fits better; so what cannot be excluded is judged: an
// image that names no complete platform, a child that is missing (it may be
// pushed later) or unreadable.
func (x *expansion) unnamed(ctx context.Context, desc descriptor) (p specs.Platform, judged bool, err error) {
	d, err := x.read(ctx, desc)
	if errors.Is(err, gate.ErrNotFound) || errors.Is(err, gate.ErrUnassessable) {
		return specs.Platform{}, true, nil
	}
	if err != nil {
		return specs.Platform{}, false, err
	}
	if k := d.kind(); k != gate.KindImage {
		// An index here hides under another media type: judged, and found
		// to be no image. Accessories and artifacts are not run.
		return specs.Platform{}, k == gate.KindIndex, nil
	}
	raw, err := x.s.readConfig(ctx, x.repo, d.Config)
	if errors.Is(err, gate.ErrNotFound) || errors.Is(err, gate.ErrUnassessable) {
		return specs.Platform{}, true, nil
	}
	if err != nil {
		return specs.Platform{}, false, err
	}
	cfg, _ := parseConfig(raw, len(d.Layers))
	p = cfg.platform()
	if p.OS == "" || p.Architecture == "" {
		return p, true, nil
	}
	return p, x.c.matcher.match(p), nil
}

func (x *expansion) read(ctx context.Context, desc descriptor) (*document, error) {
	if desc.Size > MaxManifestBytes {
		return nil, unassessable("the index names a manifest of %d bytes, the limit is %d", desc.Size, MaxManifestBytes)
	}
	raw, err := x.s.readManifest(ctx, x.repo, string(desc.Digest))
	if err != nil {
		return nil, err
	}
	return parseDocument(raw.contentType, raw.body)
}

// whyNoChild says why an index without a judged child can never be assessed.
func whyNoChild(children []gate.Child) string {
	if len(children) == 0 {
		return "the index has no images"
	}
	var names []string
	linux := false
	for _, c := range children {
		if c.Judged {
			return ""
		}
		linux = linux || isLinux(specs.Platform{OS: c.Platform.OS})
		if n := c.Platform.String(); n != "" && len(names) < 8 {
			names = append(names, n)
		}
	}
	list := strings.Join(names, ", ")
	if !linux {
		return fmt.Sprintf("no Linux platform: the index is for %s", list)
	}
	return fmt.Sprintf("no configured platform: the index is for %s (see scan.platforms)", list)
}
