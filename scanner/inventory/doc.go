// Package inventory translates between Trivy's types and [gate.Inventory].
//
// [FromDetail] is used by the analyzer child, which has the merged result of
// Trivy's analysers; [ScanTarget] by matching, which feeds Trivy's detectors
// from the stored inventory. What the detectors read survives both directions
// and JSON in between; what they do not read (installed files, maintainers,
// lines in lock files, the graph of dependencies) is left out, because it costs
// two thirds of decoding time.
//
// The package imports Trivy's vocabulary and none of its machinery, so that
// both programs may link it. Its functions keep nothing and are safe for
// concurrent use on different values.
package inventory
