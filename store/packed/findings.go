package packed

import (
	"maps"
	"math"
	"slices"
	"time"

	"github.com/digestgate/digestgate/gate"
)

// vulnerabilityTexts are the fields that are texts, in the order in which they are
// stored; the first of the bits before them say which are there. A change of the order is
// another form.
func vulnerabilityTexts(v *gate.Vulnerability) [14]*string {
	return [...]*string{
		&v.ID, &v.Package, &v.PackageID, &v.Type, &v.Path, &v.InstalledVersion, &v.FixedVersion, &v.Status,
		(*string)(&v.Severity), &v.SeveritySource, &v.Title, &v.URL, (*string)(&v.Layer), &v.PURL,
	}
}

// The bits after those of the texts.
const (
	hasScore = iota + 14
	hasPublished
	hasPlatforms
	sameFirstSeen // as the one before
	hasSource
	hasAliases
	hasRoot
	vulnerabilityBits
)

func (w *writer) findings(f *gate.Findings) {
	w.digest(f.Digest)
	w.text(f.InventoryID)
	w.integer(f.Generation)
	w.digest(f.Advisories)
	w.time(f.UpdatedAt)
	w.text(f.Matcher)
	w.time(f.MatchedAt)
	w.text(f.Unassessable)
	w.flag(f.EOL)
	w.list(len(f.Gaps), len(f.Gaps) == 0)
	for i := range f.Gaps {
		g := &f.Gaps[i]
		w.text(g.Package)
		w.text(g.Version)
		w.text(g.Reason)
	}
	w.list(len(f.Vulnerabilities), f.Vulnerabilities == nil)
	var before time.Time
	for i := range f.Vulnerabilities {
		v := &f.Vulnerabilities[i]
		w.vulnerability(v, before)
		before = v.FirstSeen
	}
	w.names(f.Archives)
	w.beside(f.Beside)
}

// beside is in the form since 4: few images have one, and it is mostly one text.
func (w *writer) beside(b *gate.BesideVEX) {
	if w.flag(b != nil); b == nil {
		return
	}
	w.text(b.Problem)
	w.flag(b.Unread)
	w.list(len(b.Documents), len(b.Documents) == 0)
	for i := range b.Documents {
		d := &b.Documents[i]
		for _, text := range [...]string{d.Source, d.Trusted, string(d.Digest), d.Statements} {
			w.text(text)
		}
	}
	w.list(len(b.Refused), len(b.Refused) == 0)
	for _, why := range slices.Sorted(maps.Keys(b.Refused)) {
		w.text(why)
		w.integer(int64(b.Refused[why]))
	}
}

func (r *reader) beside() *gate.BesideVEX {
	if r.form < 4 || !r.flag() {
		return nil
	}
	b := &gate.BesideVEX{Problem: r.text()}
	b.Unread = r.form > 4 && r.flag()
	b.Documents = elements(r, 4, func(d *gate.BesideDocument) {
		d.Source, d.Trusted, d.Digest, d.Statements = r.text(), r.text(), gate.Digest(r.text()), r.text()
	})
	n, isNil := r.list(2)
	if isNil {
		return b
	}
	b.Refused = make(map[string]int, n)
	for range n {
		why := r.text()
		b.Refused[why] = r.small()
	}
	return b
}

// names are in the form since 2.
func (w *writer) names(n *gate.ArchiveNames) {
	if w.flag(n != nil); n == nil {
		return
	}
	w.flag(n.Index)
	w.text(n.Problem)
	w.list(len(n.Named), len(n.Named) == 0)
	for i := range n.Named {
		x := &n.Named[i]
		for _, text := range [...]string{x.File, x.Inside, x.SHA1, x.Name, x.Version, x.By} {
			w.text(text)
		}
	}
}

func (r *reader) names() *gate.ArchiveNames {
	if r.form < 2 || !r.flag() {
		return nil
	}
	n := &gate.ArchiveNames{Index: r.flag(), Problem: r.text()}
	n.Named = elements(r, 6, func(x *gate.NamedArchive) {
		x.File, x.Inside, x.SHA1, x.Name, x.Version, x.By = r.text(), r.text(), r.text(), r.text(), r.text(), r.text()
	})
	return n
}

func (w *writer) vulnerability(v *gate.Vulnerability, before time.Time) {
	texts := vulnerabilityTexts(v)
	same := v.FirstSeen == before
	scored := v.CVSS != 0 || math.Signbit(v.CVSS)
	bits := bit(scored, hasScore) | bit(v.PublishedAt != nil, hasPublished) | bit(len(v.Platforms) > 0, hasPlatforms) | bit(same, sameFirstSeen) | bit(v.Source != "", hasSource) |
		bit(len(v.Aliases) > 0, hasAliases) | bit(v.Root != "", hasRoot)
	for i, s := range texts {
		bits |= bit(*s != "", i)
	}
	w.number(bits)
	for i, s := range texts {
		if *s != "" {
			w.repeated(i, *s)
		}
	}
	if scored {
		w.score(v.CVSS)
	}
	if v.PublishedAt != nil {
		w.time(*v.PublishedAt)
	}
	if len(v.Platforms) > 0 {
		w.textList(v.Platforms)
	}
	if !same {
		w.time(v.FirstSeen)
	}
	if v.Source != "" {
		w.repeated(len(texts), v.Source)
	}
	if len(v.Aliases) > 0 {
		w.textList(v.Aliases)
	}
	if v.Root != "" {
		w.repeated(len(texts)+1, v.Root)
	}
}

func (r *reader) findings(f *gate.Findings) {
	f.Digest = r.digest()
	f.InventoryID = r.text()
	f.Generation = r.integer()
	f.Advisories = r.digest()
	f.UpdatedAt = r.time()
	f.Matcher = r.text()
	f.MatchedAt = r.time()
	f.Unassessable = r.text()
	f.EOL = r.flag()
	if n, _ := r.list(3); n > 0 {
		f.Gaps = make([]gate.Gap, n)
	}
	for i := range f.Gaps {
		f.Gaps[i] = gate.Gap{Package: r.text(), Version: r.text(), Reason: r.text()}
	}
	if n, isNil := r.list(leastEach); !isNil {
		r.vulnerabilities(f, n)
	}
	f.Archives = r.names()
	f.Beside = r.beside()
}

func (r *reader) vulnerabilities(f *gate.Findings, n int) {
	f.Vulnerabilities = make([]gate.Vulnerability, n)
	var before time.Time
	published := timesOf(n)
	for i := range f.Vulnerabilities {
		r.vulnerability(&f.Vulnerabilities[i], before, &published)
		if r.err != nil {
			return
		}
		before = f.Vulnerabilities[i].FirstSeen
	}
}

// leastEach is how many bytes a vulnerability or a package takes at least.
const leastEach = 1

// timesBlock is how many times share one piece of memory.
const timesBlock = 32

func timesOf(n int) []time.Time { return make([]time.Time, 0, min(n, timesBlock)) }

func (r *reader) vulnerability(v *gate.Vulnerability, before time.Time, published *[]time.Time) {
	bits := r.number()
	if bits>>vulnerabilityBits != 0 {
		r.damaged("a vulnerability has the bits %x", bits)
		return
	}
	for i, s := range vulnerabilityTexts(v) {
		if bits>>i&1 == 1 {
			*s = r.text()
		}
	}
	if bits>>hasScore&1 == 1 {
		v.CVSS = r.score()
	}
	if bits>>hasPublished&1 == 1 {
		if len(*published) == cap(*published) {
			*published = timesOf(timesBlock)
		}
		*published = append(*published, r.time())
		v.PublishedAt = &(*published)[len(*published)-1]
	}
	if bits>>hasPlatforms&1 == 1 {
		v.Platforms = r.textList()
	}
	if v.FirstSeen = before; bits>>sameFirstSeen&1 == 0 {
		v.FirstSeen = r.time()
	}
	if bits>>hasSource&1 == 1 {
		v.Source = r.text()
	}
	if bits>>hasAliases&1 == 1 {
		v.Aliases = r.textList()
	}
	if bits>>hasRoot&1 == 1 {
		v.Root = r.text()
	}
}
