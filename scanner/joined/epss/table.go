// Package epss reads the scores of FIRST's Exploit Prediction Scoring System
// (https://www.first.org/epss/data_stats) and keeps them small: 300,000 rows are about
// 5 MB in memory. It fetches nothing and decides nothing. A [Table] is never changed once
// it is made, and safe for concurrent use.
package epss

import (
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/digestgate/digestgate/gate"
)

// unit is what a score and a percentile are multiples of: files have five digits after
// the point, older ones nine.
const unit = 1e-9

// Table is one day's scores.
type Table struct {
	// Model is the version of the model, ScoredAt the time of the scores (score_date):
	// the name of a file may promise another one.
	Model    string
	ScoredAt time.Time

	ids                 []uint64 // see key; sorted
	scores, percentiles []uint32 // in units, of each id
}

// Len is how many vulnerabilities have a score.
func (t *Table) Len() int { return len(t.ids) }

// Score is that of a vulnerability by its CVE id, in any case of the letters.
func (t *Table) Score(id string) (gate.EPSS, bool) {
	k, ok := key(id)
	if !ok {
		return gate.EPSS{}, false
	}
	i, ok := slices.BinarySearch(t.ids, k)
	if !ok {
		return gate.EPSS{}, false
	}
	return gate.EPSS{Score: fraction(t.scores[i]), Percentile: fraction(t.percentiles[i])}, true
}

// fraction gives the decimal that was written.
func fraction(units uint32) float64 { return math.Round(float64(units)) / (1 / unit) }

// Changed lists the ids whose score or percentile differs between two tables, sorted by
// year and number; nil stands for a table without rows.
func Changed(a, b *Table) []string {
	var list []string
	if a == nil {
		a = &Table{}
	}
	if b == nil {
		b = &Table{}
	}
	for i, j := 0, 0; i < len(a.ids) || j < len(b.ids); {
		switch {
		case j == len(b.ids) || i < len(a.ids) && a.ids[i] < b.ids[j]:
			list = append(list, name(a.ids[i]))
			i++
		case i == len(a.ids) || b.ids[j] < a.ids[i]:
			list = append(list, name(b.ids[j]))
			j++
		default:
			if a.scores[i] != b.scores[j] || a.percentiles[i] != b.percentiles[j] {
				list = append(list, name(a.ids[i]))
			}
			i, j = i+1, j+1
		}
	}
	return list
}

// maxNumber bounds the number in a CVE id: 19 digits would be too many for a key, and
// no year has a billion.
const maxNumber = 1 << 40

// key is a CVE id as a number: its year and its own number, each of which is unique.
func key(id string) (uint64, bool) {
	id = strings.TrimSpace(id)
	if len(id) < len("CVE-1999-0001") || !strings.EqualFold(id[:4], "CVE-") || id[8] != '-' {
		return 0, false
	}
	year, err := strconv.ParseUint(id[4:8], 10, 16)
	if err != nil {
		return 0, false
	}
	digits := id[9:]
	number, err := strconv.ParseUint(digits, 10, 64)
	if err != nil || number >= maxNumber || digits[0] == '0' && len(digits) > 4 {
		return 0, false
	}
	return year<<40 | number, true
}

// name is the id of a key.
func name(k uint64) string {
	number := strconv.FormatUint(k&(maxNumber-1), 10)
	if n := 4 - len(number); n > 0 {
		number = strings.Repeat("0", n) + number
	}
	return "CVE-" + strconv.FormatUint(k>>40, 10) + "-" + number
}
