package catalog

import "context"

// SegmentEvery makes segments of so many sets.
func (h *Holdings) SegmentEvery(sets int) { h.segmentSets = sets }

// PageKeys ends a page after so many keys.
func (h *Holdings) PageKeys(n int) { h.pageKeys = n }

// Tidy removes what no image holds now.
func (h *Holdings) Tidy(ctx context.Context) error {
	h.stepping.Lock()
	defer h.stepping.Unlock()
	return h.removeUnused(ctx)
}

// Rebuild builds the catalog again, as after a gap in the feed.
func (c *Catalog) Rebuild(ctx context.Context) error { return c.rebuild(ctx) }
