// Package archive reads images from files: what "docker save" and "podman save"
// write, and the image layout of OCI, as a tar archive (also compressed with gzip
// or zstd) or as a directory. It serves an image of such a file as a registry
// would, so that readers of registries read archives by the same rules: every
// limit holds, and every byte is checked against its digest there, not here.
//
// It does not judge or interpret an image. What a file says is the claim of its
// author. An Archive is safe for concurrent use.
package archive
