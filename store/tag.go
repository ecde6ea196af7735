package store

import (
	"fmt"
	"strings"
	"time"

	"github.com/digestgate/digestgate/gate"
)

// The rules of [Tags], the same for every store.

// TagName is the name under which a tag is stored: registry, repository and
// tag, newlines between, which no part of it can hold.
func TagName(k gate.TagKey) string { return k.Registry + "\n" + k.Repository + "\n" + k.Tag }

// TagOf takes a stored name apart.
func TagOf(name string) (k gate.TagKey) {
	k.Registry, k.Repository, _ = strings.Cut(name, "\n")
	k.Repository, k.Tag, _ = strings.Cut(k.Repository, "\n")
	return k
}

// CheckTag refuses a tag without sense; gate.ErrInvalid or gate.ErrTooLarge.
func CheckTag(k gate.TagKey) error {
	switch {
	case k.Registry == "" || k.Repository == "" || k.Tag == "" || strings.Contains(k.String(), "\n"):
		return gate.ErrInvalid
	case len(TagName(k)) > MaxKey:
		return gate.ErrTooLarge
	}
	return nil
}

// MergeTag is the mapping that stands after a read of a host that started at readAt
// and found digest ("": no such tag), where old stood before (found says whether it
// did). It reports whether it must be written, and whether a reader of the feed
// would see a difference. A readAt after the store's clock counts as now. A later read
// of another host under the registry's name does not count against this one.
func MergeTag(old gate.TagMapping, found bool, digest gate.Digest, readAt, now time.Time, host string) (m gate.TagMapping, write, changed bool) {
	if readAt.After(now) {
		readAt = now
	}
	m = gate.TagMapping{TagKey: old.TagKey, Digest: digest, Host: host, ReadAt: readAt, DirtyAt: old.DirtyAt, Gone: digest == ""}
	moved := old.Host != "" && host != "" && old.Host != host
	if old.ReadAt.After(m.ReadAt) && !moved {
		return old, false, false
	}
	// A later read of the other host may have cleared a mark that this read has not seen.
	m.Dirty = (old.Dirty || moved && !old.DirtyAt.IsZero()) && !old.DirtyAt.Before(m.ReadAt)
	return m, true, !found || moved || old.Digest != m.Digest || old.Dirty != m.Dirty || old.Gone != m.Gone
}

// SameTag refuses to remove a mapping that is not the one that was read.
func SameTag(stands, read gate.TagMapping) error {
	if stands.Digest == read.Digest && stands.ReadAt.Equal(read.ReadAt) && stands.Dirty == read.Dirty && stands.DirtyAt.Equal(read.DirtyAt) && stands.Gone == read.Gone {
		return nil
	}
	return fmt.Errorf("it was read again at %s, or marked: %w", stands.ReadAt.UTC().Format(time.RFC3339Nano), gate.ErrConflict)
}

// MarkTag is the mapping after an event that said the tag may have moved. It
// reports whether a reader of the feed would see a difference.
func MarkTag(old gate.TagMapping, now time.Time) (m gate.TagMapping, changed bool) {
	m, changed = old, !old.Dirty
	m.Dirty = true
	if now.After(m.DirtyAt) {
		m.DirtyAt = now
	}
	return m, changed
}
