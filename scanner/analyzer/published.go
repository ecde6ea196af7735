package analyzer

import (
	"context"
	"errors"
	"fmt"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/gate/agree"
)

// Publish stores the set of a worker's analysers, so that a scheduler without a
// worker of its own knows what is to be analysed again. The set of the worker
// that started last counts, which in an upgrade is the new one. Errors: those of the
// store.
func Publish(ctx context.Context, s agree.Settings, set string) error {
	return agree.UpdateSetting(ctx, s, agree.SettingAnalyzerSet, func(stored []byte) ([]byte, error) {
		if stored != nil && string(stored) == set {
			return nil, nil
		}
		return []byte(set), nil
	})
}

// Published is the set of the worker that started last. Errors: ErrNotFound before
// the first, those of the store.
func Published(ctx context.Context, s agree.Settings) (string, error) {
	set, _, err := s.Setting(ctx, agree.SettingAnalyzerSet)
	if errors.Is(err, gate.ErrNotFound) {
		return "", fmt.Errorf("a content rescan needs a worker, and none has started on this store yet: %w", gate.ErrNotFound)
	}
	return string(set), err
}
