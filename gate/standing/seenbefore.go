package standing

import (
	"context"
	"slices"
	"time"

	"github.com/digestgate/digestgate/gate"
)

// seenBefore gives findings that come back the time at which they were first seen, as far as
// the history of the digest has it: data that was rolled back, or an advisory that was
// withdrawn for a while, makes nothing new. It reports whether it changed any. shared says
// that the vulnerabilities are in use elsewhere. A history that cannot be read gives none.
func (s *Standing) seenBefore(ctx context.Context, d gate.Digest, f *gate.Findings, shared bool) (changed bool) {
	entries, err := s.Records.History(ctx, d, gate.HistoryQuery{})
	if err != nil {
		s.Log.Debug("reading when findings were first seen", "digest", d, "error", err)
		return false
	}
	first := map[gate.FindingKey]time.Time{}
	for i := range entries {
		if entries[i].Findings == nil {
			continue
		}
		gone := slices.Concat(entries[i].Findings.Fixed.List, entries[i].Findings.Missing)
		for j := range gone {
			v := &gone[j]
			if at, known := first[v.KeyParts()]; !v.FirstSeen.IsZero() && (!known || v.FirstSeen.Before(at)) {
				first[v.KeyParts()] = v.FirstSeen
			}
		}
	}
	if len(first) == 0 {
		return false
	}
	list := f.Vulnerabilities
	if shared {
		list = slices.Clone(list)
	}
	for i := range list {
		if at, known := first[list[i].KeyParts()]; known && at.Before(list[i].FirstSeen) {
			list[i].FirstSeen, changed = at, true
		}
	}
	if changed {
		f.Vulnerabilities = list
	}
	return changed
}
