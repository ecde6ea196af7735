package schedule

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/gate/agree"
)

// made is the value of the setting with the schedules that were made through the API.
type made struct {
	Format    int          `json:"format"`
	Schedules []madeConfig `json:"schedules"`
}

// madeConfig is one of them.
type madeConfig struct {
	Config
	CreatedAt time.Time `json:"createdAt"`
	// Since is the time before which no tick counts: when it was made or enabled.
	Since time.Time `json:"since"`
}

// madeFormat is the format of the setting. A later one is not read, and not overwritten.
const madeFormat = 1

func decodeMade(value []byte) (m made, err error) {
	if value == nil {
		return made{Format: madeFormat}, nil
	}
	if err = json.Unmarshal(value, &m); err == nil && m.Format != madeFormat {
		err = fmt.Errorf("it is in format %d, and this version reads format %d", m.Format, madeFormat)
	}
	if err != nil {
		return made{}, fmt.Errorf("setting %q in the store cannot be read: %w; run the version of digestgate that wrote it: %w", agree.SettingSchedules, err, gate.ErrStoreUnavailable)
	}
	return m, nil
}

func loadMade(ctx context.Context, s agree.Settings) (made, error) {
	value, _, err := s.Setting(ctx, agree.SettingSchedules)
	if errors.Is(err, gate.ErrNotFound) {
		return decodeMade(nil)
	}
	if err != nil {
		return made{}, fmt.Errorf("reading the schedules that were made through the API: %w", err)
	}
	return decodeMade(value)
}

// changeMade changes the list, once, whatever other processes write meanwhile.
func changeMade(ctx context.Context, s agree.Settings, change func(*made) error) error {
	return agree.UpdateSetting(ctx, s, agree.SettingSchedules, func(value []byte) ([]byte, error) {
		m, err := decodeMade(value)
		if err != nil {
			return nil, err
		}
		if err := change(&m); err != nil {
			return nil, err
		}
		return json.Marshal(m)
	})
}

func (m *made) index(name string) int {
	return slices.IndexFunc(m.Schedules, func(c madeConfig) bool { return c.Name == name })
}

// The sources of a schedule.
const (
	SourceFile = "file"
	SourceAPI  = "api"
)

// entry is a schedule that is followed.
type entry struct {
	Config
	source  string
	made    time.Time // by the API
	since   time.Time
	zone    *time.Location
	problem string // why it is not followed, "" when it is
}

// entries are the schedules of both lists, those of the file first. A schedule of the file
// with the name of one that was made through the API is not followed: either might be the
// one that is meant, and the one that was there first has runs.
func entries(file []Config, api made) []entry {
	var list []entry
	for _, c := range file {
		e := entry{Config: c, source: SourceFile}
		if api.index(c.Name) >= 0 {
			e.problem = fmt.Sprintf("a schedule with the name %q was made through the API and runs; rename this one in the file, or remove the other with \"digestgate schedules remove %s\"", c.Name, c.Name)
		}
		list = append(list, e.checked())
	}
	for _, c := range api.Schedules {
		list = append(list, entry{Config: c.Config, source: SourceAPI, made: c.CreatedAt, since: c.Since}.checked())
	}
	return list
}

// checked notes what this version cannot follow. Registries that are not configured any
// more choose no image, and keep the others in the scope from none.
func (e entry) checked() entry {
	var texts []string
	for _, p := range e.Problems(gate.ScanKnown{}) {
		texts = append(texts, p.Key+": "+p.Text)
	}
	if e.problem == "" {
		e.problem = strings.Join(texts, "; ")
	}
	e.zone = time.UTC
	if zone, err := gate.ParseTimeZone(e.TimeZone); err == nil {
		e.zone = zone
	}
	return e
}
