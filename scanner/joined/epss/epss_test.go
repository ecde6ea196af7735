package epss

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/digestgate/digestgate/gate"
)

const head = "#model_version:v2025.03.14,score_date:2025-08-29T12:55:00Z\ncve,epss,percentile\n"

func TestRead(t *testing.T) {
	table, err := Read(strings.NewReader(head + "CVE-2024-3094,0.85953,0.99329\r\nCVE-1999-0001,0.01297,0.79\nCVE-2021-44228,9.4358e-01,1\n"))
	if err != nil {
		t.Fatal(err)
	}
	if want := time.Date(2025, 8, 29, 12, 55, 0, 0, time.UTC); table.Model != "v2025.03.14" || !table.ScoredAt.Equal(want) || table.Len() != 3 {
		t.Errorf("got %s of %s with %d rows", table.Model, table.ScoredAt, table.Len())
	}
	for _, c := range []struct {
		id   string
		want gate.EPSS
		ok   bool
	}{
		{"CVE-2024-3094", gate.EPSS{Score: 0.85953, Percentile: 0.99329}, true},
		{"cve-2024-3094", gate.EPSS{Score: 0.85953, Percentile: 0.99329}, true},
		{" Cve-1999-0001", gate.EPSS{Score: 0.01297, Percentile: 0.79}, true},
		{"CVE-2021-44228", gate.EPSS{Score: 0.94358, Percentile: 1}, true},
		{"CVE-2024-30940", gate.EPSS{}, false}, {"CVE-2024-03094", gate.EPSS{}, false}, {"GHSA-1234", gate.EPSS{}, false}, {"", gate.EPSS{}, false},
	} {
		if got, ok := table.Score(c.id); ok != c.ok || got != c.want {
			t.Errorf("Score(%q): got %v %t, want %v %t", c.id, got, ok, c.want, c.ok)
		}
	}
}

func TestReadRefuses(t *testing.T) {
	for name, c := range map[string]struct{ text, want string }{
		"empty":          {"", "empty"},
		"no_comment":     {"cve,epss,percentile\nCVE-2024-3094,0.1,0.2\n", "line 1"},
		"no_date":        {"#model_version:v1\ncve,epss,percentile\n", "score_date"},
		"bad_date":       {"#model_version:v1,score_date:yesterday\ncve,epss,percentile\n", "score_date"},
		"no_header":      {"#model_version:v1,score_date:2025-08-29\n", "header"},
		"other_header":   {"#model_version:v1,score_date:2025-08-29\ncve,epss\nCVE-2024-3094,0.1\n", "line 2"},
		"no_rows":        {head, "no row"},
		"cut":            {head + "CVE-2024-3094,0.1,0.2\nCVE-2024-30", "line 4"},
		"too_high":       {head + "CVE-2024-3094,1.1,0.2\n", "line 3"},
		"negative":       {head + "CVE-2024-3094,-0.1,0.2\n", "line 3"},
		"nan":            {head + "CVE-2024-3094,NaN,0.2\n", "line 3"},
		"not_a_cve":      {head + "GHSA-x,0.1,0.2\n", "line 3"},
		"twice":          {head + "CVE-2024-3094,0.1,0.2\ncve-2024-3094,0.2,0.2\n", "twice"},
		"endless_line":   {head + strings.Repeat("x", 100_000) + "\n", "line 3"},
		"another_column": {head + "CVE-2024-3094,0.1,0.2,0.3\n", "line 3"},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := Read(strings.NewReader(c.text)); !errors.Is(err, gate.ErrInvalid) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want an invalid one with %q", err, c.want)
			}
		})
	}
}

// realistic is a table of the size and the spread of a real one.
func realistic(rows int) *Table {
	random := rand.New(rand.NewPCG(1, 2))
	t := &Table{Model: "v2025.03.14", ScoredAt: time.Date(2025, 8, 29, 12, 55, 0, 0, time.UTC)}
	var all []uint32
	for i := range rows {
		t.ids = append(t.ids, uint64(1999+i*27/rows)<<40|uint64(1+i))
		score := uint32(math.Round(1e5*math.Min(0.99, 0.002*math.Exp(1.8*random.NormFloat64())))) * 10_000
		t.scores, all = append(t.scores, score), append(all, score)
	}
	slices.Sort(all)
	for _, s := range t.scores {
		i, _ := slices.BinarySearch(all, s+1)
		t.percentiles = append(t.percentiles, uint32(math.Round(1e5*float64(i)/float64(rows)))*10_000)
	}
	return t
}

// TestPackedFitsTheStore: a setting takes 1 MiB, and this is written as text in it.
func TestPackedFitsTheStore(t *testing.T) {
	table := realistic(320_000)
	p, err := table.Pack()
	if err != nil {
		t.Fatal(err)
	}
	if got := len(p.Columns); got > 720_000 {
		t.Errorf("%d rows take %d bytes, want at most 720000", table.Len(), got)
	}
	again, err := p.Unpack()
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(again.ids, table.ids) || !slices.Equal(again.scores, table.scores) || !slices.Equal(again.percentiles, table.percentiles) {
		t.Error("what was unpacked is another table")
	}
	t.Logf("%d rows: %d bytes", table.Len(), len(p.Columns))
}

func TestPackKeepsEveryValue(t *testing.T) {
	for seed := range uint64(50) {
		random := rand.New(rand.NewPCG(seed, 3))
		table := &Table{Model: "m", ScoredAt: time.Unix(1, 0).UTC()}
		last := uint64(1999) << 40
		for range random.IntN(200) {
			last += 1 + random.Uint64N(50)
			table.ids = append(table.ids, last)
			table.scores = append(table.scores, random.Uint32N(1_000_000_001)/uint32(1+random.IntN(3)))
			table.percentiles = append(table.percentiles, random.Uint32N(1_000_000_001))
		}
		p, err := table.Pack()
		if err != nil {
			t.Fatal(err)
		}
		again, err := p.Unpack()
		if err != nil || !slices.Equal(again.ids, table.ids) || !slices.Equal(again.scores, table.scores) || !slices.Equal(again.percentiles, table.percentiles) {
			t.Fatalf("seed %d: %v", seed, err)
		}
		if len(p.Columns) > 0 {
			p.Rows++
			if _, err := p.Unpack(); !errors.Is(err, gate.ErrInvalid) {
				t.Errorf("seed %d: a row too many: got %v", seed, err)
			}
		}
	}
}

func TestChanged(t *testing.T) {
	read := func(rows string) *Table {
		table, err := Read(strings.NewReader(head + rows))
		if err != nil {
			t.Fatal(err)
		}
		return table
	}
	a := read("CVE-2024-0001,0.1,0.2\nCVE-2024-0002,0.1,0.2\nCVE-2024-0003,0.1,0.2\n")
	b := read("CVE-2024-0002,0.1,0.2\nCVE-2024-0003,0.1,0.3\nCVE-2025-12345,0.1,0.2\n")
	if got := fmt.Sprint(Changed(a, b)); got != "[CVE-2024-0001 CVE-2024-0003 CVE-2025-12345]" {
		t.Errorf("got %s", got)
	}
	if got := len(Changed(nil, a)); got != 3 || len(Changed(a, nil)) != 3 || len(Changed(a, a)) != 0 {
		t.Errorf("against none: got %d", got)
	}
}

func FuzzRead(f *testing.F) {
	f.Add([]byte(head + "CVE-2024-3094,0.85953,0.99329\n"))
	f.Add([]byte("#"))
	f.Fuzz(func(t *testing.T, text []byte) {
		table, err := Read(bytes.NewReader(text))
		if err != nil {
			return
		}
		p, err := table.Pack()
		if err != nil {
			t.Fatal(err)
		}
		if again, err := p.Unpack(); err != nil || len(Changed(table, again)) > 0 {
			t.Errorf("packing changes it: %v", err)
		}
	})
}
