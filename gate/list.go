package gate

import "time"

// MaxPage is the most rows that one call of a list returns.
const MaxPage = 200

// ListedImage is one row of the list of images.
type ListedImage struct {
	Digest     Digest
	Kind       ManifestKind
	Platform   string
	State      State
	Decision   Outcome
	Counts     Counts
	Size       int64 // compressed layers, bytes
	AnalyzedAt time.Time
	SeenAt     time.Time
	Places     []Place
	// Accessories are the signatures, attestations and SBOMs about it.
	Accessories []Accessory
}

// Accessory is a manifest about another one, shown to people. That it is about the
// other one is only a claim, of itself, a tag or an index, and decides nothing.
type Accessory struct {
	Digest Digest
	Kind   ManifestKind
	Location
	Tag string // "" when it has none
}

// Place is a location of an image with the tags known to name it there.
type Place struct {
	Location
	Tags []string
	Gone bool
}

// ImageFilter narrows a list of images; zero values do not filter.
type ImageFilter struct {
	State      State
	Decision   Outcome
	Registry   string
	Repository string
	// Kind is a kind; without one the list leaves out what is shown with its image:
	// accessories, and indexes that list them; a Keyword that begins with sha256
	// finds them too.
	Kind ManifestKind
	// Keyword is part of a repository, a tag or a digest.
	Keyword string
	// Cursor continues a list; it is what the page before returned.
	Cursor string
	Limit  int // 1 to MaxPage; 0 is 50
}

// JobFilter narrows a list of jobs; zero values do not filter.
type JobFilter struct {
	State  JobState
	Kind   JobKind
	Digest Digest
	Cursor string
	Limit  int // 1 to MaxPage; 0 is 50
}
