package store

import (
	"math/bits"

	"github.com/digestgate/digestgate/gate"
)

// The kinds of job as stored: bits, so that a set of them is a number. They
// never change.
const (
	KindResolve = 1 << iota
	KindAnalyze
	KindProvenance
	AllKinds = KindResolve | KindAnalyze | KindProvenance
)

// KindBit is a kind as stored, 0 for an unknown one.
func KindBit(k gate.JobKind) int {
	switch k {
	case gate.JobResolve:
		return KindResolve
	case gate.JobAnalyze:
		return KindAnalyze
	case gate.JobProvenance:
		return KindProvenance
	}
	return 0
}

// KindOf is the kind of a bit, "" for an unknown one.
func KindOf(bit int) gate.JobKind {
	kinds := gate.JobKinds()
	if i := bits.TrailingZeros(uint(bit)); i < len(kinds) {
		return kinds[i]
	}
	return ""
}

// LostReason is the label of a job whose worker vanished: whatever killed the
// worker counts against the image like a crash of its child.
const LostReason = "scan_failed"

// maxErrorText bounds the error kept with a job, in bytes.
const maxErrorText = 1000

// Reason is what is kept of a job's error: its text, and the label of its
// class. Both are "" without an error.
func Reason(err error) (text, label string) {
	if err == nil {
		return "", ""
	}
	class, _ := gate.Classify(err)
	return gate.Printable(err.Error(), maxErrorText), class.Label
}
