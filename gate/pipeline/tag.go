package pipeline

import (
	"context"

	"github.com/digestgate/digestgate/gate"
)

// HeadTag asks a registry, which is at host, which digest a tag names, without reading
// the manifest. The answer counts only for a digest that was read and hashed before.
// Errors: those of Source.Head; ErrOtherHost when the registry is no longer at host, so
// that it is not known which was asked.
func (p *Pipeline) HeadTag(ctx context.Context, key gate.TagKey, host string) (gate.Digest, error) {
	d, err := p.Source.Head(ctx, key.Location, key.Tag)
	if p.Registries.HostOf(key.Registry) != host {
		return "", gate.ErrOtherHost
	}
	return d, err
}

// ReadTag reads and hashes the manifest that a tag names. Errors: those of
// Source.Resolve; ErrOtherHost as for HeadTag.
func (p *Pipeline) ReadTag(ctx context.Context, key gate.TagKey, host string) (gate.Manifest, error) {
	m, err := p.Source.Resolve(ctx, key.Location, key.Tag)
	if p.Registries.HostOf(key.Registry) != host {
		return gate.Manifest{}, gate.ErrOtherHost
	}
	return m, err
}
