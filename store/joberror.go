package store

import (
	"encoding/json"
	"strings"

	"github.com/digestgate/digestgate/gate"
)

// JoinError is the error of a job as it is stored: its text, which is one line,
// and its causes in a second one. A version that knows no causes shows both as the
// text.
func JoinError(text string, causes []gate.Cause) string {
	if len(causes) == 0 {
		return text
	}
	list, err := json.Marshal(causes)
	if err != nil {
		return text // strings and times of this century always marshal
	}
	return text + "\n" + string(list)
}

// SplitError reads what [JoinError] has made. Causes that cannot be read are left
// out: the text and the class of the error say something without them.
func SplitError(stored string) (text string, causes []gate.Cause) {
	text, list, ok := strings.Cut(stored, "\n")
	if ok && json.Unmarshal([]byte(list), &causes) != nil {
		causes = nil
	}
	return gate.Printable(text, maxErrorText), causes
}
