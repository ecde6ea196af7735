package advisory

import (
	"slices"
	"strings"

	gem "github.com/aquasecurity/go-gem-version"
	npm "github.com/aquasecurity/go-npm-version/pkg"
	pep440 "github.com/aquasecurity/go-pep440-version"
	"github.com/aquasecurity/go-version/pkg/semver"
	"github.com/aquasecurity/go-version/pkg/version"
	"github.com/aquasecurity/trivy-db/pkg/vulnsrc/osv"
	mvn "github.com/masahiro331/go-mvn-version"
)

// interval is where a range has a package affected: from is the first version, and "" for
// fixed and last means to this day.
type interval struct{ from, fixed, last string }

// oddRange says how a range was read that is not as OSV's schema wants it; "" is none. Such
// a range is never read as less than it says.
type oddRange string

const (
	noIntroduced oddRange = "a range has no introduced, and is read as one from the first version on"
	noOrder      oddRange = "the versions of a range cannot be compared, and it is read as one of all versions"
)

// intervals evaluates the events of a range as OSV does
// (https://ossf.github.io/osv-schema/#evaluation): by version, whatever their order is.
func intervals(events []osv.RangeEvent, earlier func(a, b string) (bool, error)) (list []interval, odd oddRange) {
	var steps []interval // each has one of the three
	started := false
	for _, e := range events {
		if e.Introduced != "" {
			steps, started = append(steps, interval{from: e.Introduced}), true
		}
		if e.Fixed != "" {
			steps = append(steps, interval{fixed: e.Fixed})
		}
		if e.LastAffected != "" {
			steps = append(steps, interval{last: e.LastAffected})
		}
	}
	if len(steps) == 0 {
		return nil, ""
	}
	if !started {
		steps, odd = append([]interval{{from: "0"}}, steps...), noIntroduced
	}
	given := slices.Clone(steps)
	ordered := true
	slices.SortStableFunc(steps, func(a, b interval) int {
		x, y := a.from+a.fixed+a.last, b.from+b.fixed+b.last
		switch {
		case x == y:
			return 0
		case a.from == "0":
			return -1
		case b.from == "0":
			return 1
		}
		less, err := earlier(x, y)
		more, err2 := earlier(y, x)
		switch {
		case err != nil || err2 != nil:
			ordered = false
		case less:
			return -1
		case more:
			return 1
		}
		return 0
	})
	if !ordered {
		if steps = given; !alternate(steps) {
			return []interval{{from: "0"}}, noOrder
		}
	}
	var open *interval
	for _, s := range steps {
		switch {
		case s.from != "" && open == nil:
			open = &interval{from: s.from}
		case s.from != "" || open == nil: // within an interval, or behind its end
		default:
			open.fixed, open.last = s.fixed, s.last
			list, open = append(list, *open), nil
		}
	}
	if open != nil {
		list = append(list, *open)
	}
	return list, odd
}

// alternate reports whether each interval begins and ends before the next: the order in which
// sources write them.
func alternate(steps []interval) bool {
	for i, s := range steps {
		if (s.from != "") != (i%2 == 0) {
			return false
		}
	}
	return true
}

// earlierIn compares two versions by the rules of an ecosystem, those by which the detector
// compares them; an error is a version that is not one.
func earlierIn(eco string) func(a, b string) (bool, error) {
	switch strings.ToLower(eco) {
	case "npm":
		return earlierBy(npm.NewVersion, func(a, b npm.Version) bool { return a.LessThan(b) })
	case "rubygems":
		return earlierBy(gem.NewVersion, func(a, b gem.Version) bool { return a.LessThan(b) })
	case "pypi":
		return earlierBy(pep440.Parse, func(a, b pep440.Version) bool { return a.LessThan(b) })
	case "maven":
		return earlierBy(mvn.NewVersion, func(a, b mvn.Version) bool { return a.LessThan(b) })
	case "go", "crates.io", "nuget", "julia":
		return earlierBy(semver.Parse, func(a, b semver.Version) bool { return a.LessThan(b) })
	}
	return earlierBy(version.Parse, func(a, b version.Version) bool { return a.LessThan(b) })
}

func earlierBy[T any](parse func(string) (T, error), less func(a, b T) bool) func(a, b string) (bool, error) {
	return func(a, b string) (bool, error) {
		x, err := parse(a)
		if err != nil {
			return false, err
		}
		y, err := parse(b)
		return err == nil && less(x, y), err
	}
}
