package packed

import (
	"time"

	"github.com/digestgate/digestgate/gate"
)

const kindChange = 'h'

// AppendChange appends the form of a change as the history keeps it, without its digest and
// its time. gate.ErrInvalid: a time in it cannot be stored.
func AppendChange(to []byte, c *gate.StandingChange) ([]byte, error) {
	w := newWriter()
	defer w.release()
	w.change(c)
	return w.append(to, kindChange)
}

// Change reads a change. Errors: ErrDamaged, ErrNewer.
func Change(data []byte) (*gate.StandingChange, error) {
	c := new(gate.StandingChange)
	return c, read(data, kindChange, func(r *reader) { r.change(c) })
}

// The bits of a change of findings.
const (
	changeFirst = iota
	changeLost
	changeIncomplete
	changeAnalysed
	changeBits
)

func (w *writer) change(c *gate.StandingChange) {
	w.text(string(c.Event))
	w.integer(c.Generation)
	if w.flag(c.Findings != nil); c.Findings != nil {
		w.findingsChange(c.Findings)
	}
	w.number(uint64(len(c.Verdicts)))
	for i := range c.Verdicts {
		v := &c.Verdicts[i]
		w.text(v.Location.Registry)
		w.text(v.Location.Repository)
		w.verdictRef(v.Before)
		w.verdictRef(v.After)
	}
	w.number(uint64(max(c.MoreVerdicts, 0)))
}

func (r *reader) change(c *gate.StandingChange) {
	c.Event = gate.Event(r.text())
	c.Generation = r.integer()
	if r.flag() {
		c.Findings = new(gate.FindingsChange)
		r.findingsChange(c.Findings)
	}
	c.Verdicts = few(r, 8, func(v *gate.VerdictChange) {
		v.Location = gate.Location{Registry: r.text(), Repository: r.text()}
		v.Before, v.After = r.verdictRef(), r.verdictRef()
	})
	c.MoreVerdicts = r.count()
}

func (w *writer) findingsChange(f *gate.FindingsChange) {
	w.number(bit(f.First, changeFirst) | bit(f.Lost, changeLost) | bit(f.Incomplete, changeIncomplete) | bit(f.Analysed, changeAnalysed))
	w.findingsRef(f.Before)
	w.findingsRef(f.After)
	for _, list := range []*gate.ChangedFindings{&f.Found, &f.Fixed} {
		w.counts(list.Total)
		w.number(uint64(len(list.List)))
		for i := range list.List {
			w.changed(&list.List[i])
		}
	}
	w.number(uint64(len(f.Severity)))
	for i := range f.Severity {
		w.changed(&f.Severity[i].Vulnerability)
		w.text(string(f.Severity[i].Before))
	}
	w.number(uint64(max(f.MoreSeverity, 0)))
	w.counts(f.Unseen)
	w.number(uint64(len(f.Missing)))
	for i := range f.Missing {
		w.changed(&f.Missing[i])
	}
}

func (r *reader) findingsChange(f *gate.FindingsChange) {
	bits := r.number()
	if bits>>changeBits != 0 {
		r.damaged("a change has the bits %x", bits)
	}
	is := func(at int) bool { return bits>>at&1 == 1 }
	f.First, f.Lost, f.Incomplete, f.Analysed = is(changeFirst), is(changeLost), is(changeIncomplete), is(changeAnalysed)
	f.Before, f.After = r.findingsRef(), r.findingsRef()
	for _, list := range []*gate.ChangedFindings{&f.Found, &f.Fixed} {
		list.Total = r.counts()
		list.List = few(r, 2, r.changed)
	}
	f.Severity = few(r, 3, func(s *gate.SeverityChange) {
		r.changed(&s.Vulnerability)
		s.Before = gate.Severity(r.text())
	})
	f.MoreSeverity = r.count()
	f.Unseen = r.counts()
	f.Missing = few(r, 2, r.changed)
}

// few reads a list of at most [gate.MaxChanged], nil when it is empty.
func few[T any](r *reader, least int, one func(*T)) []T {
	n := r.number()
	if n == 0 || r.err != nil {
		return nil
	}
	if n > gate.MaxChanged || n > uint64(r.left()/least) {
		r.damaged("a list of %d is longer than all", n)
		return nil
	}
	list := make([]T, n)
	for i := range list {
		one(&list[i])
	}
	return list
}

// count is a number of things.
func (r *reader) count() int {
	n := r.number()
	if n > 1<<31 {
		r.damaged("a count is %d", n)
		return 0
	}
	return int(n)
}

func (w *writer) findingsRef(f gate.FindingsRef) {
	w.integer(f.Generation)
	hash, known := f.Advisories.Hash()
	if w.flag(known); known {
		w.fields = append(w.fields, hash[:]...)
	}
	w.counts(f.Counts)
	w.text(f.Unassessable)
}

func (r *reader) findingsRef() (f gate.FindingsRef) {
	f.Generation = r.integer()
	if r.flag() {
		f.Advisories = r.hash()
	}
	f.Counts = r.counts()
	f.Unassessable = r.text()
	return f
}

func (r *reader) hash() gate.Digest {
	var hash [32]byte
	if r.left() < len(hash) {
		r.damaged("a digest is cut off")
		return ""
	}
	copy(hash[:], r.data[r.at:])
	r.at += len(hash)
	return gate.DigestOf(hash)
}

func (w *writer) counts(c gate.Counts) {
	for _, n := range [...]int{c.Critical, c.High, c.Medium, c.Low, c.Unknown} {
		w.number(uint64(max(n, 0)))
	}
}

func (r *reader) counts() gate.Counts {
	return gate.Counts{Critical: r.count(), High: r.count(), Medium: r.count(), Low: r.count(), Unknown: r.count()}
}

// changedTexts are what is kept of a finding, in the order in which it is stored.
func changedTexts(v *gate.Vulnerability) [8]*string {
	return [...]*string{&v.ID, &v.Package, &v.PackageID, &v.Type, &v.Path, &v.InstalledVersion, &v.FixedVersion, (*string)(&v.Severity)}
}

// changedSeen is the bit after those of the texts: when it was first seen.
const changedSeen = 8

func (w *writer) changed(v *gate.Vulnerability) {
	bits := bit(!v.FirstSeen.IsZero(), changedSeen)
	texts := changedTexts(v)
	for i, s := range texts {
		bits |= bit(*s != "", i)
	}
	w.number(bits)
	for _, s := range texts {
		if *s != "" {
			w.text(*s)
		}
	}
	if !v.FirstSeen.IsZero() {
		w.time(v.FirstSeen.UTC().Truncate(time.Second))
	}
}

func (r *reader) changed(v *gate.Vulnerability) {
	bits := r.number()
	if bits>>(changedSeen+1) != 0 {
		r.damaged("a finding has the bits %x", bits)
		return
	}
	for i, s := range changedTexts(v) {
		if bits>>i&1 == 1 {
			*s = r.text()
		}
	}
	if bits>>changedSeen&1 == 1 {
		v.FirstSeen = r.time()
	}
}

func (w *writer) verdictRef(v gate.VerdictRef) {
	w.text(string(v.Outcome))
	w.text(string(v.Code))
	w.number(uint64(len(v.Rules)))
	for _, rule := range v.Rules {
		w.text(rule)
	}
	w.text(v.PolicyRevision)
}

func (r *reader) verdictRef() (v gate.VerdictRef) {
	v.Outcome, v.Code = gate.Outcome(r.text()), gate.Code(r.text())
	v.Rules = few(r, 1, func(rule *string) { *rule = r.text() })
	v.PolicyRevision = r.text()
	return v
}
