package javaindex

import (
	"encoding/json"
	"path"
	"regexp"
	"strings"

	"github.com/digestgate/digestgate/gate"
)

// Question is all that the answer about an archive depends on.
type Question struct {
	SHA1 string `json:"s"`
	// What the manifest says; each may be "".
	Group    string `json:"g,omitempty"`
	Artifact string `json:"a,omitempty"`
	Version  string `json:"v,omitempty"`
	// What the name of the file says.
	FileArtifact string `json:"fa,omitempty"`
	FileVersion  string `json:"fv,omitempty"`
}

// fileName is how archives in repositories are called (trivy's jar/parse.go).
var fileName = regexp.MustCompile(`^([a-zA-Z0-9\._-]*[^-*])-(\d\S*(?:-SNAPSHOT)?)\.jar$`)

// QuestionOf is what an index is asked about an archive; ok is false for one that names
// itself as its file is called.
func QuestionOf(a *gate.JavaArchive) (q Question, ok bool) {
	q.SHA1 = a.SHA1
	if m := fileName.FindStringSubmatch(path.Base(a.Path())); m != nil {
		q.FileArtifact, q.FileVersion = m[1], m[2]
	}
	switch a.By {
	case gate.ArchiveByPom:
		// It is what its pom.properties says, or a copy of that is in something else.
		return Question{SHA1: q.SHA1}, a.Artifact == "" || a.Artifact != q.FileArtifact || a.Version != q.FileVersion
	case gate.ArchiveByManifest:
		q.Group, q.Artifact, q.Version = a.Group, a.Artifact, a.Version
	}
	return q, true
}

// keyPrefix begins the keys of questions among the lookups of images.
const keyPrefix = "java\x00"

// Key is the question as a text, for what is kept of images.
func (q Question) Key() string {
	text, err := json.Marshal(q)
	if err != nil {
		panic(err) // texts always marshal
	}
	return keyPrefix + string(text)
}

// QuestionIn is the question of a key; ok is false for other texts.
func QuestionIn(key string) (q Question, ok bool) {
	text, ok := strings.CutPrefix(key, keyPrefix)
	return q, ok && json.Unmarshal([]byte(text), &q) == nil
}
