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
// written down), draw.go, kinds.go and grow.go (random stacks), shrink.go (small
// counter-examples), bench.go, hang.go and quiet.go (the namespace, and what
// unpackers need or disturb), rigs.go (the unpackers), tree.go (what is shown),
// compare.go (the properties), flavours.go (images for the analyser). Past
// counter-examples are cases in testdata/cases (case.go).
//
// To repeat one stack of a run: go test -run TestStacks -seed S -first N -stacks 1.
// To look at one that is written by hand: go test -run TestShow -v -show FILE.
package runtimes
