// Package format is what the readers of vendors' advisory files have in common: the
// entries that they yield, the limits of what they take, decompression, clean text, XML
// without entities, and the names and versions of RPM packages. Each format has its
// reader in a package below this one; which bucket of a database an entry goes into is
// decided by scanner/advisory.
//
// A reader reads a file as a stream and yields one entry at a time. It never panics, it
// opens nothing, and it takes no more memory than the longest entry and what the format
// refers to from elsewhere in the file. A file that is not well-formed, or that exceeds a
// limit, is refused as a whole with the place of the fault. A statement inside a
// well-formed file that cannot be understood is left out and counted as a gap, with its
// place, because a fix that is left out silently reads as a clean image.
//
// Nothing here is safe for concurrent use; two readers of two files are independent.
package format
