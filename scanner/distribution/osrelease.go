package distribution

import (
	"fmt"
	"strings"

	"github.com/digestgate/digestgate/gate"
)

// osRelease is what an os-release file says (os-release(5)).
type osRelease struct {
	path                                             string
	id, idLike, version, versionID, name, prettyName string
	empty                                            bool // no assignment at all
}

// parseOSRelease reads the file as the manual page describes it: one assignment
// on a line, quoted as in a shell, the last one of a name counts.
func parseOSRelease(path, text string) osRelease {
	o := osRelease{path: path, empty: true}
	for line := range strings.Lines(strings.TrimPrefix(text, "\ufeff")) {
		key, value, ok := strings.Cut(strings.TrimSpace(line), "=")
		if !ok || strings.HasPrefix(key, "#") {
			continue
		}
		o.empty = false
		value = unquote(strings.TrimSpace(value))
		switch strings.TrimSpace(key) {
		case "ID":
			o.id = value
		case "ID_LIKE":
			o.idLike = value
		case "VERSION":
			o.version = value
		case "VERSION_ID":
			o.versionID = value
		case "NAME":
			o.name = value
		case "PRETTY_NAME":
			o.prettyName = value
		}
	}
	return o
}

// unquote undoes a shell's quotes and backslashes.
func unquote(s string) string {
	if len(s) >= 2 && (s[0] == '"' || s[0] == '\'') && s[len(s)-1] == s[0] {
		quote := s[0]
		s = s[1 : len(s)-1]
		if quote == '\'' {
			return s
		}
	}
	if !strings.Contains(s, `\`) {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+1 < len(s) {
			i++
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

// says is the file in words, for a refusal.
func (o osRelease) says() string {
	s := fmt.Sprintf("%s says ID=%s", o.path, gate.Quoted(o.id, 40))
	if o.versionID != "" {
		s += fmt.Sprintf(" VERSION_ID=%s", gate.Quoted(o.versionID, 40))
	}
	if n := o.prettyName; n != "" {
		s += fmt.Sprintf(" (%s)", gate.Printable(n, 60))
	}
	return s
}

// family is the family that ID names, "" for one that is not known here.
func (o osRelease) family() string {
	name := ids[strings.ToLower(o.id)]
	if name == "centos" && strings.Contains(strings.ToLower(o.name), "stream") {
		return "centos-stream" // the ID is the same
	}
	return name
}
