package kev

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/digestgate/digestgate/gate"
)

// catalog is in the form of CISA's, shortened.
const catalog = `{"title": "CISA Catalog of Known Exploited Vulnerabilities", "catalogVersion": "2025.08.25", "dateReleased": "2025-08-25T17:04:19.9796Z", "count": 2, "vulnerabilities": [
 {"cveID": "CVE-2025-48384", "vendorProject": "Git", "product": "Git", "vulnerabilityName": "Git Link Following Vulnerability", "dateAdded": "2025-08-25", "shortDescription": "x", "requiredAction": "y", "dueDate": "2025-09-15", "knownRansomwareCampaignUse": "Unknown", "notes": "", "cwes": ["CWE-59"]},
 {"cveID": "CVE-2021-44228", "vendorProject": "Apache", "product": "Log4j2", "vulnerabilityName": "Log4Shell", "dateAdded": "2021-12-10", "shortDescription": "x", "requiredAction": "y", "dueDate": "2021-12-24", "knownRansomwareCampaignUse": "Known", "notes": "", "cwes": []}]}`

func TestRead(t *testing.T) {
	table, err := Read(strings.NewReader(catalog))
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{"CVE-2021-44228", "cve-2021-44228"} {
		k, ok := table.Find(id)
		if !ok || !k.Ransomware || k.AddedAt.Format("2006-01-02") != "2021-12-10" || k.DueAt.Format("2006-01-02") != "2021-12-24" {
			t.Errorf("Find(%q): got %+v %t", id, k, ok)
		}
	}
	if k, ok := table.Find("CVE-2025-48384"); !ok || k.Ransomware {
		t.Errorf("got %+v %t", k, ok)
	}
	if _, ok := table.Find("CVE-2021-4422"); ok {
		t.Error("an id that is not there was found")
	}
}

func TestReadRefuses(t *testing.T) {
	for name, c := range map[string]struct{ old, new, want string }{
		"count":         {`"count": 2`, `"count": 3`, "count 3"},
		"no_count":      {`"count": 2, `, ``, "no count"},
		"no_date":       {`"dateReleased": "2025-08-25T17:04:19.9796Z", `, ``, "dateReleased"},
		"id":            {"CVE-2025-48384", "CVE-2025-", "cveID"},
		"no_added":      {`"dateAdded": "2025-08-25"`, `"dateAdded": ""`, "dateAdded"},
		"due":           {`"dueDate": "2025-09-15"`, `"dueDate": "soon"`, "dueDate"},
		"twice":         {"CVE-2025-48384", "cve-2021-44228", "twice"},
		"cut":           {`"cwes": []}]}`, ``, "JSON"},
		"more":          {`"cwes": []}]}`, `"cwes": []}]}{}`, "behind"},
		"another_shape": {catalog, `[]`, "JSON"},
		"empty":         {catalog, `{"dateReleased": "2025-08-25T17:04:19Z", "count": 0, "vulnerabilities": []}`, "no vulnerabilities"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Read(strings.NewReader(strings.Replace(catalog, c.old, c.new, 1)))
			if !errors.Is(err, gate.ErrInvalid) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want an invalid one with %q", err, c.want)
			}
		})
	}
}

func TestChanged(t *testing.T) {
	a, err := Read(strings.NewReader(catalog))
	if err != nil {
		t.Fatal(err)
	}
	b, err := Read(strings.NewReader(strings.NewReplacer(`"Unknown"`, `"Known"`, "CVE-2021-44228", "CVE-2021-45046").Replace(catalog)))
	if err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprint(Changed(a, b)); got != "[CVE-2021-44228 CVE-2021-45046 CVE-2025-48384]" {
		t.Errorf("got %s", got)
	}
	if len(Changed(a, a)) != 0 || len(Changed(nil, a)) != 2 || len(Changed(a, nil)) != 2 {
		t.Error("against itself, or none")
	}
}

func FuzzRead(f *testing.F) {
	f.Add([]byte(catalog))
	f.Fuzz(func(t *testing.T, text []byte) {
		table, err := Read(bytes.NewReader(text))
		if err != nil {
			return
		}
		for _, e := range table.Entries {
			if _, ok := table.Find(e.ID); !ok {
				t.Errorf("%s is not found", e.ID)
			}
		}
	})
}
