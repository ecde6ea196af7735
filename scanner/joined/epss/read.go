package epss

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"math"
	"sort"
	"strconv"
	"strings"
	"time"

	"github.com/digestgate/digestgate/gate"
)

// Limits on a file: the real ones have 300,000 rows of 30 bytes.
const (
	maxRows = 4_000_000
	maxLine = 1024
)

// Read reads a file as FIRST publishes it, uncompressed: a comment with the version of the
// model and the date of the scores, a header, and a row for each vulnerability. A file
// with anything else in it is gate.ErrInvalid, with the line: half a table would make
// rules about it silent for the other half.
func Read(r io.Reader) (*Table, error) {
	lines := &reader{in: bufio.NewReaderSize(r, 64<<10)}
	t := &Table{}
	if err := t.read(lines); err != nil {
		var bad *lineError
		if errors.As(err, &bad) {
			return nil, fmt.Errorf("line %d: %w", lines.n, err)
		}
		return nil, err
	}
	return t, nil
}

// lineError is what is wrong with a line.
type lineError struct{ error }

func (e *lineError) Unwrap() error { return e.error }

func bad(format string, args ...any) error {
	return &lineError{fmt.Errorf("%w: %w", fmt.Errorf(format, args...), gate.ErrInvalid)}
}

type reader struct {
	in *bufio.Reader
	n  int
}

// next is the next line without its end; io.EOF after the last.
func (r *reader) next() (string, error) {
	line, err := r.in.ReadSlice('\n')
	if len(line) > 0 && errors.Is(err, io.EOF) {
		err = nil
	}
	if errors.Is(err, bufio.ErrBufferFull) {
		err = nil // far over maxLine
	}
	if err != nil {
		return "", err
	}
	r.n++
	if len(line) > maxLine {
		return "", bad("it has more than %d bytes", maxLine)
	}
	return strings.TrimRight(string(line), "\r\n"), nil
}

func (t *Table) read(lines *reader) error {
	first, err := lines.next()
	if errors.Is(err, io.EOF) {
		return bad("the file is empty")
	}
	if err == nil {
		err = t.comment(strings.TrimPrefix(first, "\ufeff"))
	}
	var header string
	if err == nil {
		header, err = lines.next()
	}
	switch {
	case errors.Is(err, io.EOF):
		return bad("there is no header, want cve,epss,percentile")
	case err != nil:
		return err
	case header != "cve,epss,percentile":
		return bad("the header is %s, want cve,epss,percentile", gate.Quoted(header, 100))
	}
	for {
		line, err := lines.next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		if line == "" {
			continue
		}
		if err := t.row(line); err != nil {
			return err
		}
	}
	if len(t.ids) == 0 {
		return bad("there is no row")
	}
	return t.order()
}

// comment reads "#model_version:v2025.03.14,score_date:2025-08-29T12:55:00Z". Files from
// before 2022 have none; nothing says of which day they are.
func (t *Table) comment(line string) error {
	text, ok := strings.CutPrefix(line, "#")
	if !ok {
		return bad("it is %s, want the comment #model_version:VERSION,score_date:TIME, without which the day of the scores is not known", gate.Quoted(line, 100))
	}
	for field := range strings.SplitSeq(text, ",") {
		name, value, _ := strings.Cut(field, ":")
		switch strings.TrimSpace(name) {
		case "model_version":
			t.Model = gate.Printable(strings.TrimSpace(value), 40)
		case "score_date":
			at, err := parseTime(strings.TrimSpace(value))
			if err != nil {
				return bad("score_date is %s, want a date such as 2025-08-29T12:55:00Z", gate.Quoted(value, 60))
			}
			t.ScoredAt = at
		}
	}
	if t.ScoredAt.IsZero() {
		return bad("the comment has no score_date")
	}
	return nil
}

// parseTime reads the forms that have occurred.
func parseTime(text string) (at time.Time, err error) {
	for _, layout := range []string{time.RFC3339, "2006-01-02T15:04:05-0700", time.DateOnly} {
		if at, err = time.Parse(layout, text); err == nil {
			return at.UTC(), nil
		}
	}
	return at, err
}

func (t *Table) row(line string) error {
	id, rest, ok := strings.Cut(line, ",")
	score, percentile, both := strings.Cut(rest, ",")
	if !ok || !both {
		return bad("it is %s, want CVE,SCORE,PERCENTILE", gate.Quoted(line, 100))
	}
	k, ok := key(id)
	if !ok {
		return bad("%s is not a CVE id", gate.Quoted(id, 60))
	}
	s, okS := units(score)
	p, okP := units(percentile)
	if !okS || !okP {
		return bad("%s has no score and percentile from 0 to 1", gate.Quoted(line, 100))
	}
	if len(t.ids) == maxRows {
		return bad("there are more than %d rows", maxRows)
	}
	t.ids, t.scores, t.percentiles = append(t.ids, k), append(t.scores, s), append(t.percentiles, p)
	return nil
}

// units reads a number from 0 to 1.
func units(text string) (uint32, bool) {
	f, err := strconv.ParseFloat(strings.TrimSpace(text), 64)
	if err != nil || !(f >= 0 && f <= 1) {
		return 0, false
	}
	return uint32(math.Round(f / unit)), true
}

// order sorts the rows; two of one id are refused.
func (t *Table) order() error {
	sort.Sort((*byID)(t))
	for i := 1; i < len(t.ids); i++ {
		if t.ids[i] == t.ids[i-1] {
			return bad("%s is there twice", name(t.ids[i]))
		}
	}
	return nil
}

type byID Table

func (t *byID) Len() int           { return len(t.ids) }
func (t *byID) Less(i, j int) bool { return t.ids[i] < t.ids[j] }
func (t *byID) Swap(i, j int) {
	t.ids[i], t.ids[j] = t.ids[j], t.ids[i]
	t.scores[i], t.scores[j] = t.scores[j], t.scores[i]
	t.percentiles[i], t.percentiles[j] = t.percentiles[j], t.percentiles[i]
}
