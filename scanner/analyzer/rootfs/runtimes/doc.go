// Package runtimes proves by experiment what images show when they run: it draws
// random stacks of layers, unpacks each with the runtimes' own unpackers, mounts
// the result where the runtime would, and compares every path with what package
// rootfs says about the same layers.
//
// It is a module of its own, so that no runtime's code gets into the program. It
// needs root and a kernel with overlayfs; without them its tests fail, they are
// never skipped. Every worker has a mount namespace and a tmpfs of its own, so
// that nothing is left behind, whatever ends the process.
//
// The files: stack.go and text.go (what a stack of layers is, and how it is
// written down), draw.go (random stacks), shrink.go (small counter-examples),
// bench.go (the namespace), rigs.go (the unpackers), tree.go (what is shown),
// compare.go (the properties). Past counter-examples are in testdata/cases.
package runtimes
