package eol

import (
	"fmt"
	"strings"
	"testing"

	"github.com/digestgate/digestgate/scanner/distribution"
)

// TestFind_ownFamilies: endoflife.date has no dates of most distributions of digestgate's
// own detector. Nothing is known of them then; with a table of the operator, each is found as
// images write their releases.
func TestFind_ownFamilies(t *testing.T) {
	without, err := Read(strings.NewReader(dates))
	if err != nil {
		t.Fatal(err)
	}
	releases := map[string]struct{ product, name, bare string }{ // bare is without what tells service packs apart
		"euleros": {"euleros", "2.0-sp9", "2.0"}, "hce": {"hce", "2.0", "2"}, "kylin": {"kylin", "v10-sp3", "v10"}, "uniontech": {"uos", "20-1060e", "20"},
		"alinux": {"alinux", "3", ""}, "tencentos": {"tencentos", "4", ""}, "openeuler": {"openeuler", "22.03-lts-sp3", "22.03-lts"}, "anolis": {"anolis", "8", ""}, "opencloudos": {"opencloudos", "9", ""},
	}
	written := map[string][]string{
		"euleros": {"2.0 (SP9x86_64)", "2.0 (SP9)", "2.0-SP9", "2.9", "V2R9"}, "hce": {"2.0"}, "kylin": {"V10 (Lance)", "V10-SP3", "V10 (SP3) /(Lance)-x86_64-Build23/20230324"},
		"uniontech": {"20-1060e", "20.1060E"}, "alinux": {"3", "3.2104"}, "tencentos": {"4", "4.2"}, "openeuler": {"22.03 (LTS-SP3)"}, "anolis": {"8.8"}, "opencloudos": {"9.0"},
	}
	for _, family := range distribution.OwnFamilies() {
		r, ok := releases[family]
		if !ok {
			t.Fatalf("no release of %s", family)
		}
		table := func(name string) *Table {
			text := fmt.Sprintf(`{"generated_at": "2026-11-28T12:00:00Z", "total": 1, "result": [{"name": %q, "releases": [{"name": %q, "isEol": false, "eolFrom": "2027-01-01"}]}]}`, r.product, name)
			t, _ := Read(strings.NewReader(text))
			return t
		}
		for _, release := range written[family] {
			known := family == "anolis" || family == "opencloudos"
			if e, ok := without.Find(family, release); ok != known {
				t.Errorf("%s %s without a table: got %+v, known %t", family, release, e, ok)
			}
			if e, ok := table(r.name).Find(family, release); !ok || e.From.Year() != 2027 {
				t.Errorf("%s %s: got %+v, known %t", family, release, e, ok)
			}
			if e, ok := table("another").Find(family, release); ok {
				t.Errorf("%s %s of another release: got %+v", family, release, e)
			}
			if sp := family == "euleros" || family == "kylin" || family == "openeuler"; sp {
				if e, ok := table(r.bare).Find(family, release); ok {
					t.Errorf("%s %s: a table of %s says %+v", family, release, r.bare, e)
				}
			}
		}
	}
}
