package lookup

import (
	"slices"

	"github.com/maypok86/otter/v2"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/gate/copies"
)

// How much is remembered of what to read ahead, in bytes. A tag takes about 0.5 kB
// and an index of two images as much, so there is room for 30,000 of each. What is
// forgotten costs one more read.
const (
	rememberNamed    = 16 << 20
	rememberChildren = 16 << 20
)

// remembered is what tags named and what indexes consisted of when they were last
// looked up here. It says what to read ahead and nothing else: what a tag names and
// what an index consists of is decided by what is read of them. Where copies answer without a
// read nothing is remembered, and the zero value serves. Safe for concurrent use.
type remembered struct {
	named    *otter.Cache[gate.TagKey, gate.Digest]
	children *otter.Cache[gate.Digest, []gate.Digest]
}

func newRemembered() remembered {
	return remembered{
		named: copies.Weighed(rememberNamed, func(k gate.TagKey, d gate.Digest) int64 { return copies.WeighTagKey(k) + copies.BytesOf(d) }),
		children: copies.Weighed(rememberChildren, func(d gate.Digest, list []gate.Digest) int64 {
			return copies.BytesOf(d) + copies.Slots(list) + copies.BytesOf(list...)
		}),
	}
}

// tag is what a tag named last time, "" when that is not known.
func (r *remembered) tag(key gate.TagKey) gate.Digest {
	if r.named == nil {
		return ""
	}
	d, _ := r.named.GetIfPresent(key)
	return d
}

// with is a digest and what it consisted of last time.
func (r *remembered) with(d gate.Digest) []gate.Digest {
	return append([]gate.Digest{d}, r.childrenOf(d)...)
}

// childrenOf is what a digest consisted of last time; it is not modified.
func (r *remembered) childrenOf(d gate.Digest) []gate.Digest {
	if r.children == nil {
		return nil
	}
	children, _ := r.children.GetIfPresent(d)
	return children
}

// noteTag remembers what a tag names.
func (r *remembered) noteTag(key gate.TagKey, d gate.Digest) {
	if r.named != nil && d != "" && r.tag(key) != d {
		r.named.Set(copies.Owned(key), d)
	}
}

// noteChildren remembers what of an index is judged.
func (r *remembered) noteChildren(d gate.Digest, children []gate.Digest) {
	if r.children == nil {
		return
	}
	if old, ok := r.children.GetIfPresent(d); !ok || !slices.Equal(old, children) {
		r.children.Set(d, children)
	}
}
