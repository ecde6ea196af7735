package main

import (
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"
)

// A table collects cells by figure and store.
type table struct {
	figures, stores []string
	cells           map[[2]string]string
}

func (t *table) add(figure, store, cell string) {
	if t.cells == nil {
		t.cells = map[[2]string]string{}
	}
	if !slices.Contains(t.figures, figure) {
		t.figures = append(t.figures, figure)
	}
	if !slices.Contains(t.stores, store) {
		t.stores = append(t.stores, store)
	}
	t.cells[[2]string{figure, store}] = cell
}

// print writes the table as Markdown.
func (t *table) print(w io.Writer) {
	fmt.Fprintf(w, "| | %s |\n|---|%s\n", strings.Join(t.stores, " | "), strings.Repeat("---|", len(t.stores)))
	for _, f := range t.figures {
		cells := []string{f}
		for _, s := range t.stores {
			cells = append(cells, t.cells[[2]string{f, s}])
		}
		fmt.Fprintf(w, "| %s |\n", strings.Join(cells, " | "))
	}
}

// load is the load of the machine over the last minute (proc_loadavg(5)).
func load() string {
	text, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return "unknown"
	}
	minute, _, _ := strings.Cut(string(text), " ")
	return minute
}

// percentile of durations that are sorted.
func percentile(sorted []time.Duration, percent float64) time.Duration {
	if len(sorted) == 0 {
		return 0
	}
	return sorted[min(int(float64(len(sorted))*percent/100), len(sorted)-1)]
}

// short is a duration for people.
func short(d time.Duration) string {
	switch {
	case d < 10*time.Millisecond:
		return d.Round(10 * time.Microsecond).String()
	case d < time.Second:
		return d.Round(time.Millisecond).String()
	}
	return d.Round(100 * time.Millisecond).String()
}
