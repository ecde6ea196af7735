package gate

// BesideVEX is what was found beside an image in its registry: the VEX documents that are
// signed by sources which the operator names. It is kept with the inventory, and copied
// into findings. Whether a document counts is decided when policies are evaluated.
type BesideVEX struct {
	// Documents are sorted by Source and Digest, each about this image alone.
	Documents []BesideDocument `json:"documents,omitempty"`
	// Refused counts what does not count, by the reason.
	Refused map[string]int `json:"refused,omitempty"`
	// Unread: not everything could be read, and Documents have only what hides nothing.
	Unread bool `json:"unread,omitempty"`
	// Problem says why nothing could be looked for; the documents are those of before.
	Problem string `json:"problem,omitempty"`
}

// BesideDocument is one document.
type BesideDocument struct {
	Source string `json:"source"` // name of the entry in advisories.vex
	// Trusted identifies the key that has signed it, as the table of sources does.
	Trusted string `json:"trusted"`
	Digest  Digest `json:"digest"` // of the signed bytes
	// Statements is the document as scanner/joined/vex keeps it, in JSON.
	Statements string `json:"statements"`
}

// Alike is the same for what states the same; "" for nothing.
func (b *BesideVEX) Alike() string {
	if b == nil || len(b.Documents) == 0 {
		return ""
	}
	a := newAlike()
	for i := range b.Documents {
		d := &b.Documents[i]
		a.text(d.Source, d.Trusted, string(d.Digest), d.Statements)
	}
	return a.sum()
}
