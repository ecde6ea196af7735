package match

import (
	"cmp"
	"context"
	"crypto/sha256"
	"sort"
	"strconv"
	"time"

	ftypes "github.com/aquasecurity/trivy/pkg/fanal/types"
	"github.com/aquasecurity/trivy/pkg/types"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/scanner/inventory"
)

// What stands in a package for its path and its layer while a detector looks at it: in
// what it found they are where the detector passed the package's own on.
const (
	anyPath  = "\x00path"
	anyLayer = "\x00layer"
)

// question is what detectors are asked about the packages of a list.
type question struct {
	pkgs       []gate.Package
	identities [][sha256.Size]byte
	subject    [sha256.Size]byte
	kind, file string // of the findings
	language   bool   // the packages are those of a language
	root       string // package URL of the application that they are part of
	eol        bool   // of the distribution's release
	// scan is what a detector finds in one package.
	scan func(pkg ftypes.Package) ([]types.DetectedVulnerability, error)

	sum [sha256.Size]byte // all, once it was asked for
	// answered is how many of the packages the detectors, or the memo, have answered for,
	// and found are the answers that are not empty.
	answered int
	found    []listed
}

// listed is the answer for a package, by its place in the list.
type listed struct {
	at     int
	answer *known
}

// all is a hash of all packages in their order.
func (q *question) all() [sha256.Size]byte {
	if q.sum == [sha256.Size]byte{} {
		h := sha256.New()
		for i := range q.identities {
			h.Write(q.identities[i][:])
		}
		h.Sum(q.sum[:0])
	}
	return q.sum
}

// every is the key of what is remembered of all packages together.
func (q *question) every(subject [sha256.Size]byte) memoKey { return memoKey{subject, q.all()} }

func (q *question) key(i int) memoKey { return memoKey{q.subject, q.identities[i]} }

// given is a package as detectors are given it.
func given(p gate.Package) ftypes.Package {
	p.UID, p.FilePath, p.Layer = "", anyPath, anyLayer
	return inventory.Package(p)
}

// ask finds the vulnerabilities of the packages from one index to another: it asks the
// detectors about those that nothing is remembered of. A detector that fails on one of
// them fails on all, as if they had been handed to it together; nothing is found and
// remembered then.
func (r *run) ask(ctx context.Context, q *question, from, to int) error {
	var array [stepPackages]*known
	answers := array[:to-from]
	var open opened
	for i := from; i < to; i++ {
		k := q.key(i)
		if answers[i-from] = r.gen.memo.get(&k); answers[i-from] == nil {
			open.pkgs, open.at = append(open.pkgs, given(q.pkgs[i])), append(open.at, i)
		}
	}
	if len(open.at) > 0 {
		err := r.step(func() error {
			sort.Sort(&open)
			raw := make([][]types.DetectedVulnerability, len(open.at))
			for n := range open.pkgs {
				var err error
				if raw[n], err = q.scan(open.pkgs[n]); err != nil {
					return err
				}
			}
			for n, found := range raw {
				answers[open.at[n]-from] = &known{found: r.passed(found, q)}
			}
			return nil
		})
		if err != nil {
			return err
		}
		for _, i := range open.at {
			if answers[i-from] == nil {
				return nil // a problem is noted
			}
		}
		for _, i := range open.at {
			if k := q.key(i); ctx.Err() == nil {
				r.gen.memo.keep(&k, answers[i-from])
			}
		}
	}
	r.eol = r.eol || q.eol
	for n, a := range answers {
		r.append(a.found, &q.pkgs[from+n], q)
		if len(a.found) > 0 {
			q.found = append(q.found, listed{from + n, a})
		}
	}
	q.answered += len(answers)
	return nil
}

// again takes what was found in a list of the same packages before: images share those of
// their base. It reports whether it did.
func (r *run) again(q *question) bool {
	k := q.every(q.subject)
	list, ok := r.gen.memo.list(&k)
	if !ok {
		return false
	}
	if len(q.pkgs) > 0 {
		r.eol = r.eol || q.eol
	}
	for _, l := range list {
		if r.full() {
			break
		}
		r.append(l.answer.found, &q.pkgs[l.at], q)
	}
	return true
}

// opened are packages that detectors are asked about, in the order in which they would
// sort them.
type opened struct {
	pkgs ftypes.Packages
	at   []int
}

func (o *opened) Len() int           { return o.pkgs.Len() }
func (o *opened) Less(i, j int) bool { return o.pkgs.Less(i, j) }
func (o *opened) Swap(i, j int) {
	o.pkgs.Swap(i, j)
	o.at[i], o.at[j] = o.at[j], o.at[i]
}

// passed adds details to what a detector found and keeps the narrow form.
func (r *run) passed(found []types.DetectedVulnerability, q *question) []passed {
	if len(found) == 0 {
		return nil
	}
	r.fill(found)
	list := make([]passed, 0, len(found))
	for _, v := range found {
		p := passed{path: v.PkgPath == anyPath, layer: v.Layer.DiffID == anyLayer}
		v.PkgPath, v.Layer = "", ftypes.Layer{}
		p.Vulnerability = narrow(v, q.kind, "", q.language)
		if v.DataSource == nil && r.gen.db.redHat != "" { // only Red Hat's detector names none
			p.Source = r.gen.db.redHat
		}
		if p.PublishedAt != nil {
			p.published, p.dated, p.PublishedAt = p.PublishedAt.Unix(), true, nil
		}
		list = append(list, p)
	}
	return list
}

// append makes findings of a package out of what is remembered. They share nothing with it
// that can be modified but aliases, which nobody changes.
func (r *run) append(found []passed, pkg *gate.Package, q *question) {
	for i := range found {
		p := &found[i]
		r.found = append(r.found, p.Vulnerability)
		v := &r.found[len(r.found)-1]
		v.Path, v.Root = q.file, q.root
		if p.path {
			v.Path = cmp.Or(pkg.FilePath, q.file)
		}
		v.Path = cut(v.Path, maxURLBytes)
		if p.layer {
			v.Layer = pkg.Layer
		}
		if p.dated {
			if len(r.times) == cap(r.times) {
				r.times = make([]time.Time, 0, timesBlock)
			}
			r.times = append(r.times, time.Unix(p.published, 0).UTC())
			v.PublishedAt = &r.times[len(r.times)-1]
		}
	}
}

// root is the package URL of the application that packages are part of: of the one root
// among them, which has a version.
func root(pkgs []gate.Package) (purl string) {
	roots := 0
	for i := range pkgs {
		if p := &pkgs[i]; p.Relationship == "root" {
			roots++
			if p.Version != "" && len(p.PURL) <= maxURLBytes {
				purl = p.PURL
			}
		}
	}
	if roots != 1 {
		return ""
	}
	return purl
}

// timesBlock is how many times share one piece of memory.
const timesBlock = 32

// osWords are what a distribution's detectors are given besides a package.
func osWords(target types.ScanTarget) []string {
	words := []string{
		string(target.OS.Family), target.OS.Name, strconv.FormatBool(target.OS.Eosl), strconv.FormatBool(target.OS.Extended), string(target.OS.Supplier),
	}
	if repo := target.Repository; repo != nil {
		words = append(words, string(repo.Family), repo.Release)
	}
	return words
}
