// Package composition puts several advisory databases in Trivy's format together into
// one, so that the detectors, which read one, know what all of them know.
//
// The sources have an order; the first decides first. The rows of all sources are united:
// a source adds what those before it do not know, and hides nothing. Where two sources
// speak of one vulnerability in one package, the first of them decides, and what the
// other says otherwise is counted and named in the [Report]. Only where the operator says
// that a source replaces a bucket, or an ecosystem, are rows of later sources left out;
// they are counted too. The ecosystem of a language is one thing here although each of its
// publishers has a bucket of its own, because the detectors read all buckets of an
// ecosystem and would take the row of the bucket whose name sorts last.
//
// Rows of Red Hat are filed under numbers that only their own database explains, so that
// those of two databases cannot be united: the first source that has some is used. The
// same holds for buckets whose versions are compared by different rules. The report names
// what is not used, and the caller has to say it loudly.
//
// The same sources give the same bytes, whatever the machine. The sources are read where
// they lie and written package by package: what is in memory at a time is a package, and
// a few megabytes of pages. Its functions are safe for concurrent use.
package composition
