package admission

import (
	"slices"
	"strings"

	"github.com/digestgate/digestgate/gate"
)

// moreWarnings is the last warning when not all have room.
const moreWarnings = "digestgate: there are more warnings"

// warnReasons adds what an answer says whatever its outcome.
func (r *Response) warnReasons(j *checkedPlace, details Details) {
	if len(j.answer.Warnings)+len(j.answer.Warns) == 0 || r.full() {
		return
	}
	var room [512]byte // on the stack: most warnings end here
	row := append(j.appendPath(append(room[:0], "digestgate: "...)), ": "...)
	row = append(appendQuote(row, j.image, 100), ": "...)
	if len(row) > maxWarning-len("...") {
		row = slices.Clip(row) // nothing cuts it in place
	}
	for _, w := range j.answer.Warnings {
		if r.full() {
			return
		}
		r.warnLine(appendLine(row, "", w, details))
	}
	for i := range j.answer.Warns {
		// Images have dozens of warnings, and an answer has room for some.
		if r.full() {
			return
		}
		w := &j.answer.Warns[i]
		r.warnLine(appendLine(row, w.Rule, w.Msg, details))
	}
}

// appendLine appends what a reason says: "rule: message", without credentials, and only
// what is in front of the first ": " where details say so.
func appendLine(b []byte, rule, msg string, details Details) []byte {
	if strings.Contains(rule, "://") || strings.Contains(msg, "://") {
		line := gate.Reason{Rule: rule, Msg: msg}.Line()
		if details == DetailsRule {
			line, _, _ = strings.Cut(line, ": ")
		}
		return append(b, scrub(line)...)
	}
	switch {
	case details == DetailsRule && rule != "":
		rule, _, _ = strings.Cut(rule, ": ")
		return append(b, rule...)
	case details == DetailsRule:
		msg, _, _ = strings.Cut(msg, ": ")
	case rule != "":
		b = append(append(b, rule...), ": "...)
	}
	return append(b, msg...)
}

// full reports whether a warning was left out already.
func (r *Response) full() bool {
	n := len(r.Warnings)
	return n > 0 && r.Warnings[n-1] == moreWarnings
}

// warn adds a warning within the limits; what does not fit is counted in the
// last one. Room for the operators' line is kept.
func (r *Response) warn(w string) {
	switch r.room(len(w), func(other string) bool { return other == w }) {
	case fits:
		r.Warnings = append(r.Warnings, gate.Printable(w, maxWarning))
	case tooMuch:
		r.Warnings = append(r.Warnings, moreWarnings)
	}
}

// warnLine is warn for the printable form of a text that is used again afterwards.
func (r *Response) warnLine(line []byte) {
	line = shown(line)
	switch r.room(len(line), func(other string) bool { return other == string(line) }) {
	case fits:
		if r.said.Cap() == 0 { // all of them have room here
			r.said.Grow(maxWarnings)
			r.Warnings = append(make([]string, 0, len(r.Warnings)+maxWarnings/128), r.Warnings...)
		}
		from := r.said.Len()
		r.said.Write(line)
		r.Warnings = append(r.Warnings, r.said.String()[from:])
	case tooMuch:
		r.Warnings = append(r.Warnings, moreWarnings)
	}
}

// shown is [gate.Printable] of a warning, in place where that is possible.
func shown(line []byte) []byte {
	if !printable(line[:min(len(line), maxWarning)]) {
		return []byte(gate.Printable(string(line), maxWarning))
	}
	if len(line) > maxWarning {
		copy(line[maxWarning-3:], "...")
		line = line[:maxWarning]
	}
	return line
}

// What there is for one more warning.
const (
	fits    = iota
	said    // it was added before
	tooMuch // it is the first that does not fit after the last one
	left    // the last one says that there are more
)

// room says what there is for a warning of a length; is tells the one that it is.
func (r *Response) room(length int, is func(other string) bool) int {
	total := len(contactWarning(r.contact))
	for _, other := range r.Warnings {
		if is(other) {
			return said
		}
		total += len(other)
	}
	switch {
	case total+length+len(moreWarnings) <= maxWarnings:
		return fits
	case r.full():
		return left
	}
	return tooMuch
}
