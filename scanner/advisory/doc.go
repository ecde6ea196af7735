// Package advisory keeps the advisory data that matching needs: it opens, checks and
// copies a database in Trivy's format, activates it as a generation, swaps it while
// matching continues, compares two generations, and builds such a database from
// advisory sources.
//
// A database is a directory with two files: trivy.db, a bbolt file, and
// metadata.json with its schema version and the time of the data. The
// operator's directory is never read while matching: a new content is copied
// into dataDir/advisories/<digest> first, checked there from the first page to
// the last, and only then taken into use. A directory that is missing, torn or
// too new for this version leaves the running generation in force and is
// reported by [Manager.Status].
//
// Matching itself is scanner/match; this package hands it directories through
// [Loader]. Nothing here uses the package-global connection of trivy-db, so
// that building and comparing are safe while a matcher runs in the same
// process. A [Manager] is safe for concurrent use.
package advisory
