package app

import (
	"fmt"
	"regexp"
	"strings"

	"github.com/digestgate/digestgate/gate"
)

// finding is something to say about a key.
type finding struct{ Path, Text string }

type Findings []finding

func (l *Findings) bad(path, format string, args ...any) {
	*l = append(*l, finding{path, fmt.Sprintf(format, args...)})
}

// Add takes what a part found below path. A part begins each problem with its
// key, relative to path or whole.
func (l *Findings) Add(path string, err error) {
	for _, text := range separate(err) {
		at := path
		if m := keyPattern.FindStringSubmatch(text); m != nil {
			key := m[1]
			text = text[len(m[0]):]
			if at = key; key != path && !strings.HasPrefix(key, path+".") && !strings.HasPrefix(key, path+"[") {
				at = path + "." + key
			}
		}
		*l = append(*l, finding{at, text})
	}
}

// keyPattern is a key at the beginning of a problem.
var keyPattern = regexp.MustCompile(`^([a-zA-Z][a-zA-Z0-9]*(?:\[[^\]]*\]|\.[a-zA-Z0-9_/-]+)*): `)

// separate takes joined errors apart, each as a text of its own that does not
// name the class of the error: a person reads it.
func separate(err error) []string {
	if err == nil {
		return nil
	}
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		var texts []string
		var parts []string
		for _, e := range joined.Unwrap() {
			texts = append(texts, e.Error())
			if e != gate.ErrInvalid {
				parts = append(parts, separate(e)...)
			}
		}
		if strings.Join(texts, "\n") == err.Error() {
			return parts
		}
	}
	class := gate.ErrInvalid.Error()
	text := strings.ReplaceAll(err.Error(), "\n"+class, "") // of a join inside
	text = strings.TrimSuffix(text, ": "+class)
	return []string{text}
}
