package admission

import (
	"bytes"
	"fmt"

	"go.yaml.in/yaml/v3"
)

// Bounds of one document of a file for trying things out. They are far above any
// object: an API server takes 3 MiB. A List of 800 Pods is within them.
const (
	maxDocumentBytes = 16 << 20
	// maxValues bounds keys and values; those behind an alias are counted at each use.
	// The YAML parser takes about 200 bytes for each.
	maxValues = 500_000
	// maxKeys bounds one mapping: the parser compares each key with all others. A
	// ConfigMap of 1 MiB has fewer.
	maxKeys = 10_000
	// maxLevels bounds nesting. What is reviewed has a lower bound (maxNesting); a
	// CustomResourceDefinition, which is passed over, may be deep.
	maxLevels = 1_000
)

// boundError says which bound a document exceeds.
type boundError struct{ text string }

func (e *boundError) Error() string { return e.text }

func overLimit(format string, args ...any) error {
	return &boundError{fmt.Sprintf(format, args...) + ", the limit for one document; give the objects of a List one by one: kubectl get … -o json | jq -c '.items[]' | digestgate admit -f -"}
}

func tooMany() error { return overLimit("it has more than %d keys and values", maxValues) }

func tooDeep() error {
	return &boundError{fmt.Sprintf("it nests deeper than %d levels, or an alias contains itself; no object of Kubernetes does", maxLevels)}
}

// atMost counts what may begin a value in a piece of YAML, before it is parsed: the
// parser makes at most two values for each. Such characters within texts count too,
// so the number is not exact.
func atMost(text []byte) int {
	n := 0
	for i, c := range text {
		switch c {
		case '\n', ',', '[', '{', ':':
			n++
		case '-', '?':
			if i+1 == len(text) || text[i+1] == ' ' || text[i+1] == '\n' || text[i+1] == '\t' {
				n++
			}
		}
	}
	return n
}

// measure walks what was parsed as the decoder will, following aliases, and refuses
// what would cost the decoder too much.
func measure(n *yaml.Node) error {
	left := maxValues
	return measureBelow(n, 0, &left)
}

func measureBelow(n *yaml.Node, level int, left *int) error {
	if *left--; *left < 0 {
		return tooMany()
	}
	if level > maxLevels {
		return tooDeep()
	}
	if n.Kind == yaml.AliasNode {
		return measureBelow(n.Alias, level+1, left)
	}
	if n.Kind == yaml.MappingNode {
		if err := measureKeys(n); err != nil {
			return err
		}
	}
	for _, c := range n.Content {
		if err := measureBelow(c, level+1, left); err != nil {
			return err
		}
	}
	return nil
}

// measureKeys refuses the second of two equal keys: the decoder would report each pair.
func measureKeys(n *yaml.Node) error {
	if len(n.Content) > 2*maxKeys {
		return &boundError{fmt.Sprintf("line %d: this mapping has more than %d keys, the limit for one mapping; split it", n.Line, maxKeys)}
	}
	seen := map[string]int{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key := n.Content[i]
		if key.Kind != yaml.ScalarNode {
			continue
		}
		if line, ok := seen[key.Value]; ok {
			return fmt.Errorf("line %d: key %.80q is already there at line %d; remove one of the two", key.Line, key.Value, line)
		}
		seen[key.Value] = key.Line
	}
	return nil
}

// jsonScan finds the end of a JSON value in braces, piece by piece.
type jsonScan struct {
	level, values   int
	inText, escaped bool
	closed          bool
}

// scan reports how much of a piece belongs to the value.
func (s *jsonScan) scan(piece []byte) (int, error) {
	for i := 0; i < len(piece); i++ {
		if s.inText {
			i += s.text(piece[i:])
			continue
		}
		switch piece[i] {
		case '"':
			s.inText = true
		case ',', ':':
			s.values++
		case '{', '[':
			s.values++
			s.level++
		case '}', ']':
			s.level--
			if s.closed = s.level <= 0; s.closed {
				return i + 1, nil
			}
		}
		switch {
		case s.values > maxValues:
			return i, tooMany()
		case s.level > maxLevels:
			return i, tooDeep()
		}
	}
	return len(piece), nil
}

// text passes over a text; it returns the place of its last byte in the piece.
func (s *jsonScan) text(piece []byte) int {
	for i := 0; i < len(piece); i++ {
		switch {
		case s.escaped:
			s.escaped = false
		case piece[i] == '\\':
			s.escaped = true
		case piece[i] == '"':
			s.inText = false
			return i
		default:
			if next := bytes.IndexAny(piece[i:], `"\`); next > 0 {
				i += next - 1
			} else if next < 0 {
				return len(piece) - 1
			}
		}
	}
	return len(piece) - 1
}
