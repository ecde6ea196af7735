package standing

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/gate/agree"
)

// liftHeader is what a lift says, as it is stored; the findings are in parts of their
// own. Settings are signed where the store is shared, like everything that admission
// relies on.
type liftHeader struct {
	Format  int            `json:"format"`
	Base    liftGeneration `json:"base"` // findings were those of this generation
	Now     liftGeneration `json:"now"`  // and are those of this one
	Matcher string         `json:"matcher"`
	// Sequence is how far the change feed was followed, after Now was in force, when it
	// was computed what is touched.
	Sequence int64     `json:"sequence"`
	MadeAt   time.Time `json:"madeAt"`
	Findings int       `json:"findings"` // their number
	// Parts are the SHA-256 sums of the parts: a part that was written for another lift,
	// or put back, does not fit.
	Parts []string `json:"parts"`
	// TouchedParts are those of the findings that stood in Base and have to be matched
	// again: what may decide until then. A statement of an earlier version has none.
	TouchedParts []string `json:"touchedParts,omitempty"`
}

const (
	// liftFormat is the layout of what is stored; another one counts as absent.
	liftFormat = 1
	// liftPart is how many findings a part holds: 960 kB of the 1 MiB of a setting.
	liftPart = 60_000
	// maxLiftParts bounds a lift to 1.9 million findings; others are matched.
	maxLiftParts = 32
	// liftEvery is how often it is looked for the lift of the generation in force while
	// it is not there: one small value.
	liftEvery = 2 * time.Second
)

// Follow loads the lift of the generation that is in use here, when there is one, until
// ctx ends.
func (l *Lifts) Follow(ctx context.Context, store agree.Settings, m Matcher, log *slog.Logger) {
	tick := time.NewTicker(liftEvery)
	defer tick.Stop()
	failed := false
	for {
		err := l.load(ctx, store, m)
		if err != nil && !failed && ctx.Err() == nil {
			log.Warn("it is not known which findings the advisory data in force leaves unchanged, images are matched again", "error", err)
		}
		failed = err != nil
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// load takes over the stored lift if it is that of the generation in use and is not
// loaded. Errors: those of the store, and gate.ErrConflict for one that is being written.
func (l *Lifts) load(ctx context.Context, store agree.Settings, m Matcher) error {
	g, ok := m.Generation()
	if !ok {
		return nil
	}
	return l.loadOf(ctx, store, g, m.Version())
}

// loadOf is load for a generation, which need not be in use yet.
func (l *Lifts) loadOf(ctx context.Context, store agree.Settings, g gate.Generation, matcher string) error {
	if l.of(g, matcher) != nil {
		return nil
	}
	h, err := readLift(ctx, store)
	if err != nil || h.Now != liftedTo(g) || h.Matcher != matcher {
		return err
	}
	findings, err := readParts(ctx, store, h, h.Parts, 0)
	if err != nil {
		return err
	}
	touched, err := readParts(ctx, store, h, h.TouchedParts, maxLiftParts)
	if err != nil {
		return err
	}
	l.add(&lift{h, findings, touched})
	return nil
}

// readLift is the stored header, the zero one when there is none that this version
// reads.
func readLift(ctx context.Context, store agree.Settings) (h liftHeader, err error) {
	text, _, err := store.Setting(ctx, agree.SettingLift)
	if errors.Is(err, gate.ErrNotFound) {
		return liftHeader{}, nil
	}
	if err != nil {
		return liftHeader{}, err
	}
	if json.Unmarshal(text, &h) != nil || h.Format != liftFormat || len(h.Parts) > maxLiftParts || len(h.TouchedParts) > maxLiftParts || h.Base.Content == "" || h.Now.Content == "" {
		return liftHeader{}, nil
	}
	return h, nil
}

// readParts are the findings in some parts of a lift; the first of them is the setting
// with a number.
func readParts(ctx context.Context, store agree.Settings, h liftHeader, parts []string, first int) (findingsSet, error) {
	list := make([]findingsKey, 0, len(parts)*liftPart)
	for i, sum := range parts {
		part, _, err := store.Setting(ctx, agree.SettingLiftPart(first+i))
		if err != nil && !errors.Is(err, gate.ErrNotFound) {
			return nil, err
		}
		if sumOf(part) != sum || len(part)%findingsKeyBytes != 0 {
			return nil, fmt.Errorf("part %d of the lists of findings of generation %d does not fit: %w", first+i, h.Now.Number, gate.ErrConflict)
		}
		for ; len(part) > 0; part = part[findingsKeyBytes:] {
			list = append(list, keyFrom(part))
		}
	}
	return sortFindings(slices.Clip(list)), nil
}

// writeLift stores a lift, the parts first: until the header is written, the former lift
// is damaged, and what it named is matched where it is not loaded yet.
func writeLift(ctx context.Context, store agree.Settings, h liftHeader, findings, touched findingsSet) (*lift, error) {
	findings = findings[:min(len(findings), maxLiftParts*liftPart)]
	touched = touched[:min(len(touched), maxLiftParts*liftPart)]
	h.Format, h.Findings = liftFormat, len(findings)
	var err error
	if h.Parts, err = writeParts(ctx, store, findings, 0); err != nil {
		return nil, err
	}
	if h.TouchedParts, err = writeParts(ctx, store, touched, maxLiftParts); err != nil {
		return nil, err
	}
	text, err := json.Marshal(h)
	if err != nil {
		return nil, fmt.Errorf("encoding the list of unchanged findings: %w: %w", gate.ErrInvalid, err)
	}
	return &lift{h, findings, touched}, putSetting(ctx, store, agree.SettingLift, text)
}

func writeParts(ctx context.Context, store agree.Settings, rest findingsSet, first int) (sums []string, err error) {
	sums = []string{}
	for len(rest) > 0 {
		n := min(len(rest), liftPart)
		part := make([]byte, 0, n*findingsKeyBytes)
		for _, key := range rest[:n] {
			part = key.append(part)
		}
		rest = rest[n:]
		if err := putSetting(ctx, store, agree.SettingLiftPart(first+len(sums)), part); err != nil {
			return nil, err
		}
		sums = append(sums, sumOf(part))
	}
	return sums, nil
}

func putSetting(ctx context.Context, store agree.Settings, name string, value []byte) error {
	return agree.UpdateSetting(ctx, store, name, func([]byte) ([]byte, error) { return value, nil })
}

func sumOf(part []byte) string {
	sum := sha256.Sum256(part)
	return hex.EncodeToString(sum[:])
}
