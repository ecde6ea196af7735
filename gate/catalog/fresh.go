package catalog

import (
	"context"
	"time"

	"github.com/digestgate/digestgate/gate"
)

// Fresh are the lists of a catalog that shows everything that is stored: a caller
// that has seen a job end, for example, must find the tag that the job confirmed.
// A list waits for that, at most for catchUpTimeout.
type Fresh struct{ *Catalog }

// catchUpTimeout bounds what a list waits for; then it shows what there is.
const catchUpTimeout = 2 * time.Second

// Fresh are these lists, each brought up to date before it answers.
func (c *Catalog) Fresh() Fresh { return Fresh{c} }

func (l Fresh) catchUp(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, catchUpTimeout)
	defer cancel()
	_ = l.Catalog.CatchUp(ctx) // what follows the feed logs it
}

// Images is the list of the catalog, caught up; see [Catalog.Images].
func (l Fresh) Images(ctx context.Context, f gate.ImageFilter) ([]gate.ListedImage, string, error) {
	l.catchUp(ctx)
	return l.Catalog.Images(ctx, f)
}

// Places is the list of the catalog, caught up; see [Catalog.Places].
func (l Fresh) Places(ctx context.Context, d gate.Digest) ([]gate.Place, error) {
	l.catchUp(ctx)
	return l.Catalog.Places(ctx, d)
}

// Jobs is the list of the catalog, caught up; see [Catalog.Jobs].
func (l Fresh) Jobs(ctx context.Context, f gate.JobFilter) ([]gate.Job, string, error) {
	l.catchUp(ctx)
	return l.Catalog.Jobs(ctx, f)
}

// Accessories is the list of the catalog, caught up; see [Catalog.Accessories].
func (l Fresh) Accessories(ctx context.Context, d gate.Digest) ([]gate.Accessory, error) {
	l.catchUp(ctx)
	return l.Catalog.Accessories(ctx, d)
}

// Waiting is the list of the catalog, caught up; see [Catalog.Waiting].
func (l Fresh) Waiting(ctx context.Context) (int64, error) {
	l.catchUp(ctx)
	return l.Catalog.Waiting(ctx)
}
