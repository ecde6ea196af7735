package gate_test

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"testing"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/gate/agree"
)

// TestUpdateSetting: each of many changes at the same time counts once.
func TestUpdateSetting(t *testing.T) {
	s := newSite(t, month(0))
	add := func(value []byte) ([]byte, error) {
		n := 0
		if value != nil {
			var err error
			if n, err = strconv.Atoi(string(value)); err != nil {
				return nil, err
			}
		}
		return fmt.Append(nil, n+1), nil
	}
	var racing sync.WaitGroup
	for range 8 {
		racing.Go(func() {
			if err := agree.UpdateSetting(t.Context(), s.store, "n", add); err != nil {
				t.Error(err)
			}
		})
	}
	racing.Wait()
	value, version, err := s.store.Setting(t.Context(), "n")
	if err != nil || string(value) != "8" || version != 8 {
		t.Errorf("after 8 changes: got %q, version %d, %v", value, version, err)
	}

	refused := errors.New("no")
	for name, change := range map[string]func([]byte) ([]byte, error){
		"left":    func([]byte) ([]byte, error) { return nil, nil },
		"refused": func([]byte) ([]byte, error) { return []byte("9"), refused },
	} {
		if err := agree.UpdateSetting(t.Context(), s.store, "n", change); name == "left" && err != nil || name == "refused" && !errors.Is(err, refused) {
			t.Errorf("%s: got %v", name, err)
		}
	}
	if _, version, _ := s.store.Setting(t.Context(), "n"); version != 8 {
		t.Errorf("what was left or refused was written: version %d", version)
	}
	if _, err := s.store.PutSetting(t.Context(), "empty", nil, 0); err != nil {
		t.Fatal(err)
	}
	err = agree.UpdateSetting(t.Context(), s.store, "empty", func(value []byte) ([]byte, error) {
		if value == nil {
			t.Error("a setting that is empty looks like none")
		}
		return nil, nil
	})
	if err != nil {
		t.Error(err)
	}
	if err := agree.UpdateSetting(t.Context(), alwaysLate{s.store}, "n", add); !errors.Is(err, gate.ErrConflict) {
		t.Errorf("others were always faster: got %v, want gate.ErrConflict", err)
	}
}

// alwaysLate loses every race.
type alwaysLate struct{ agree.Settings }

func (alwaysLate) PutSetting(context.Context, string, []byte, int64) (int64, error) {
	return 0, gate.ErrConflict
}
