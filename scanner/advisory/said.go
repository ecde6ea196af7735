package advisory

import (
	"cmp"
	"slices"
	"strings"
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
//     an earlier one that there is none. One that names the version that is not affected says
//     nothing of those before it; one that names an affected version before the fix says that
//     the fix helps;
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

// otherArches are those that a flaw without a fix is about where its source names none, and
// another statement says that some of them have a fix.
var otherArches = []string{
	"x86_64", "aarch64", "loongarch64", "riscv64", "sw_64", "mips64el", "ppc64le", "s390x", "armv7hl", "i686", "i586", "i486", "i386",
}

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
			for _, arch := range otherArches {
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
	fixed := map[bool]*said{}
	newestFix := time.Time{}
	fix := func(s *said) {
		f := fixed[s.noEpoch]
		if f == nil || less(f.version, s.version) || !less(s.version, f.version) && s.advisory < f.advisory {
			fixed[s.noEpoch] = s
		}
	}
	var opens, clears []*said
	for i := range all {
		switch s := &all[i]; s.state {
		case format.Fixed:
			fix(s)
			if s.asOf.After(newestFix) {
				newestFix = s.asOf
			}
		case format.NotAffected:
			clears = append(clears, s)
		default:
			opens = append(opens, s)
		}
	}
	// A fix helps against what was affected before it, or in an earlier document.
	helps := func(open *said) bool {
		if len(fixed) == 0 || after(newestFix, open.asOf) {
			return len(fixed) > 0
		}
		return open.version != "" && (fixed[false] == nil || earlier(open, fixed[false], less)) && (fixed[true] == nil || earlier(open, fixed[true], less))
	}
	var left *said
	var since []said
	for _, open := range opens {
		if helps(open) {
			continue
		}
		switch clear := cleared(open, clears, less); {
		case clear == nil:
			left = newer(left, open)
		case clear.version != "":
			since = append(since, notSince(open, clear))
		}
	}
	if left != nil {
		return []said{*left}
	}
	for i := range since {
		fix(&since[i])
	}
	var out []said
	for _, noEpoch := range []bool{false, true} {
		if f := fixed[noEpoch]; f != nil {
			out = append(out, *f)
		}
	}
	return out
}

// cleared is the later statement that a package is not affected, nil for none. One about
// all versions counts before one about a version, and the last version before others.
func cleared(open *said, clears []*said, less func(a, b string) bool) (by *said) {
	for _, c := range clears {
		if after(c.asOf, open.asOf) && (by == nil || by.version != "" && (c.version == "" || earlier(by, c, less))) {
			by = c
		}
	}
	return by
}

// notSince is what a flaw without a fix becomes when a later document says that a version
// is not affected: earlier ones still are.
func notSince(open, clear *said) said {
	s := *clear
	s.state, s.arch, s.severity = format.Fixed, cmp.Or(clear.arch, open.arch), cmp.Or(open.severity, clear.severity)
	return s
}

// earlier compares the versions of two statements, without epochs where one has none.
func earlier(a, b *said, less func(a, b string) bool) bool {
	v, w := a.version, b.version
	if a.noEpoch || b.noEpoch {
		v, w = withoutEpoch(v), withoutEpoch(w)
	}
	return less(v, w)
}

func withoutEpoch(v string) string {
	if epoch, rest, ok := strings.Cut(v, ":"); ok && strings.Trim(epoch, "0123456789") == "" {
		return rest
	}
	return v
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
