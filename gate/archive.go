package gate

import (
	"fmt"
	"path"
	"slices"
	"strings"
)

// JavaArchive is a Java archive of an image: a jar, war, ear or par, also one inside
// another. It holds what a later index of Java archives can name it by, so that an image
// needs not be pulled again for that. All text in it is the image's claim but for SHA1.
type JavaArchive struct {
	// File is the path of the file in the image, Inside the path of an archive in it, ""
	// for the file itself. Inside has the paths of all archives around it, joined.
	File   string `json:"file"`
	Inside string `json:"inside,omitempty"`
	// SHA1 is of the bytes of the archive, hexadecimal: what repositories of Java archives
	// know them by. It protects nothing.
	SHA1 string `json:"sha1"`
	// Group, Artifact and Version are what it says of itself, in the place By; "" for what
	// it does not say.
	Group    string `json:"group,omitempty"`
	Artifact string `json:"artifact,omitempty"`
	Version  string `json:"version,omitempty"`
	By       string `json:"by,omitempty"` // ArchiveByPom, ArchiveByManifest or ""
	// Unnamed: nothing that counts says what it is, so that its file is among the errors of
	// the inventory ([GapJarWithoutCoordinates]).
	Unnamed bool   `json:"unnamed,omitempty"`
	Layer   Digest `json:"layer,omitempty"` // DiffID of the layer that brought it
}

// How an archive was named: the first two by itself, all but the first by an index.
const (
	ArchiveByPom      = "pom.properties"
	ArchiveByManifest = "manifest" // an index confirms that such a package exists
	ArchiveBySHA1     = "sha1"
	// ArchiveByFileName is a guess: the group that most archives of that name and version
	// have. It is matched, and the archive stays a gap.
	ArchiveByFileName = "fileName"
)

// Path is where the archive is, as findings name it.
func (a *JavaArchive) Path() string { return path.Join(a.File, a.Inside) }

// ArchiveNames is what the index of Java archives of a generation said of the archives of
// an inventory.
type ArchiveNames struct {
	// Index: there was one. Without one nothing was asked.
	Index bool `json:"index"`
	// Problem says why it could not be asked; "" when it was.
	Problem string         `json:"problem,omitempty"`
	Named   []NamedArchive `json:"named,omitempty"` // in the order of the inventory
}

// NamedArchive is one name of an archive.
type NamedArchive struct {
	File    string `json:"file"`
	Inside  string `json:"inside,omitempty"`
	SHA1    string `json:"sha1"`
	Name    string `json:"name"` // "group:artifact"
	Version string `json:"version"`
	By      string `json:"by"`
}

// Guess reports whether the name is only likely.
func (n *NamedArchive) Guess() bool { return n.By == ArchiveByFileName }

// Path is as that of the archive.
func (n *NamedArchive) Path() string { return path.Join(n.File, n.Inside) }

// Named is the inventory with those gaps that are left after an index of Java archives
// was asked; it shares everything else with inv, and is inv itself where nothing changes.
// Nothing is known of inventories whose analyser did not record archives yet.
func (inv *Inventory) Named(f *Findings) *Inventory {
	if inv == nil || f == nil || !inv.unnamedGaps() {
		return inv
	}
	n := *inv
	files := inv.unnamedFiles(f.Archives)
	n.Errors, n.MoreErrors = files.errors(inv.Errors), files.counts(inv.Errors, inv.MoreErrors)
	n.Risks = make(map[Risk]RiskStatus, len(inv.Risks))
	for r, status := range inv.Risks {
		if r == RiskVulnerabilities && status.Coverage == Partial {
			status = n.CoverageOf(r)
		}
		n.Risks[r] = status
	}
	return &n
}

func (inv *Inventory) unnamedGaps() bool {
	return slices.ContainsFunc(inv.Errors, func(e AnalyzerError) bool { return e.Kind == GapJarWithoutCoordinates }) ||
		slices.ContainsFunc(inv.MoreErrors, func(e ErrorCount) bool { return e.Kind == GapJarWithoutCoordinates })
}

// unnamedFile is a file with archives that do not name themselves.
type unnamedFile struct {
	left   int          // archives without a name that is more than a guess
	first  *JavaArchive // one of them
	guess  *NamedArchive
	listed bool // among the errors
}

// unnamedFiles are by their path as errors have it.
type unnamedFiles struct {
	files map[string]*unnamedFile
	names *ArchiveNames
	// recorded: the analyser recorded archives.
	recorded bool
}

func (inv *Inventory) unnamedFiles(names *ArchiveNames) unnamedFiles {
	u := unnamedFiles{map[string]*unnamedFile{}, names, len(inv.Archives) > 0}
	type place struct{ file, inside, sha1 string }
	known := map[place]*NamedArchive{}
	if names != nil {
		for i := range names.Named {
			n := &names.Named[i]
			at := place{n.File, n.Inside, n.SHA1}
			if old := known[at]; old == nil || old.Guess() {
				known[at] = n
			}
		}
	}
	for i := range inv.Archives {
		a := &inv.Archives[i]
		if !a.Unnamed {
			continue
		}
		key := Printable(a.File, maxErrorPath)
		f := u.files[key]
		if f == nil {
			f = &unnamedFile{}
			u.files[key] = f
		}
		n := known[place{a.File, a.Inside, a.SHA1}]
		if n != nil && !n.Guess() {
			continue
		}
		if f.left++; f.left == 1 {
			f.first, f.guess = a, n
		}
	}
	return u
}

// maxErrorPath is where the paths of errors are cut (protocol.MaxNoteText).
const maxErrorPath = 400

// errors are those that are left.
func (u unnamedFiles) errors(all []AnalyzerError) []AnalyzerError {
	left := make([]AnalyzerError, 0, len(all))
	for _, e := range all {
		if e.Kind == GapJarWithoutCoordinates {
			f := u.files[e.Path]
			if f != nil {
				f.listed = true
			}
			if f != nil && f.left == 0 {
				continue
			}
			e.Message = u.message(f, e)
		}
		left = append(left, e)
	}
	return left
}

// counts are the errors that did not fit into the list, which are left. Which files these
// are is known only where the archives of all of them were recorded.
func (u unnamedFiles) counts(all []AnalyzerError, more []ErrorCount) []ErrorCount {
	listed, counted := 0, 0
	for _, e := range all {
		if e.Kind == GapJarWithoutCoordinates {
			listed++
		}
	}
	for _, e := range more {
		if e.Kind == GapJarWithoutCoordinates {
			counted += max(e.Count, 1)
		}
	}
	if counted == 0 || len(u.files) < listed+counted {
		return more
	}
	unlisted := 0
	for _, f := range u.files {
		if !f.listed && f.left > 0 {
			unlisted++
		}
	}
	var left []ErrorCount
	for _, e := range more {
		if e.Kind != GapJarWithoutCoordinates {
			left = append(left, e)
			continue
		}
		if unlisted > 0 {
			e.Count, unlisted = unlisted, 0
			left = append(left, e)
		}
	}
	return left
}

// message says what is missing of a file, and what would help.
func (u unnamedFiles) message(f *unnamedFile, e AnalyzerError) string {
	if f == nil {
		if !u.recorded {
			before, _, _ := strings.Cut(e.Message, " and no Java index is configured")
			return strings.TrimSuffix(before, ",") + ", and was scanned before archives were recorded: scan it again"
		}
		return e.Message
	}
	text := "it does not name itself (pom.properties)"
	inside := ""
	if f.left > 1 {
		text, inside = fmt.Sprintf("%d archives in it do not name themselves (pom.properties)", f.left), ", the first is "
	} else if f.first.Inside != "" {
		text, inside = "one archive in it does not name itself (pom.properties)", ": "
	}
	if inside != "" {
		name := f.first.Inside
		if name == "" {
			name = path.Base(f.first.File)
		}
		text += inside + Quoted(name, 100)
	}
	switch {
	case f.guess != nil:
		return text + fmt.Sprintf("; by its file name it is likely %s %s, which was matched", Printable(f.guess.Name, 80), Printable(f.guess.Version, 40))
	case u.names == nil || !u.names.Index:
		return text + ", and there is no index of Java archives to ask: set advisories.java"
	case u.names.Problem != "":
		return text + ", and the index of Java archives could not be asked: " + Printable(u.names.Problem, 100)
	}
	return text + ", and the index of Java archives does not know it"
}
