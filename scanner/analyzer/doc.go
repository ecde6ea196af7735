// Package analyzer makes inventories of images: it is the worker's side of the
// disposable child digestgate-analyzer, in which everything hostile is parsed
// (DESIGN.md §3).
//
// One analysis goes like this. The manifest and the configuration are read and
// checked by the registry client. For each layer, or group of small layers that follow
// each other, that the layer cache does not know, one fresh child gets the compressed
// bytes of exactly these layers, while this side hashes, counts and limits them; what
// the child says about a layer is kept only if the bytes had the layer's digest, and for
// the same group only. A last child gets the layers' results and the configuration, no
// layer bytes, and answers with the inventory, of which this side writes everything that
// it knows itself (digest, layers, sizes, coverage, isolation).
//
// A child is never believed about bytes, time or progress, and never about more
// than its one unit: the worst that a hostile layer can do by taking over its
// process is to lie about the layers of its group, for images that have all of them.
//
// Coverage (gate.Inventory.Risks): vulnerabilities and secrets are looked at.
// The other risks are not looked at yet and say so, whatever is configured.
package analyzer
