// Package formattest has what the tests of the readers of advisory formats share: it
// collects what a reader yields, generates large files, and measures what reading them
// keeps in memory.
package formattest

import (
	"fmt"
	"io"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/digestgate/digestgate/scanner/advisory/format"
)

// Read is the function of a reader.
type Read func(io.Reader, format.Limits, format.Sink) error

// Result is what a reader yielded.
type Result struct {
	Entries []format.Entry
	Gaps    []format.Gap
	Skipped map[string]int
	Stated  time.Time // the newest
}

// Collect runs a reader over a text.
func Collect(read Read, text string, l format.Limits) (Result, error) {
	r := Result{Skipped: map[string]int{}}
	err := read(strings.NewReader(text), l, format.Sink{
		Entry: func(e format.Entry) error { r.Entries = append(r.Entries, e); return nil },
		Gap:   func(g format.Gap) { r.Gaps = append(r.Gaps, g) },
		Skip:  func(reason string) { r.Skipped[reason]++ },
		Stated: func(t time.Time) {
			if t.After(r.Stated) {
				r.Stated = t
			}
		},
	})
	return r, err
}

// Lines says what a reader yielded in lines that tests compare: advisory and
// vulnerabilities, and each statement.
func (r Result) Lines() []string {
	var out []string
	for _, e := range r.Entries {
		var ids []string
		for _, v := range e.Vulnerabilities {
			ids = append(ids, v.ID)
		}
		out = append(out, e.Advisory+": "+strings.Join(ids, " "))
		for _, s := range e.Statements {
			out = append(out, Line(s))
		}
	}
	return out
}

// Line is a statement as a line of text.
func Line(s format.Statement) string {
	state := map[format.State]string{
		format.Fixed: "fixed", format.Affected: "affected", format.NotAffected: "not affected", format.UnderInvestigation: "under investigation",
		format.WillNotFix: "will not fix", format.FixDeferred: "deferred", format.EndOfLife: "end of life",
	}[s.State]
	words := []string{" "}
	if len(s.Release) > 0 {
		words = append(words, "["+s.Release[0]+"]")
	}
	if s.Module != "" {
		words = append(words, s.Module)
	}
	words = append(words, s.Package)
	if s.Arch != "" {
		words = append(words, s.Arch)
	}
	if s.Names == format.Source {
		words = append(words, "source")
	}
	words = append(words, state)
	if s.Version != "" {
		words = append(words, s.Version)
	}
	if s.NoEpoch && s.Version != "" {
		words = append(words, "without-epoch")
	}
	return strings.Join(words, " ")
}

// Large is a file that is made while it is read: head, count times part with its number
// for each %d, and tail.
func Large(head, part, tail string, count int) io.Reader {
	i := 0
	return &large{next: func() (string, bool) {
		i++
		switch {
		case i == 1:
			return head, true
		case i <= count+1:
			return strings.ReplaceAll(part, "%d", fmt.Sprint(100_000+i)), true
		case i == count+2:
			return tail, true
		}
		return "", false
	}}
}

type large struct {
	next func() (string, bool)
	rest string
}

// Read implements io.Reader.
func (l *large) Read(p []byte) (int, error) {
	for l.rest == "" {
		var ok bool
		if l.rest, ok = l.next(); !ok {
			return 0, io.EOF
		}
	}
	n := copy(p, l.rest)
	l.rest = l.rest[n:]
	return n, nil
}

// Peak reads a large file and returns its bytes and the most that was in use at any of
// the times that an entry was yielded and at the end, above what was before. Collections of
// garbage are forced, so that the numbers do not depend on the machine.
func Peak(t testing.TB, read Read, in io.Reader, l format.Limits) (size, peak int64, entries int) {
	t.Helper()
	heap := func() int64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return int64(m.HeapAlloc)
	}
	c := &counting{r: in}
	before := heap()
	look := func() { peak = max(peak, heap()-before) }
	c.look = look
	err := read(c, l, format.Sink{
		Entry: func(format.Entry) error { entries++; return nil },
		Gap:   func(g format.Gap) { t.Errorf("gap: %+v", g) },
		Skip:  func(string) {}, Stated: func(time.Time) {},
	})
	if err != nil {
		t.Fatal(err)
	}
	return c.n, peak, entries
}

// counting looks at the heap once in 1 MiB.
type counting struct {
	r       io.Reader
	n, last int64
	look    func()
}

// Read implements io.Reader.
func (c *counting) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += int64(n)
	if c.n-c.last > 1<<20 || err != nil {
		c.last = c.n
		c.look()
	}
	return n, err
}

// Fuzz feeds a reader with anything: it must neither panic nor yield what is not allowed.
func Fuzz(f *testing.F, read Read, seeds ...string) {
	for _, s := range seeds {
		f.Add([]byte(s))
	}
	small := format.Limits{Bytes: 1 << 20, Token: 64 << 10, Depth: 20, Entries: 100, Parts: 1000}
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := Collect(read, string(data), small)
		for _, e := range r.Entries {
			if len(e.Vulnerabilities) == 0 {
				t.Errorf("an entry without a vulnerability: %+v", e)
			}
			for _, v := range e.Vulnerabilities {
				if !format.ID(v.ID) {
					t.Errorf("the identifier %q", v.ID)
				}
			}
			for _, s := range e.Statements {
				if s.State == 0 || s.Package == "" || s.State == format.Fixed && s.Version == "" {
					t.Errorf("the statement %+v", s)
				}
			}
		}
		_ = err
	})
}
