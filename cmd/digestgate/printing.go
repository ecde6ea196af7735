package main

import (
	"encoding/json"
	"fmt"
	"io"

	"github.com/digestgate/digestgate/gate"
)

// validFormat refuses what --format does not know.
func validFormat(format string) error {
	if format != "table" && format != "json" {
		return fmt.Errorf("--format %q: want table or json", format)
	}
	return nil
}

// printJSON prints a value as every command does, indented.
func printJSON(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(v)
}

// count is a number with its noun.
func count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// describeProgress says how far a scan is.
func describeProgress(p gate.Progress) string {
	switch p.Phase {
	case gate.PhaseLayers:
		return fmt.Sprintf("layer %d of %d (%d known), %.1f of %.1f MB", p.LayersDone, p.LayersTotal, p.LayersKnown, float64(p.Bytes)/1e6, float64(p.BytesTotal)/1e6)
	case "":
		return "starting"
	}
	return string(p.Phase)
}
