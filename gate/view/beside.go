package view

import "github.com/digestgate/digestgate/gate"

// BesideDetail is what was found beside an image in its registry when it was analysed.
type BesideDetail struct {
	Documents []BesideDocument `json:"documents"`
	// Refused counts what does not count, by the reason.
	Refused map[string]int `json:"refused"`
	// Unread: not everything could be read, so that no document hides anything.
	Unread bool `json:"unread,omitempty"`
	// Problem says why nothing could be looked for; the documents are those of before.
	Problem string `json:"problem,omitempty"`
}

// BesideDocument is a VEX document that a source has signed.
type BesideDocument struct {
	Source string      `json:"source"` // name of the entry in advisories.vex
	Digest gate.Digest `json:"digest"`
}

func besideDetail(b *gate.BesideVEX) *BesideDetail {
	if b == nil {
		return nil
	}
	d := &BesideDetail{Documents: []BesideDocument{}, Refused: map[string]int{}, Unread: b.Unread, Problem: b.Problem}
	for _, one := range b.Documents {
		d.Documents = append(d.Documents, BesideDocument{one.Source, one.Digest})
	}
	for why, n := range b.Refused {
		d.Refused[why] = n
	}
	return d
}
