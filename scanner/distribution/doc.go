// Package distribution decides which distribution a root file system is of, and whether
// its contents agree with that. It calculates on facts that the analyser child recorded
// ([gate.Distribution], packages) and does no I/O; its functions are safe for
// concurrent use.
//
// The rule: the family follows from ID of os-release(5), never from ID_LIKE. The
// release files beside it (etc/debian_version, etc/redhat-release, …), the package
// manager and the packages themselves (vendor, release tag, the package that brings the
// release files) must agree with it. A family whose advisories do not exist, and every
// contradiction, is a problem with a sentence: advisories of the wrong distribution
// match nothing, which reads as clean.
//
// The words for families are Trivy's (pkg/fanal/types/const.go), because its
// detectors are chosen by them; so is the form of the release, which is a file's
// text for some families ("12.4", "2 (Karoo)") and VERSION_ID for others.
// Nothing of Trivy is imported, so that both programs may link this package.
package distribution
