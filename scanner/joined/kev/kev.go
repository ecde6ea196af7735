// Package kev reads CISA's catalog of known exploited vulnerabilities
// (https://www.cisa.gov/known-exploited-vulnerabilities-catalog). It fetches nothing and
// decides nothing. A [Table] is never changed once it is made, and safe for concurrent use.
package kev

import (
	"encoding/json"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/digestgate/digestgate/gate"
)

// maxEntries bounds a catalog: the real one grows by 250 entries a year and has 1,500.
const maxEntries = 200_000

// Table is one state of the catalog.
type Table struct {
	Version    string    `json:"version"`
	ReleasedAt time.Time `json:"releasedAt"`
	// Entries are sorted by ID, which is in capital letters.
	Entries []Entry `json:"entries"`
}

// Entry is one vulnerability.
type Entry struct {
	ID string `json:"id"`
	gate.KnownExploited
}

var idPattern = regexp.MustCompile(`^CVE-[0-9]{4}-[0-9]{4,19}$`)

// Read reads a catalog. gate.ErrInvalid: it is not JSON, holds another number of entries
// than it says, or an entry has no id or date. Half a catalog would make rules about it
// silent for the other half.
func Read(r io.Reader) (*Table, error) {
	var doc struct {
		Version         string    `json:"catalogVersion"`
		DateReleased    time.Time `json:"dateReleased"`
		Count           *int      `json:"count"`
		Vulnerabilities []struct {
			ID         string `json:"cveID"`
			Added      string `json:"dateAdded"`
			Due        string `json:"dueDate"`
			Ransomware string `json:"knownRansomwareCampaignUse"`
		} `json:"vulnerabilities"`
	}
	dec := json.NewDecoder(r)
	if err := dec.Decode(&doc); err != nil {
		return nil, invalid("it is not a catalog in JSON: %w", err)
	}
	if _, err := dec.Token(); err != io.EOF {
		return nil, invalid("there is more behind the catalog")
	}
	switch n := len(doc.Vulnerabilities); {
	case doc.DateReleased.IsZero():
		return nil, invalid("it has no dateReleased, so that its age is not known")
	case doc.Count == nil:
		return nil, invalid("it has no count")
	case *doc.Count != n:
		return nil, invalid("it says count %d and has %d vulnerabilities", *doc.Count, n)
	case n == 0:
		return nil, invalid("it has no vulnerabilities")
	case n > maxEntries:
		return nil, invalid("it has %d vulnerabilities, more than %d", n, maxEntries)
	}
	t := &Table{Version: gate.Printable(doc.Version, 40), ReleasedAt: doc.DateReleased.UTC()}
	for i, v := range doc.Vulnerabilities {
		e := Entry{ID: gate.CanonicalID(v.ID)}
		e.Ransomware = strings.EqualFold(v.Ransomware, "Known")
		var err error
		if !idPattern.MatchString(e.ID) {
			return nil, invalid("vulnerabilities[%d].cveID is %s", i, gate.Quoted(v.ID, 60))
		}
		if e.AddedAt, err = time.Parse(time.DateOnly, v.Added); err != nil {
			return nil, invalid("vulnerabilities[%d].dateAdded is %s, want a date such as 2025-08-25", i, gate.Quoted(v.Added, 60))
		}
		if v.Due != "" {
			if e.DueAt, err = time.Parse(time.DateOnly, v.Due); err != nil {
				return nil, invalid("vulnerabilities[%d].dueDate is %s, want a date such as 2025-08-25", i, gate.Quoted(v.Due, 60))
			}
		}
		t.Entries = append(t.Entries, e)
	}
	slices.SortFunc(t.Entries, func(a, b Entry) int { return strings.Compare(a.ID, b.ID) })
	for i := 1; i < len(t.Entries); i++ {
		if t.Entries[i].ID == t.Entries[i-1].ID {
			return nil, invalid("%s is there twice", t.Entries[i].ID)
		}
	}
	return t, nil
}

func invalid(format string, args ...any) error {
	return fmt.Errorf("%w: %w", fmt.Errorf(format, args...), gate.ErrInvalid)
}

// Find is the entry of a vulnerability by its id, in any case of the letters.
func (t *Table) Find(id string) (gate.KnownExploited, bool) {
	i, ok := slices.BinarySearchFunc(t.Entries, gate.CanonicalID(id), func(e Entry, id string) int { return strings.Compare(e.ID, id) })
	if !ok {
		return gate.KnownExploited{}, false
	}
	return t.Entries[i].KnownExploited, true
}

// Changed lists the ids whose entries differ between two catalogs; nil stands for one
// without entries.
func Changed(a, b *Table) []string {
	entries := map[string]gate.KnownExploited{}
	if a != nil {
		for _, e := range a.Entries {
			entries[e.ID] = e.KnownExploited
		}
	}
	var list []string
	if b != nil {
		for _, e := range b.Entries {
			old, there := entries[e.ID]
			if delete(entries, e.ID); !there || !same(old, e.KnownExploited) {
				list = append(list, e.ID)
			}
		}
	}
	for id := range entries {
		list = append(list, id)
	}
	slices.Sort(list)
	return list
}

func same(a, b gate.KnownExploited) bool {
	return a.AddedAt.Equal(b.AddedAt) && a.DueAt.Equal(b.DueAt) && a.Ransomware == b.Ransomware
}
