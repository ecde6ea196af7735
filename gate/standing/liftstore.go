package standing

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
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
	if _, _, known := l.Difference(g, m.Version()); known {
		return nil
	}
	h, err := readLift(ctx, store)
	if err != nil || h.Now != liftedTo(g) || h.Matcher != m.Version() {
		return err
	}
	findings, err := readFindings(ctx, store, h)
	if err != nil {
		return err
	}
	l.now.Store(&lift{h, findings})
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
	if json.Unmarshal(text, &h) != nil || h.Format != liftFormat || len(h.Parts) > maxLiftParts || h.Base.Content == "" || h.Now.Content == "" {
		return liftHeader{}, nil
	}
	return h, nil
}

// readFindings are the findings of a lift.
func readFindings(ctx context.Context, store agree.Settings, h liftHeader) (findingsSet, error) {
	list := make([]findingsKey, 0, min(h.Findings, maxLiftParts*liftPart))
	for i, sum := range h.Parts {
		part, _, err := store.Setting(ctx, agree.SettingLiftPart(i))
		if err != nil && !errors.Is(err, gate.ErrNotFound) {
			return nil, err
		}
		if sumOf(part) != sum || len(part)%findingsKeyBytes != 0 {
			return nil, fmt.Errorf("part %d of the list of findings that generation %d leaves unchanged does not fit: %w", i, h.Now.Number, gate.ErrConflict)
		}
		for ; len(part) > 0; part = part[findingsKeyBytes:] {
			list = append(list, keyFrom(part))
		}
	}
	return sortFindings(list), nil
}

// writeLift stores a lift, the parts first: until the header is written, the former lift
// is damaged, and what it named is matched where it is not loaded yet.
func writeLift(ctx context.Context, store agree.Settings, h liftHeader, findings findingsSet) (lift, error) {
	findings = findings[:min(len(findings), maxLiftParts*liftPart)]
	h.Format, h.Findings, h.Parts = liftFormat, len(findings), []string{}
	for rest := findings; len(rest) > 0; {
		n := min(len(rest), liftPart)
		part := make([]byte, 0, n*findingsKeyBytes)
		for _, key := range rest[:n] {
			part = key.append(part)
		}
		rest = rest[n:]
		if err := putSetting(ctx, store, agree.SettingLiftPart(len(h.Parts)), part); err != nil {
			return lift{}, err
		}
		h.Parts = append(h.Parts, sumOf(part))
	}
	text, err := json.Marshal(h)
	if err != nil {
		return lift{}, fmt.Errorf("encoding the list of unchanged findings: %w: %w", gate.ErrInvalid, err)
	}
	return lift{h, findings}, putSetting(ctx, store, agree.SettingLift, text)
}

func putSetting(ctx context.Context, store agree.Settings, name string, value []byte) error {
	return agree.UpdateSetting(ctx, store, name, func([]byte) ([]byte, error) { return value, nil })
}

func sumOf(part []byte) string {
	sum := sha256.Sum256(part)
	return hex.EncodeToString(sum[:])
}
