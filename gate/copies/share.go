package copies

import (
	"unique"

	"github.com/digestgate/digestgate/gate"
)

// Records that are read one by one have texts of their own each, of which most are the same
// in all records (what analysed and matched them, their platform and places) or stand in one
// record more than once. Sharing them halves what the texts of a copy take. What a copy
// weighs is counted without it: whether anything is shared is up to what is stored.

// shared replaces texts by those of other copies that are the same.
func shared[T ~string](texts ...*T) {
	for _, t := range texts {
		if *t != "" {
			*t = T(unique.Make(string(*t)).Value())
		}
	}
}

// same replaces a text by another that is equal.
func same[T, U ~string](text *T, as U) {
	if string(*text) == string(as) {
		*text = T(as)
	}
}

// share gives a record texts in common with others. Nothing that it says changes.
func share(r *gate.Record) {
	m, i, f := &r.Manifest, &r.Summary.Inventory, &r.Summary.Findings
	same(&m.Digest, r.Digest)
	same(&i.Of, r.InventoryID)
	same(&r.FindingsOf, r.InventoryID)
	same(&f.Of, r.FindingsID)
	same(&f.Advisories, r.Advisories)
	shared(&r.AnalyzerSet, &r.Matcher, &m.MediaType, &m.Platform.OS, &m.Platform.Architecture, &m.Platform.Variant,
		&m.Platform.OSVersion, &i.Family, &i.Release, &i.Platform, &i.Isolation, &i.User, &i.RisksAlike, &i.SecretsAlike, &f.GapsAlike)
	shared(&m.Kind)
	shared(&r.Advisories, &f.Advisories)
	for k := range f.Alike {
		shared(&f.Alike[k])
	}
	for k := range r.Locations { // of the record's own: see Shown
		shared(&r.Locations[k].Registry, &r.Locations[k].Repository)
	}
}
