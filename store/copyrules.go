package store

import "github.com/digestgate/digestgate/gate"

// The rules of [Importer], the same for every store: each says what stands after
// an import over what was there, and whether anything changed.

// ImportCharge keeps a charge that is there, but for that one which was only
// reserved is served when the imported one is.
func ImportCharge(old, fresh gate.Charge) (c gate.Charge, changed bool) {
	if old == (gate.Charge{}) {
		return fresh, true
	}
	c = old
	c.Served = old.Served || fresh.Served
	return c, c.Served != old.Served
}

// ImportQuota keeps the higher counts: they only grow, but for a charge that is
// given back.
func ImportQuota(old, fresh gate.QuotaUse) (use gate.QuotaUse, changed bool) {
	use = gate.QuotaUse{Used: max(old.Used, fresh.Used), Avoided: max(old.Avoided, fresh.Avoided)}
	return use, use != old
}

// ImportTag keeps the mapping of the later read, and of the later mark among
// those of the same.
func ImportTag(old gate.TagMapping, found bool, fresh gate.TagMapping) bool {
	switch {
	case !found:
		return true
	case !old.ReadAt.Equal(fresh.ReadAt):
		return fresh.ReadAt.After(old.ReadAt)
	}
	return fresh.DirtyAt.After(old.DirtyAt)
}

// Import puts a record in the place of one with a lower version; the epoch never
// goes back. b has the version that is stored.
func (b *Body) Import(fresh Body) (changed bool) {
	if b.Version >= fresh.Version {
		return false
	}
	epoch := max(b.Epoch, fresh.Epoch)
	*b = fresh
	b.Epoch = epoch
	return true
}

// ImportJob says what becomes of the newest job of a key (nil for none) when one
// from elsewhere comes: the same is written when it has changed since, another
// one is superseded when it has ended and is the older one.
func ImportJob(current *gate.Job, fresh gate.Job) bool {
	switch {
	case current == nil:
		return true
	case current.ID != fresh.ID && current.State.Live():
		return false
	}
	return fresh.UpdatedAt.After(current.UpdatedAt)
}
