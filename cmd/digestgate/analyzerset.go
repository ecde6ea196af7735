package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/gate/agree"
)

// publishAnalyzerSet stores this worker's set, so that a scheduler without a
// worker of its own knows what is to be analysed again. The set of the worker
// that started last counts, which in an upgrade is the new one.
func (a *app) publishAnalyzerSet(ctx context.Context) error {
	set := a.analyzer.Set()
	for {
		stored, version, err := a.store.Setting(ctx, agree.SettingAnalyzerSet)
		if err != nil && !errors.Is(err, gate.ErrNotFound) {
			return err
		}
		if err == nil && string(stored) == set {
			return nil
		}
		if _, err = a.store.PutSetting(ctx, agree.SettingAnalyzerSet, []byte(set), version); !errors.Is(err, gate.ErrConflict) {
			return err
		}
	}
}

// analyzerSet is that of this process, or of the worker that started last.
func (a *app) analyzerSet(ctx context.Context) (string, error) {
	if a.analyzer != nil {
		return a.analyzer.Set(), nil
	}
	set, _, err := a.store.Setting(ctx, agree.SettingAnalyzerSet)
	if errors.Is(err, gate.ErrNotFound) {
		return "", fmt.Errorf("a content rescan needs a worker, and none has started on this store yet: %w", gate.ErrNotFound)
	}
	return string(set), err
}
