package refusal

import "github.com/digestgate/digestgate/gate"

// Kind is how a parameter is shown: what is done to it so that it cannot break out of
// its sentence.
type Kind int

// The kinds of parameters.
const (
	// Quote is a value of a client, or one that may be: in quotation marks, escaped.
	Quote Kind = iota + 1
	// Name is a word of a closed set, of the configuration, or a digest.
	Name
	// Found is a sentence, or a part of one, that was found elsewhere: what hashed
	// bytes hold, what a store reports, what is wrong with a reference.
	Found
	// Number, Time and Span are formatted by the one who says them: a time as
	// gate.Clock has it.
	Number
	Time
	Span
	// Inner is a text of this table.
	Inner
)

// limit is how many bytes of a value are shown.
func (k Kind) limit() int {
	switch k {
	case Quote:
		return 300
	case Name:
		return 300
	case Found:
		return 4096 // those who show it cut the whole, at less
	}
	return 60
}

// show makes a value fit for a sentence.
func (k Kind) show(value string) string {
	if k == Quote {
		return gate.Quoted(value, k.limit())
	}
	return gate.Printable(value, k.limit())
}
