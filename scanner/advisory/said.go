package advisory

import (
	"cmp"
	"slices"
	"time"

	"github.com/digestgate/digestgate/scanner/advisory/format"
)

// said is what one advisory of a vendor says of one package and one vulnerability.
type said struct {
	names    format.Names
	arch     string
	state    format.State
	version  string
	noEpoch  bool
	asOf     time.Time // of the advisory; zero when it tells none
	advisory string
	severity string
}

// open reports whether a statement says that there is a flaw and no fix, or that it is not
// known yet whether there is a flaw.
func (s said) open() bool { return s.state != format.Fixed && s.state != format.NotAffected }

// settle decides between statements of a vendor about one package and one vulnerability,
// for each architecture:
//
//   - of several fixes the last counts, because the earlier ones were not enough;
//   - a later statement that there is a fix, or that the package is not affected, replaces
//     an earlier one that there is none; a document that lists the affected version beside
//     the fix says that the fix helps;
//   - otherwise a flaw without a fix counts, because no version is known to be safe.
//
// A statement without an architecture is about all of them. What is left is sorted, so
// that the same sources give the same bytes.
func settle(list []said, less func(a, b string) bool) []said {
	var out []said
	for _, names := range []format.Names{format.Binary, format.Source} {
		byArch := map[string][]said{}
		for _, s := range list {
			if s.names == names {
				byArch[s.arch] = append(byArch[s.arch], s)
			}
		}
		out = append(out, settleArches(byArch, less)...)
	}
	slices.SortFunc(out, compareSaid)
	return slices.CompactFunc(out, func(a, b said) bool { return compareSaid(a, b) == 0 })
}

// commonArches are those that images are made for, where a source does not say for which
// architectures there is no fix.
var commonArches = []string{"x86_64", "aarch64"}

func settleArches(byArch map[string][]said, less func(a, b string) bool) (out []said) {
	general := byArch[""]
	var covered []string // architectures with a fix
	for arch, own := range byArch {
		if arch == "" {
			continue
		}
		for _, s := range settleGroup(slices.Concat(own, general), less) {
			if !s.open() {
				covered = append(covered, arch)
			}
			if s.arch != "" {
				out = append(out, s)
			}
		}
	}
	for _, s := range settleGroup(general, less) {
		switch {
		case !s.open() || len(covered) == 0:
			out = append(out, s)
		case slices.Contains(covered, "noarch"):
		default:
			for _, arch := range commonArches {
				if !slices.Contains(covered, arch) {
					s.arch = arch
					out = append(out, s)
				}
			}
		}
	}
	return out
}

// settleGroup decides between statements about one architecture. There may be a fix with
// and one without an epoch left, of sources that write it and that do not.
func settleGroup(all []said, less func(a, b string) bool) []said {
	var open, clear *said
	fixed := map[bool]*said{}
	newestFix := time.Time{}
	for i := range all {
		s := &all[i]
		switch {
		case s.state == format.Fixed:
			f := fixed[s.noEpoch]
			if f == nil || less(f.version, s.version) || !less(s.version, f.version) && s.advisory < f.advisory {
				fixed[s.noEpoch] = s
			}
			if s.asOf.After(newestFix) {
				newestFix = s.asOf
			}
		case s.state == format.NotAffected:
			clear = newer(clear, s)
		default:
			open = newer(open, s)
		}
	}
	if open != nil && clear != nil && after(clear.asOf, open.asOf) {
		open = nil
	}
	if open != nil && (len(fixed) == 0 || open.version == "" && !after(newestFix, open.asOf)) {
		return []said{*open}
	}
	var out []said
	for _, noEpoch := range []bool{false, true} {
		if f := fixed[noEpoch]; f != nil {
			out = append(out, *f)
		}
	}
	return out
}

// after is false where one of the times is not known.
func after(a, b time.Time) bool { return !a.IsZero() && !b.IsZero() && a.After(b) }

func newer(old, s *said) *said {
	if old == nil || after(s.asOf, old.asOf) || old.version != "" && s.version == "" && !after(old.asOf, s.asOf) {
		return s
	}
	return old
}

func compareSaid(a, b said) int {
	return cmp.Or(
		cmp.Compare(a.names, b.names), cmp.Compare(a.state, b.state), cmp.Compare(a.version, b.version), cmp.Compare(a.arch, b.arch),
		cmp.Compare(a.advisory, b.advisory), cmp.Compare(a.severity, b.severity), compareBool(a.noEpoch, b.noEpoch),
	)
}

func compareBool(a, b bool) int {
	switch {
	case a == b:
		return 0
	case b:
		return -1
	}
	return 1
}
