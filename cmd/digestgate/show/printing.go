package show

import (
	"encoding/json"
	"fmt"
	"io"

	"github.com/digestgate/digestgate/gate"
)

// ValidFormat refuses what --format does not know.
func ValidFormat(format string) error {
	if format != "table" && format != "json" {
		return fmt.Errorf("--format %q: want table or json", format)
	}
	return nil
}

// PrintJSON prints a value as every command does, indented.
func PrintJSON(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(v)
}

// Count is a number with its noun.
func Count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// DescribeProgress says how far a scan is.
func DescribeProgress(p gate.Progress) string {
	switch p.Phase {
	case gate.PhaseLayers:
		return fmt.Sprintf("layer %d of %d (%d known), %.1f of %.1f MB", p.LayersDone, p.LayersTotal, p.LayersKnown, float64(p.Bytes)/1e6, float64(p.BytesTotal)/1e6)
	case "":
		return "starting"
	}
	return string(p.Phase)
}
