package refusal

import (
	"fmt"
	"strings"

	"github.com/digestgate/digestgate/gate"
)

// P are the values of a key's parameters by their names. A value that is a [gate.Text]
// is put into words with the rest; every other one is shown as fmt.Sprint has it.
type P map[string]any

// Say makes a text. The parameters are those of the key in the table; a test reads every
// call.
func Say(key Key, p P) gate.Text {
	t := gate.Text{Key: string(key)}
	for name, value := range p {
		if inner, ok := value.(gate.Text); ok {
			if t.Texts == nil {
				t.Texts = map[string]gate.Text{}
			}
			t.Texts[name] = inner
			continue
		}
		if t.Values == nil {
			t.Values = map[string]string{}
		}
		t.Values[name] = fmt.Sprint(value)
	}
	return t
}

// Fits reports what is wrong with a text: a key that is not in the table, a parameter
// that it lacks or that its key does not have. It is for tests; [English] is total.
func Fits(t gate.Text) error {
	m, ok := table[Key(t.Key)]
	if !ok {
		return fmt.Errorf("no such key: %q", t.Key)
	}
	for name, kind := range m.Params {
		_, value := t.Values[name]
		_, text := t.Texts[name]
		if value == text || text != (kind == Inner) {
			return fmt.Errorf("%s: {%s} is missing or of another kind", t.Key, name)
		}
	}
	if n := len(t.Values) + len(t.Texts); n != len(m.Params) {
		return fmt.Errorf("%s: %d parameters instead of %d", t.Key, n, len(m.Params))
	}
	for _, inner := range t.Texts {
		if err := Fits(inner); err != nil {
			return err
		}
	}
	return nil
}

// All is one text that says several, in their order.
func All(texts ...gate.Text) gate.Text {
	var all gate.Text
	for _, t := range texts {
		switch {
		case all.IsZero():
			all = t
		case !t.IsZero():
			all = Say(And, P{"one": all, "more": t})
		}
	}
	return all
}

// English puts a text into words. It is total: whatever t is, the result holds no
// credential, line break or control character of a parameter, and has no full stop.
func English(t gate.Text) string { return english.Render(t) }

// Words of a key in one language.
type Words struct {
	// Say is what is wrong, with {name} for each parameter.
	Say string
	// Do is what to do next; "" where Say or what the text is a part of says it.
	Do string
}

// Language is the table in one language. It is not modified.
type Language struct {
	Words map[Key]Words
	// Retry follows what a controller that retries gets over by itself.
	Retry string
	// Then stands between what is wrong and what to do.
	Then string
}

// maxDepth bounds texts in texts; ours are three deep.
const maxDepth = 12

// Render puts a text into words. A key that the language does not have, which Missing
// would have said, is said in English, and one that no table has as itself.
func (l Language) Render(t gate.Text) string { return l.render(t, 0) }

func (l Language) render(t gate.Text, depth int) string {
	key := Key(t.Key)
	m, known := table[key]
	words, ok := l.Words[key]
	if !ok {
		words = english.Words[key]
	}
	if !known || depth > maxDepth {
		return gate.Printable(t.Key, Name.limit())
	}
	parts := []string{words.Say}
	if words.Do != "" {
		parts = append(parts, words.Do)
	}
	if m.Retries {
		parts = append(parts, l.Retry)
	}
	return fill(strings.Join(parts, l.Then), func(name string) string {
		if m.Params[name] == Inner {
			return l.render(t.Texts[name], depth+1)
		}
		return m.Params[name].show(t.Values[name])
	})
}

// fill replaces each {name} by its value, which is not looked at again.
func fill(s string, value func(name string) string) string {
	var b strings.Builder
	for {
		before, rest, ok := strings.Cut(s, "{")
		b.WriteString(before)
		if !ok {
			return b.String()
		}
		name, after, _ := strings.Cut(rest, "}")
		b.WriteString(value(name))
		s = after
	}
}

// Missing lists what a language lacks or says wrongly, nil when it is complete: a key
// without words, words of an unknown key, a parameter that is not used or that the key
// does not have.
func (l Language) Missing() []string {
	var missing []string
	for key, m := range table {
		words, ok := l.Words[key]
		if !ok || words.Say == "" {
			missing = append(missing, fmt.Sprintf("%s: no words", key))
			continue
		}
		used := map[string]bool{}
		fill(words.Say+words.Do, func(name string) string {
			used[name] = true
			if _, ok := m.Params[name]; !ok {
				missing = append(missing, fmt.Sprintf("%s: it has no parameter {%s}", key, name))
			}
			return ""
		})
		for name := range m.Params {
			if !used[name] {
				missing = append(missing, fmt.Sprintf("%s: {%s} is not said", key, name))
			}
		}
	}
	for key := range l.Words {
		if _, ok := table[key]; !ok {
			missing = append(missing, fmt.Sprintf("%s: no such key", key))
		}
	}
	if l.Retry == "" || l.Then == "" {
		missing = append(missing, "Retry and Then: no words")
	}
	return missing
}
