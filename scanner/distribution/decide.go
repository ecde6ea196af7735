package distribution

import (
	"cmp"
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/digestgate/digestgate/gate"
)

// Decision is which distribution an image is of.
type Decision struct {
	// Family and Name are those of [gate.OS]. Family is ID itself for a
	// distribution that is not known, "" where nothing names one.
	Family, Name string
	// Known says that Family is one of Trivy's words, or of [Bucket].
	Known bool
	// Says is what os-release says, in words; "" without one.
	Says string
	// Problem says why no advisories can be chosen, what is contradictory, and
	// what would be needed; "" when the release files agree.
	Problem string
}

// needed ends the text of a contradiction.
const needed = "which advisories apply cannot be decided; an image whose os-release, release files and packages agree is needed"

// Decide decides from the release files alone. Facts that are nil (of an
// inventory that was made before they were recorded) decide nothing.
func Decide(facts *gate.Distribution) Decision {
	if facts == nil {
		return Decision{}
	}
	files, problem := usable(facts.Files)
	o, found := chooseOSRelease(files)
	var d Decision
	switch {
	case found:
		d = fromOSRelease(o, claims(files))
		if problem == "" {
			problem = otherOSRelease(o, files)
		}
	default:
		d = withoutOSRelease(claims(files))
	}
	d.Name = gate.Printable(d.Name, 100)
	if problem != "" {
		d.Problem = problem
	}
	return d
}

// usable is the first content of each file; problem names a file that cannot be
// relied on.
func usable(all []gate.ReleaseFile) (files []gate.ReleaseFile, problem string) {
	for _, f := range all {
		i := slices.IndexFunc(files, func(g gate.ReleaseFile) bool { return g.Path == f.Path })
		switch {
		case f.Cut:
			problem = fmt.Sprintf("%s has more than %d bytes, so its end was not read; a shorter file is needed", f.Path, MaxText)
		case f.Link != "":
			problem = fmt.Sprintf("%s is a link to %s, which cannot be followed; a file with the text is needed", f.Path, gate.Quoted(f.Link, 100))
		case i >= 0 && files[i].Text != f.Text:
			problem = fmt.Sprintf("container runtimes show different contents of %s; an image whose layers give the same file in every runtime is needed", f.Path)
		}
		if i < 0 {
			files = append(files, f)
		}
	}
	return files, problem
}

// chooseOSRelease is the os-release that counts. An emptied one says nothing.
func chooseOSRelease(files []gate.ReleaseFile) (osRelease, bool) {
	for _, p := range osReleasePaths {
		for _, f := range files {
			if o := parseOSRelease(p, f.Text); f.Path == p && !o.empty {
				return o, true
			}
		}
	}
	return osRelease{}, false
}

// otherOSRelease compares the file that counts with the ones it hides: programs
// read either.
func otherOSRelease(o osRelease, files []gate.ReleaseFile) string {
	for _, f := range files {
		if !slices.Contains(osReleasePaths[:2], f.Path) || f.Path == o.path {
			continue
		}
		other := parseOSRelease(f.Path, f.Text)
		if !other.empty && (!strings.EqualFold(other.id, o.id) || other.versionID != o.versionID) {
			return fmt.Sprintf("%s, but %s; %s", o.says(), other.says(), needed)
		}
	}
	return ""
}

func fromOSRelease(o osRelease, all []claim) Decision {
	d := Decision{Family: o.family(), Name: o.versionID, Says: o.says()}
	f := families[d.Family]
	if f == nil {
		d.Family = gate.Printable(o.id, 40)
		d.Problem = unknown(o)
		return d
	}
	d.Known = true
	if own := ownOf(f.name); own != nil {
		return own.decide(d, f, o, all)
	}
	if r := f.release(all); r != "" {
		d.Name = r
	}
	switch contradiction := f.contradicts(all, cmp.Or(o.versionID, d.Name)); {
	case contradiction != "":
		d.Problem = fmt.Sprintf("%s, but %s; %s", d.Says, contradiction, needed)
	case !f.matched:
		d.Problem = fmt.Sprintf("%s: there are no advisories for the distribution %q; an image of a distribution that has some is needed", d.Says, f.name)
	}
	return d
}

func unknown(o osRelease) string {
	if o.id == "" {
		return fmt.Sprintf("%s has no ID, so it is not known which advisories apply; an ID of a supported distribution is needed", o.path)
	}
	s := fmt.Sprintf("%s: there are no advisories for the distribution %s; an image of a distribution that has some is needed", o.says(), gate.Quoted(o.id, 40))
	if o.idLike != "" {
		s += fmt.Sprintf(" (advisories of %s, its ID_LIKE, are for other packages)", gate.Printable(o.idLike, 40))
	}
	return s
}

// release is the text of the family's own release file.
func (f *family) release(all []claim) string {
	for _, name := range f.releaseFiles {
		for _, c := range all {
			if path.Base(c.file) == name && f.accepts(c.family) && c.release != "" {
				return c.release
			}
		}
	}
	return ""
}

// contradicts says which release file names another distribution or release.
func (f *family) contradicts(all []claim, release string) string {
	for _, c := range all {
		switch {
		case !f.accepts(c.family):
			return fmt.Sprintf("%s says %s", c.file, gate.Quoted(c.text, 80))
		case c.family != derived && !f.ofAnyRelease(c.family) && !sameRelease(release, c.release, f.depth):
			return fmt.Sprintf("%s says release %s", c.file, gate.Quoted(c.release, 40))
		}
	}
	return ""
}

// withoutOSRelease decides for systems older than os-release (CentOS 6, early
// Alpine) and those that lost it: exactly one family must fit all files.
func withoutOSRelease(all []claim) Decision {
	if len(all) == 0 {
		return Decision{}
	}
	var fits []*family
	for _, c := range all {
		name := c.family
		if name == derived {
			name = "debian"
		}
		if f := families[name]; f != nil && !slices.Contains(fits, f) && f.contradicts(all, f.release(all)) == "" {
			fits = append(fits, f)
		}
	}
	said := fmt.Sprintf("there is no os-release, and %s says %s", all[0].file, gate.Quoted(all[0].text, 80))
	if len(fits) != 1 {
		for _, c := range all[1:] {
			if c.text != all[0].text {
				said += fmt.Sprintf(", %s %s", c.file, gate.Quoted(c.text, 60))
				break
			}
		}
		return Decision{Problem: fmt.Sprintf("%s, which does not fit exactly one distribution with advisories; an image with an os-release of a supported distribution is needed", said)}
	}
	f := fits[0]
	d := Decision{Family: f.name, Name: f.release(all), Known: true}
	if own := ownOf(f.name); own != nil {
		d.Says = said
		return own.decide(d, f, osRelease{}, all)
	}
	if d.Name == "" {
		for _, c := range all {
			if f.accepts(c.family) && c.release != "" {
				d.Name = c.release
				break
			}
		}
	}
	if !f.matched {
		d.Problem = fmt.Sprintf("%s: there are no advisories for the distribution %q; an image of a distribution that has some is needed", said, f.name)
	}
	return d
}
