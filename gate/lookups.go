package gate

// Lookups are the places in the advisory data on which the findings of one image
// depend: where a match reads, and what it read there before. All texts are opaque
// but to the matcher that made them; texts of one format are compared with one
// another only.
type Lookups struct {
	// Class is what all packages depend on together: the release of the
	// distribution, the ecosystems. Many images have the same.
	Class string
	// Packages name what is looked up for each package. Those of the distribution and
	// those of languages are apart, because images share the former with their base.
	// Both are sorted.
	Packages, Libraries []string
	// Vulnerabilities are those that were found, sorted.
	Vulnerabilities []string
}

// Touched says which lookups give something else than before, after advisory data was
// replaced by other data. What is not touched would be found again as it was.
type Touched struct {
	// Packages and Vulnerabilities are those of Lookups with other advisories or other
	// records.
	Packages, Vulnerabilities []string
	// Package reports whether one more of the packages is touched; nil is none.
	Package func(key string) bool
	// Release is called when nothing more is asked; it may be nil.
	Release func()
	// Class reports whether every image of a class is touched. It is nil when none is.
	Class func(class string) bool
}

// Holding is what is known of the present findings of one image.
type Holding struct {
	Digest   Digest
	Findings [32]byte // the hash in Record.FindingsID
	// Generation and Advisories are those that the findings were matched with.
	Generation int64
	Advisories Digest
	Touched    bool
}
