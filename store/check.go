package store

import (
	"fmt"
	"strings"
	"time"

	"github.com/digestgate/digestgate/gate"
)

// The checks of what a caller hands to a store. Every store refuses the same
// things in the same words; each error wraps gate.ErrInvalid,
// gate.ErrDigestInvalid or gate.ErrTooLarge.

// CheckRequest refuses a request for a job that makes no sense.
func CheckRequest(req gate.JobRequest) error {
	switch req.Trigger {
	case gate.TriggerPush, gate.TriggerSync, gate.TriggerAdmission, gate.TriggerRescan, gate.TriggerAPI:
	default:
		return fmt.Errorf("trigger %s is not known: %w", gate.Quoted(string(req.Trigger), 40), gate.ErrInvalid)
	}
	switch {
	case KindBit(req.Kind) == 0:
		return fmt.Errorf("this kind of job is not known: %w", gate.ErrInvalid)
	case req.Digest != "" && !req.Digest.Valid():
		return gate.ErrDigestInvalid
	case req.Digest == "" && req.Kind != gate.JobResolve:
		return fmt.Errorf("it needs a digest: %w", gate.ErrInvalid)
	case req.Digest == "" && req.Tag == "":
		return fmt.Errorf("it needs a digest or a tag: %w", gate.ErrInvalid)
	case req.Kind == gate.JobResolve && (req.Location.Registry == "" || req.Location.Repository == ""):
		return fmt.Errorf("it needs a registry and a repository: %w", gate.ErrInvalid)
	case len(req.Key()) > MaxKey || len(req.Location.String()) > MaxKey || len(req.Tag) > MaxKey:
		return fmt.Errorf("its names are longer than %d bytes: %w", MaxKey, gate.ErrTooLarge)
	}
	return nil
}

// CheckClaim refuses a claim that could serve nothing, and returns the kinds it
// asks for as a mask of kind bits.
func CheckClaim(req gate.ClaimRequest) (mask int, err error) {
	for _, k := range req.Kinds {
		mask |= KindBit(k)
	}
	switch {
	case len(req.Kinds) == 0:
		mask = AllKinds
	case mask == 0:
		return 0, fmt.Errorf("none of the kinds %q is known: %w", req.Kinds, gate.ErrInvalid)
	}
	if req.Lease <= 0 {
		return 0, fmt.Errorf("a lease of %s: %w", req.Lease, gate.ErrInvalid)
	}
	return mask, nil
}

// CheckLocation refuses a location that could not be told from another.
func CheckLocation(loc gate.Location) error {
	if loc.Registry == "" || loc.Repository == "" || len(loc.String()) > MaxKey || strings.Contains(loc.String(), "\n") {
		return fmt.Errorf("location %s: %w", gate.Quoted(loc.String(), 200), gate.ErrInvalid)
	}
	return nil
}

// CheckSighting refuses a sighting without sense, for which nothing is written.
func CheckSighting(s gate.Sighting) error {
	if !s.Digest.Valid() {
		return gate.ErrDigestInvalid
	}
	if s.Manifest != nil && s.Manifest.Digest != s.Digest {
		return fmt.Errorf("the manifest is that of %s: %w", gate.Quoted(string(s.Manifest.Digest), 100), gate.ErrInvalid)
	}
	if err := CheckLocation(s.Location); err != nil {
		return err
	}
	for i, t := range s.Tags {
		if err := CheckTag(s.Key(i)); err != nil {
			return fmt.Errorf("tag %s: %w", gate.Quoted(t.Tag, 200), err)
		}
	}
	if s.Request == nil {
		return nil
	}
	return CheckRequest(*s.Request)
}

// CheckSetting refuses a setting without a name or over the limits.
func CheckSetting(name string, value []byte) error {
	switch {
	case name == "" || len(name) > MaxKey:
		return fmt.Errorf("a name has 1 to %d bytes: %w", MaxKey, gate.ErrInvalid)
	case len(value) > MaxSetting:
		return fmt.Errorf("%d bytes are over the limit of %d: %w", len(value), MaxSetting, gate.ErrTooLarge)
	}
	return nil
}

// CheckCharge refuses to restore a charge of nothing or at no time.
func CheckCharge(d gate.Digest, at time.Time) error {
	switch {
	case !d.Valid():
		return gate.ErrDigestInvalid
	case at.IsZero():
		return fmt.Errorf("a charge at no time: %w", gate.ErrInvalid)
	}
	return nil
}

// UnlimitedPeriod stands for a period without a key.
const UnlimitedPeriod = "none"

// PeriodKey is the name under which a period is counted.
func PeriodKey(p string) string {
	if p == "" {
		return UnlimitedPeriod
	}
	return p
}

// Window is the start and the end of the fixed window of a budget that now
// falls into.
func Window(now time.Time, window time.Duration) (start, end int64) {
	start = now.UnixNano() - now.UnixNano()%int64(window)
	return start, start + int64(window)
}
