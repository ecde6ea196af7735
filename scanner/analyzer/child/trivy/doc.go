// Package trivy holds copies of those of Trivy's packages that only differ from
// the originals in what they import: the framework that its analysers register with,
// the analysers themselves, and the applier.
//
// Trivy's framework has one option whose type comes from its scanner of
// configuration files, and so every analyser links clients of clouds and clusters:
// 1,900 packages, whose initialisation took most of the 0.1 s that a child needed
// before its first byte, and 120 MB of its file. The copies leave that option out, and the
// analyser of rpm knows vendors that Trivy does not. Nothing else is changed: a test compares each file with the pinned module, and
//
//	go test ./scanner/analyzer/child/trivy -update
//
// writes them again after the version has changed in go.mod. The parsers below
// the analysers are linked from the module as they are.
//
// Trivy is Copyright Aqua Security Software Ltd., under the Apache License,
// version 2.0, like digestgate.
package trivy
