// Package download brings advisory data from OCI registries: Trivy's database and its
// index of Java archives, and any other of the same form.
//
// A [Downloader] asks repositories in the order in which they are configured, until one
// has what is wanted. A tag is only a question: what counts is the digest of the manifest
// that it names, from which the digest of the one layer follows, and all that is handed on
// are bytes that were hashed against it. Nothing is downloaded while the manifest in force
// is the one that is offered.
//
// What arrives is hostile until then, and bounded all along: the manifest, the layer, each
// file in it, and the free space of the disk that it is written to. A transfer that breaks
// continues where it ended, also in the next process. A mirror that fails, or that wants
// a pause, rests with a growing wait; the next one is asked meanwhile.
//
// The package knows nothing of what the files mean. Whether a database is one, and whether
// it may replace the one in force, is judged by the caller's Accept: see
// advisory.Inspect and advisory.Judge. Activation, agreement between processes and their
// turns are not here either: a Downloader does what it is told, one thing at a time.
//
// All connections are those of scanner/registry, and so of gate/outbound; no library dials
// by itself. A Downloader is safe for concurrent use.
package download
