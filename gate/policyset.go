package gate

import "time"

// PolicySet is the set of policies in force, as people see it: what every
// process on the store decides by.
type PolicySet struct {
	// Number is that of the activation, issued by the store; Content the digest
	// of the files.
	Number      int64
	Content     Digest
	ActivatedAt time.Time
	By          string // the process that activated it
	Program     string // its version
	Files       []PolicyFile
}

// PolicyFile is one file of a set.
type PolicyFile struct {
	Name string `json:"name"`
	Text string `json:"text"`
}
