package store

import (
	"fmt"
	"time"
	"unicode/utf8"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/store/packed"
)

const (
	// MaxHistory is how many entries the history of a digest keeps: a change of its
	// findings and one of its verdicts on each of 90 days, and some. The oldest go first.
	MaxHistory = 200
	// MaxHistoryEntry is more than any entry takes, in bytes.
	MaxHistoryEntry = 64 << 10

	historyText = 256     // bytes of one text
	historyList = 6 << 10 // bytes of the texts of one list
)

// HistoryPiece is an entry as it is stored, without what identifies it.
type HistoryPiece struct {
	Number int64     `json:"number"`
	At     time.Time `json:"at"`
	Data   []byte    `json:"data"`
}

// EncodeHistory is the stored form of a change: bounded, without its digest and time, which
// stand beside it. gate.ErrInvalid: it has a time that cannot be stored.
func EncodeHistory(c *gate.StandingChange) ([]byte, error) {
	return packed.AppendChange(nil, bounded(c))
}

// DecodeHistory reads an entry. Any error means that it is damaged, or that a later version
// has written it.
func DecodeHistory(d gate.Digest, p HistoryPiece) (gate.HistoryEntry, error) {
	if len(p.Data) > MaxHistoryEntry {
		return gate.HistoryEntry{}, fmt.Errorf("entry %d has %d bytes: %w", p.Number, len(p.Data), packed.ErrDamaged)
	}
	c, err := packed.Change(p.Data)
	if err != nil {
		return gate.HistoryEntry{}, fmt.Errorf("entry %d: %w", p.Number, err)
	}
	c.Digest, c.At = d, p.At
	return gate.HistoryEntry{Number: p.Number, StandingChange: *c}, nil
}

// VerdictHistory is the entry of verdicts that were just written in the place of others, nil
// when nothing that is kept differs.
func VerdictHistory(basis gate.Basis, replaced, fresh []gate.Verdict) *gate.StandingChange {
	c := gate.StandingChange{Event: basis.Event, Generation: basis.Generation}
	c.Verdicts, c.MoreVerdicts = gate.VerdictChanges(replaced, fresh)
	if c.Empty() {
		return nil
	}
	return &c
}

// bounded is a copy of what is stored of a change.
func bounded(c *gate.StandingChange) *gate.StandingChange {
	out := *c
	if c.Findings != nil {
		f := *c.Findings
		if f.First {
			f.Found.List = nil
		}
		f.Found.List = within(f.Found.List, findingTexts)
		f.Fixed.List = within(f.Fixed.List, findingTexts)
		f.Missing = within(f.Missing, findingTexts)
		all := len(f.Severity)
		f.Severity = within(f.Severity, func(s *gate.SeverityChange) []*string {
			return append(findingTexts(&s.Vulnerability), (*string)(&s.Before))
		})
		f.MoreSeverity += all - len(f.Severity)
		f.Before.Unassessable, f.After.Unassessable = cut(f.Before.Unassessable), cut(f.After.Unassessable)
		out.Findings = &f
	}
	all := len(c.Verdicts)
	out.Verdicts = within(c.Verdicts, func(v *gate.VerdictChange) []*string {
		v.Before.PolicyRevision = "" // the entry before has it
		list := []*string{&v.Location.Registry, &v.Location.Repository, &v.After.PolicyRevision}
		for _, ref := range []*gate.VerdictRef{&v.Before, &v.After} {
			ref.Rules = append([]string(nil), ref.Rules[:min(len(ref.Rules), gate.MaxChanged)]...)
			for i := range ref.Rules {
				list = append(list, &ref.Rules[i])
			}
		}
		return list
	})
	out.MoreVerdicts += all - len(out.Verdicts)
	return &out
}

func findingTexts(v *gate.Vulnerability) []*string {
	return []*string{&v.ID, &v.Package, &v.PackageID, &v.Type, &v.Path, &v.InstalledVersion, &v.FixedVersion, (*string)(&v.Severity)}
}

// within copies the beginning of a list whose texts, each cut, are within historyList.
func within[T any](list []T, texts func(*T) []*string) []T {
	var out []T
	left := historyList
	for i := range min(len(list), gate.MaxChanged) {
		one := list[i]
		for _, s := range texts(&one) {
			*s = cut(*s)
			left -= len(*s)
		}
		if left < 0 {
			break
		}
		out = append(out, one)
	}
	return out
}

// cut is the beginning of a long text, in whole characters.
func cut(s string) string {
	if len(s) <= historyText {
		return s
	}
	n := historyText
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}

// HistoryKept is the time before which entries are not shown and are removed, for a store
// that keeps them for a time, 0 for no limit; the zero time then.
func HistoryKept(now time.Time, keep time.Duration) time.Time {
	if keep <= 0 {
		return time.Time{}
	}
	return now.Add(-keep)
}

// HistoryWanted cuts entries, the newest first, to what a query asks for.
func HistoryWanted(q gate.HistoryQuery, p HistoryPiece, have int) (take, more bool) {
	limit := MaxHistory
	if q.Limit > 0 {
		limit = min(limit, q.Limit)
	}
	if have >= limit || !q.Since.IsZero() && p.At.Before(q.Since) {
		return false, false
	}
	return q.Before <= 0 || p.Number < q.Before, true
}

// checkHistory refuses entries of a piece that no store has written.
func checkHistory(list []HistoryPiece) error {
	if len(list) > MaxHistory {
		return gate.ErrTooLarge
	}
	last := int64(0)
	for _, p := range list {
		if p.Number <= last || len(p.Data) > MaxHistoryEntry {
			return gate.ErrInvalid
		}
		last = p.Number
	}
	return nil
}
