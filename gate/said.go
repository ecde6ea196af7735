package gate

import "maps"

// Text is what is said to a person, before it is put into words: a key of the table in
// gate/refusal and the values of its parameters. It is made there (refusal.Say) and put
// into words there (refusal.English). The zero Text says nothing.
//
// It is a value that may be kept and sent; it is not modified once it is made.
type Text struct {
	Key string `json:"key"`
	// Values are parameters that are shown as they are, in every language: names,
	// numbers, times, and what was found in an input. They are not escaped or cut.
	Values map[string]string `json:"values,omitempty"`
	// Texts are parameters that are sentences themselves.
	Texts map[string]Text `json:"texts,omitempty"`
}

// IsZero reports whether t says nothing.
func (t Text) IsZero() bool { return t.Key == "" }

// same reports whether two texts say the same.
func (t Text) same(o Text) bool {
	return t.Key == o.Key && maps.Equal(t.Values, o.Values) && maps.EqualFunc(t.Texts, o.Texts, Text.same)
}
