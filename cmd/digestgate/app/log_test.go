package app

import (
	"bytes"
	"encoding/json"
	"testing"
	"time"
)

// TestLogInJSON: durations have a unit, and what repeats itself is counted.
func TestLogInJSON(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	log, flush := (&Options{logFormat: "json", LogLevel: "Info"}).serverLog(&b)
	log.Info("x", "took", 1500*time.Millisecond)
	log.Debug("not shown")
	for range 3 {
		log.With("part", "y").Warn("failed")
	}
	flush()
	var lines []map[string]any
	for d := json.NewDecoder(&b); d.More(); {
		var line map[string]any
		if err := d.Decode(&line); err != nil {
			t.Fatal(err)
		}
		lines = append(lines, line)
	}
	if len(lines) != 3 || lines[0]["took"] != "1.5s" || lines[2]["repeated"] != 2.0 || lines[2]["part"] != "y" {
		t.Errorf("got %v", lines)
	}
}
