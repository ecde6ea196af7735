// Package retention says for how long what grows is kept, and forgets the images that no
// registry has any more. An image that is forgotten counts as one that was never seen, but
// for its digest and its charge: when it comes back, it is analysed again and not charged
// again. What may be forgotten, and why, is docs/adr/0052-forgetting.md.
//
// A value of this package belongs to one goroutine at a time, but for [Metrics].
package retention
