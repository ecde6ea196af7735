package gate_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/digestgate/digestgate/gate"
)

// unnamedJars is an inventory with one gap for each file of archives ("app.war!lib/a.jar"
// is one inside another), of which at most most are listed.
func unnamedJars(most int, places ...string) *gate.Inventory {
	inv := &gate.Inventory{Risks: map[gate.Risk]gate.RiskStatus{}}
	var files []string
	for i, place := range places {
		file, inside, _ := strings.Cut(place, "!")
		inv.Archives = append(inv.Archives, gate.JavaArchive{File: file, Inside: inside, SHA1: fmt.Sprintf("%040x", i), Unnamed: true})
		files = append(files, file)
	}
	files = slices.Compact(files)
	for _, f := range files[:min(most, len(files))] {
		inv.Errors = append(inv.Errors, gate.AnalyzerError{Risk: gate.RiskVulnerabilities, Kind: gate.GapJarWithoutCoordinates, Analyzer: "jar", Path: f, Message: "it does not name itself (pom.properties)"})
	}
	if n := len(files) - most; n > 0 {
		inv.MoreErrors = append(inv.MoreErrors, gate.ErrorCount{Risk: gate.RiskVulnerabilities, Kind: gate.GapJarWithoutCoordinates, Count: n})
	}
	for _, r := range gate.SupportedRisks() {
		inv.Risks[r] = inv.CoverageOf(r)
	}
	return inv
}

func namesOf(inv *gate.Inventory, by string, which ...int) *gate.Findings {
	f := &gate.Findings{Archives: &gate.ArchiveNames{Index: true}}
	for _, i := range which {
		a := inv.Archives[i]
		f.Archives.Named = append(f.Archives.Named, gate.NamedArchive{File: a.File, Inside: a.Inside, SHA1: a.SHA1, Name: "g:a", Version: "1", By: by})
	}
	return f
}

// TestNamed: a gap goes when an index has named every archive in its file, and not for a
// guess; what is left says why, and what to do.
func TestNamed(t *testing.T) {
	two := unnamedJars(9, "a.jar", "w.war", "w.war!lib/b.jar", "w.war!lib/c.jar")
	wrong := namesOf(two, gate.ArchiveBySHA1, 0)
	wrong.Archives.Named[0].SHA1 = strings.Repeat("f", 40)
	long := unnamedJars(9, strings.Repeat("d/", 300)+"a.jar")
	long.Errors[0].Path = gate.Printable(long.Errors[0].Path, 400)
	many := unnamedJars(2, "1.jar", "2.jar", "3.jar", "4.jar", "5.jar")
	unrecorded := unnamedJars(2, "1.jar", "2.jar", "3.jar", "4.jar", "5.jar")
	unrecorded.Archives = unrecorded.Archives[:3]
	old := unnamedJars(9, "a.jar")
	old.Archives = nil
	tests := map[string]struct {
		inv  *gate.Inventory
		f    *gate.Findings
		want []string // path: text
		more int
	}{
		"no_index":       {two, &gate.Findings{}, []string{"a.jar: set advisories.java", `w.war: 3 archives in it do not name themselves (pom.properties), the first is "w.war"`}, 0},
		"one_named":      {two, namesOf(two, gate.ArchiveBySHA1, 0), []string{"w.war: 3 archives"}, 0},
		"by_manifest":    {two, namesOf(two, gate.ArchiveByManifest, 0), []string{"w.war: 3 archives"}, 0},
		"inside_is_left": {two, namesOf(two, gate.ArchiveBySHA1, 0, 1, 3), []string{`w.war: one archive in it does not name itself (pom.properties): "lib/b.jar", and the index of Java archives does not know it`}, 0},
		"all_named":      {two, namesOf(two, gate.ArchiveBySHA1, 0, 1, 2, 3), nil, 0},
		"a_guess":        {two, namesOf(two, gate.ArchiveByFileName, 0, 1, 2, 3), []string{"a.jar: by its file name it is likely g:a 1", "w.war: 3 archives"}, 0},
		"other_bytes":    {two, wrong, []string{"a.jar: does not know it", "w.war: "}, 0},
		"a_long_path":    {long, namesOf(long, gate.ArchiveBySHA1, 0), nil, 0},
		"more":           {many, namesOf(many, gate.ArchiveBySHA1, 0, 3), []string{"2.jar: does not know it"}, 2},
		"more_all":       {many, namesOf(many, gate.ArchiveBySHA1, 0, 1, 2, 3, 4), nil, 0},
		"not_recorded":   {unrecorded, namesOf(unrecorded, gate.ArchiveBySHA1, 0, 1, 2), nil, 3},
		"old_analyser":   {old, &gate.Findings{Archives: &gate.ArchiveNames{Index: true}}, []string{"a.jar: it does not name itself (pom.properties), and was scanned before archives were recorded: scan it again"}, 0},
		"index_is_away":  {two, &gate.Findings{Archives: &gate.ArchiveNames{Index: true, Problem: "disk I/O error"}}, []string{"a.jar: could not be asked: disk I/O error", "w.war: "}, 0},
		"not_matched":    {two, nil, []string{"a.jar: it does not name itself", "w.war: "}, 0},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			before := len(tt.inv.Errors)
			got := tt.inv.Named(tt.f)
			if len(got.Errors) != len(tt.want) {
				t.Fatalf("got %+v, want %q", got.Errors, tt.want)
			}
			for i, want := range tt.want {
				path, text, _ := strings.Cut(want, ": ")
				if e := got.Errors[i]; e.Path != path || !strings.Contains(e.Message, text) {
					t.Errorf("got %q, want %q", e.Path+": "+e.Message, want)
				}
			}
			more := 0
			for _, c := range got.MoreErrors {
				more += c.Count
			}
			if more != tt.more {
				t.Errorf("%d more errors, want %d", more, tt.more)
			}
			want := gate.Complete
			if len(tt.want)+tt.more > 0 {
				want = gate.Partial
			}
			if got := got.Risks[gate.RiskVulnerabilities].Coverage; got != want {
				t.Errorf("vulnerabilities are %s, want %s", got, want)
			}
			if diff := cmp.Diff(got.Risks[gate.RiskSecrets], tt.inv.Risks[gate.RiskSecrets]); diff != "" || len(tt.inv.Errors) != before || tt.inv.Risks[gate.RiskVulnerabilities].Coverage != gate.Partial {
				t.Errorf("something else was changed: %s", diff)
			}
		})
	}
}
