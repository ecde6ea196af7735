package advisory

import (
	"fmt"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/scanner/advisory/format"
	"github.com/digestgate/digestgate/scanner/advisory/format/release"
	"github.com/digestgate/digestgate/scanner/distribution"
)

// suffixes count what the versions of a file say of the distribution that an operator names
// in its [feedFile].
type suffixes struct {
	agree, contradict int
	first             string // of those that contradict
}

// foreign reports whether a version says by its suffix that it is of another distribution
// than the operator named. Such a statement is a gap; a file in which most of them do is
// refused at its end: its versions would be compared with packages of something else, and
// every package would look fixed, or none.
func (f *vendorFile) foreign(t release.Target, s *format.Statement, e *format.Entry) bool {
	if f.feed == nil || f.feed.family == "" || s.Version == "" {
		return false
	}
	verdict, says := distribution.SuffixOf(t.Family, t.Bucket, s.Version)
	switch verdict {
	case distribution.SuffixAgrees:
		f.suffixes.agree++
	case distribution.SuffixContradicts:
		if f.suffixes.contradict++; f.suffixes.contradict == 1 {
			f.suffixes.first = fmt.Sprintf("%s says %s, but %s of %s %s ends in %s", feedFile, t.Bucket, gate.Quoted(s.Version, 80),
				gate.Printable(s.Package, 60), e.At, says)
		}
		f.gap(format.Gap{What: "package " + s.Package, Of: e.Advisory, At: e.At, Why: "its version " + gate.Printable(s.Version, 80) + " ends in " + says, Release: format.Release{t.Bucket}})
		return true
	}
	return false
}

// refusal says that a file is of another distribution than the operator named.
func (s suffixes) refusal() error {
	more := ""
	if s.contradict > 1 {
		more = fmt.Sprintf(" (and %d more like it)", s.contradict-1)
	}
	return fmt.Errorf("%s%s; %d agree; write the distribution and the release of the file in %s, or in distribution and release of the source: %w",
		s.first, more, s.agree, feedFile, gate.ErrInvalid)
}
