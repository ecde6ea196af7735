package advisory

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/aquasecurity/trivy-db/pkg/types"
	debver "github.com/knqyf263/go-deb-version"
	rpmver "github.com/knqyf263/go-rpm-version"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/scanner/advisory/format"
	"github.com/digestgate/digestgate/scanner/advisory/format/release"
	"github.com/digestgate/digestgate/scanner/advisory/statement"
)

// vendorFile takes what a reader of one file yields into the collection.
type vendorFile struct {
	c *collection
	// name is the file, kind its format in words ("OVAL").
	name, kind string
	feed       *feed
	targets    map[string]target
	asOf       time.Time // that the file states
	entries    int
	families   map[string]bool
	suffixes   suffixes
	unnamed    string // the first entry of which nobody says which distribution it is of
}

type target struct {
	release.Target
	ok bool
}

func (c *collection) vendorFile(name, kind string) *vendorFile {
	return &vendorFile{c: c, name: name, kind: kind, feed: c.feedOf(name), targets: map[string]target{}, families: map[string]bool{}}
}

// read runs a reader over the file. Errors: those of the reader, and gate.ErrInvalid for a
// file of which nothing says which distribution it is of.
func (f *vendorFile) read(reader func(sink format.Sink) error) error {
	err := reader(format.Sink{
		Entry: f.entry, Gap: f.gap, Skip: func(reason string) { f.c.skipped[reason]++ },
		Stated: func(t time.Time) {
			if t.After(f.asOf) {
				f.asOf = t
			}
		},
	})
	switch {
	case err != nil:
		return err
	case f.unnamed != "":
		return fmt.Errorf("%s (%s) does not say which distribution it is of: put a file %s beside it with the lines \"distribution: hce\" and \"release: '2.0'\": %w",
			f.kind, f.unnamed, feedFile, gate.ErrInvalid)
	case f.suffixes.contradict > f.suffixes.agree:
		return f.suffixes.refusal()
	}
	for family := range f.families {
		f.c.ages.stated(f.kind+" of "+family, f.asOf)
	}
	return nil
}

// target is where the statements of a release go.
func (f *vendorFile) target(r format.Release) target {
	key := strings.Join(r, "\x00")
	if t, ok := f.targets[key]; ok {
		return t
	}
	var t target
	t.Target, t.ok = release.Of(r)
	switch {
	case f.feed == nil || f.feed.family == "":
		if !t.ok && f.kind == kindUpdateinfo {
			t.Target, t.ok = release.InText("tencentos", r...)
		}
	case f.feed.target.Bucket != "":
		if f.kind == kindUpdateinfo || !t.ok {
			t = target{f.feed.target, true}
		}
	case !t.ok:
		t.Target, t.ok = release.InText(f.feed.family, r...)
	}
	if len(f.targets) < 10_000 {
		f.targets[strings.Clone(key)] = t
	}
	return t
}

// entry files one advisory.
func (f *vendorFile) entry(e format.Entry) error {
	f.entries++
	asOf := e.ModifiedAt
	if asOf.IsZero() {
		asOf = e.PublishedAt
	}
	if asOf.After(f.c.ages.now.Add(gate.ClockSkew)) {
		asOf = time.Time{}
	}
	if asOf.After(f.asOf) {
		f.asOf = asOf
	}
	families := map[string]bool{}
	for i := range e.Statements {
		s := &e.Statements[i]
		s.NoEpoch = s.NoEpoch || f.feed != nil && f.feed.Epochs != nil && !*f.feed.Epochs
		t := f.target(s.Release)
		if !t.ok {
			f.unknown(s.Release, e)
			continue
		}
		if t.Bucket == "" {
			f.c.skip("statements about %s, of which no detector reads advisories", words(s.Release))
			continue
		}
		if f.foreign(t.Target, s, &e) {
			continue
		}
		families[t.Family] = true
		b := f.c.bucket(t.Bucket, vendorSource(t.Family))
		b.heard(f.kind, asOf)
		f.file(b, t.Target, s, &e, asOf)
	}
	for family := range families {
		f.families[family] = true
		for _, v := range e.Vulnerabilities {
			f.c.alias([]string{v.ID}, e.Advisory)
			f.c.detail(v.ID, vendorSource(family).ID, vendorDetail(e, v))
		}
	}
	return nil
}

// unknown notes statements of a release that is not known. A file of which no word is
// known needs a name.
func (f *vendorFile) unknown(r format.Release, e format.Entry) {
	if f.kind != kindUpdateinfo {
		f.c.skip("statements about %s, of which no detector reads advisories", words(r))
		return
	}
	if f.feed != nil && f.feed.family != "" {
		f.gap(format.Gap{What: "update", Of: e.Advisory, At: e.At, Why: "neither its title nor its description names one release of " + f.feed.family, Release: r})
		return
	}
	if f.unnamed == "" {
		f.unnamed = e.At + ", " + e.Advisory
	}
}

// words are a release for people.
func words(r format.Release) string {
	if len(r) == 0 {
		return "a release without a name"
	}
	return gate.Printable(r[0], 80)
}

// file notes what a statement says of each vulnerability.
func (f *vendorFile) file(b *bucketData, t release.Target, s *format.Statement, e *format.Entry, asOf time.Time) {
	detector := detectors[t.Family]
	gap := func(why string) {
		f.gap(format.Gap{What: "package " + s.Package, Of: e.Advisory, At: e.At, Why: why, Release: format.Release{t.Bucket}})
	}
	switch {
	case !t.Own() && detector.names != s.Names:
		f.c.skip("statements about %s packages of %s, whose detector looks up the other kind", []string{"binary", "source"}[s.Names], t.Family)
		return
	case !t.Own() && s.NoEpoch && s.State == format.Fixed && !detector.epochless:
		gap("the version has no epoch, and the detector compares it")
		return
	case !t.Own() && s.State != format.Fixed && s.State != format.NotAffected && !detector.unfixed:
		f.c.skip("statements about flaws without a fix, which the detector of %s does not show", t.Family)
		return
	case s.State == format.Fixed && s.Version == "":
		gap("it is fixed, and there is no version")
		return
	}
	key := s.Package
	if s.Module != "" && (t.Own() || detector.modules) {
		key = s.Module + "::" + s.Package
	}
	for _, v := range e.Vulnerabilities {
		byID := b.said[key]
		if byID == nil {
			byID = map[string][]said{}
			if b.said == nil {
				b.said = map[string]map[string][]said{}
			}
			b.said[key] = byID
		}
		byID[v.ID] = append(byID[v.ID], said{
			names: s.Names, arch: s.Arch, state: s.State, version: s.Version, noEpoch: s.NoEpoch, asOf: asOf, advisory: e.Advisory, severity: v.Severity,
		})
	}
}

// gap counts what could not be understood, under the release if that is known.
func (f *vendorFile) gap(g format.Gap) {
	bucket := ""
	if t := f.target(g.Release); t.ok {
		bucket = t.Bucket
		if bucket != "" {
			f.c.bucket(bucket, vendorSource(t.Family)).gaps++
		}
	}
	f.c.gap(f.name, bucket, g)
}

// settleAll turns what vendors said into rows.
func (c *collection) settleAll() {
	for _, name := range slices.Sorted(maps.Keys(c.buckets)) {
		b := c.buckets[name]
		for key, byID := range b.said {
			for id, list := range byID {
				c.rows(name, b, key, id, settle(list, lessIn(name)))
			}
		}
		b.said = nil
	}
}

// rows writes what is left of the statements on one package and one vulnerability.
func (c *collection) rows(name string, b *bucketData, key, id string, list []said) {
	family := string(b.source.ID)
	own := release.Target{Family: family}.Own()
	for _, s := range list {
		b.unfixed = b.unfixed || s.open()
		severity, _ := parseSeverity(s.severity)
		var vendorIDs []string
		if s.advisory != "" && s.advisory != id {
			vendorIDs = []string{s.advisory}
		}
		if !own {
			adv := types.Advisory{FixedVersion: s.version, VendorIDs: vendorIDs, Severity: severity}
			if s.open() {
				adv.FixedVersion, adv.Status = "", statusOf(s.state)
			}
			if !detectors[familyOf(name)].severity {
				adv.Severity = 0 // the detectors take it from the vulnerability's record
			}
			b.put(key, id, adv, laterFixBy(lessIn(name)))
			continue
		}
		st := statement.Statement{
			Package: key, Source: s.names == format.Source, NoEpoch: s.noEpoch, VendorIDs: vendorIDs, Severity: severity,
		}
		if s.arch != "" && s.arch != "noarch" {
			st.Arches = []string{s.arch}
		}
		if s.open() {
			st.Status, st.NoEpoch = statusOf(s.state), false
		} else {
			st.FixedVersion = s.version
		}
		if module, pkg, ok := strings.Cut(key, "::"); ok {
			st.Module, st.Package = module, pkg
		}
		if err := st.Check(); err != nil {
			b.gaps++
			c.gap("", name, format.Gap{What: "package " + key, Of: id, Why: err.Error()})
			continue
		}
		b.put(st.Key(), id, st.Advisory(), statement.Merge)
	}
}

// laterFixBy joins rows of one package that differ in architecture only.
func laterFixBy(less func(a, b string) bool) func(old, adv types.Advisory) types.Advisory {
	return func(old, adv types.Advisory) types.Advisory {
		if old.FixedVersion != "" && (adv.FixedVersion == "" || less(old.FixedVersion, adv.FixedVersion)) {
			return adv
		}
		return old
	}
}

// lessIn compares versions as the packages of a bucket have them.
func lessIn(bucket string) func(a, b string) bool {
	if familyOf(bucket) != "" || strings.HasPrefix(bucket, "UnionTech OS ") && strings.HasSuffix(bucket, "d") {
		return func(a, b string) bool {
			x, errX := debver.NewVersion(a)
			y, errY := debver.NewVersion(b)
			return errX == nil && errY == nil && x.LessThan(y)
		}
	}
	return func(a, b string) bool { return rpmver.NewVersion(a).LessThan(rpmver.NewVersion(b)) }
}

func statusOf(s format.State) types.Status {
	switch s {
	case format.UnderInvestigation:
		return types.StatusUnderInvestigation
	case format.WillNotFix:
		return types.StatusWillNotFix
	case format.FixDeferred:
		return types.StatusFixDeferred
	case format.EndOfLife:
		return types.StatusEndOfLife
	}
	return types.StatusAffected
}

// vendorDetail is what an advisory says of a vulnerability itself.
func vendorDetail(e format.Entry, v format.Vulnerability) types.VulnerabilityDetail {
	d := types.VulnerabilityDetail{Title: v.Title, Description: v.Description, References: e.References[:min(len(e.References), 20)]}
	d.Severity, _ = parseSeverity(v.Severity)
	for _, vector := range v.CVSS {
		_ = addCVSS(&d, vector) // a vector that cannot be read grades nothing
	}
	d.PublishedDate, d.LastModifiedDate = timeOrNil(v.PublishedAt), timeOrNil(e.ModifiedAt)
	return d
}
