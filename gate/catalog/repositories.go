package catalog

import (
	"context"

	"github.com/digestgate/digestgate/gate"
)

// Repositories lists the repositories of a registry in which a tag is known.
func (c *Catalog) Repositories(ctx context.Context, registry string) ([]string, error) {
	return all(ctx, c, "listing repositories", column[string],
		"SELECT DISTINCT repository FROM tags WHERE registry = ? ORDER BY repository", registry)
}

// RepositoryTags lists the tags known in a repository.
func (c *Catalog) RepositoryTags(ctx context.Context, loc gate.Location) ([]string, error) {
	return all(ctx, c, "listing tags of a repository", column[string],
		"SELECT tag FROM tags WHERE registry = ? AND repository = ? ORDER BY tag", loc.Registry, loc.Repository)
}
