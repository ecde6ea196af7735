package admission

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/digestgate/digestgate/gate"
)

// plainWarnings is what the warnings of reasons are, written as plainly as possible:
// each line is made again, scrubbed, cut and compared with all before it.
func plainWarnings(contact string, before []string, checked []checkedPlace, details Details) []string {
	all := append([]string{}, before...)
	for _, j := range checked {
		for _, w := range j.answer.Said() {
			if n := len(all); n > 0 && all[n-1] == moreWarnings {
				break
			}
			if details == DetailsRule {
				w, _, _ = strings.Cut(w, ": ")
			}
			row := "digestgate: " + plainPath(j.place) + ": " + plainQuote(j.image, 100) + ": "
			all = plainWarn(contact, all, gate.Printable(row+plainScrub(w), maxWarning))
		}
	}
	return all
}

func plainWarn(contact string, all []string, w string) []string {
	total := len("digestgate: " + contact)
	for _, other := range all {
		if other == w {
			return all
		}
		total += len(other)
	}
	switch {
	case total+len(w)+len(moreWarnings) <= maxWarnings:
		return append(all, gate.Printable(w, maxWarning))
	case all[len(all)-1] != moreWarnings:
		return append(all, moreWarnings)
	}
	return all
}

func plainPath(p place) string {
	field := ".image"
	if p.list == "volumes" {
		field = ".image.reference"
	}
	return p.prefix + "." + p.list + "[" + strconv.Itoa(p.index) + "]" + field
}

func plainQuote(ref string, size int) string {
	ref = withoutUserinfo(ref)
	if len(ref) > size {
		ref = ref[:size/2] + "..." + ref[len(ref)-size/2+3:]
	}
	return gate.Quoted(ref, size)
}

// plainScrub is scrub without looking first whether there is anything to do.
func plainScrub(s string) string { return strings.TrimPrefix(scrub("x://. "+s), "x://. ") }

// hostile makes texts of the pieces that rules, references and registries may hold.
func hostile(c *rand.Rand, most int) string {
	pieces := []string{
		"a", "libssl3", "CVE-2026-0001", " ", ": ", ":", "://", "https://user:p4ss@host/x?token=s3cr3t", "http:", "//", "@", "?", "#",
		`"`, `\`, "\n", "\x00", "\x1b[31m", "\x7f", "é", "\u202e", "\U0010ffff", "\xff", "<b>", "sha256:", strings.Repeat("long ", 40), "...",
	}
	var b strings.Builder
	for range c.IntN(most + 1) {
		b.WriteString(pieces[c.IntN(len(pieces))])
	}
	return b.String()
}

// TestWarnings_agree: whatever rules say of whatever image, the warnings are byte for
// byte what they are written plainly, and the answer is the JSON of them.
func TestWarnings_agree(t *testing.T) {
	c := rand.New(rand.NewPCG(1, 2))
	for seed := range 3000 {
		var checked []checkedPlace
		for i := range 1 + c.IntN(4) {
			j := checkedPlace{place: place{
				[]string{"spec", "spec.jobTemplate.spec.template.spec"}[c.IntN(2)], podLists[c.IntN(4)].name, i * c.IntN(1000), "c", hostile(c, 12),
			}}
			for range c.IntN(3) {
				j.answer.Warnings = append(j.answer.Warnings, hostile(c, 8))
			}
			for range c.IntN(20) {
				rule := ""
				if c.IntN(4) > 0 {
					rule = []string{"fixable-high", "x:", hostile(c, 3)}[c.IntN(3)]
				}
				j.answer.Warns = append(j.answer.Warns, gate.Reason{Action: gate.OutcomeWarn, Rule: rule, Msg: hostile(c, 10)})
			}
			checked = append(checked, j)
		}
		details := []Details{DetailsFull, DetailsRule}[c.IntN(2)]
		r := Response{uid: `"1"`, contact: strings.Repeat("c", c.IntN(2)*c.IntN(maxContact))}
		for range c.IntN(3) {
			r.warn("digestgate: " + strings.Repeat("note", c.IntN(60)) + fmt.Sprint(c.IntN(3)))
		}
		want := plainWarnings(r.contact, r.Warnings, checked, details)
		for i := range checked {
			r.warnReasons(&checked[i], details)
		}
		if diff := cmp.Diff(want, append([]string{}, r.Warnings...)); diff != "" {
			t.Fatalf("warnings of %d (-plain +fast):\n%s", seed, diff)
		}
		var out struct{ Response struct{ Warnings []string } }
		if err := json.Unmarshal(r.JSON(), &out); err != nil {
			t.Fatalf("%d: %v", seed, err)
		}
		if diff := cmp.Diff(r.Warnings, out.Response.Warnings); diff != "" {
			t.Fatalf("JSON of %d (-want +got):\n%s", seed, diff)
		}
	}
}

// TestQuote_agrees: references are quoted as plainly, and paths are the same.
func TestQuote_agrees(t *testing.T) {
	c := rand.New(rand.NewPCG(3, 4))
	for range 5000 {
		s, size := hostile(c, 14), []int{100, 320}[c.IntN(2)]
		if got, want := quote(s, size), plainQuote(s, size); got != want {
			t.Fatalf("quote(%q, %d): got %q, want %q", s, size, got, want)
		}
		if got, want := scrub(s), plainScrub(s); got != want {
			t.Fatalf("scrub(%q): got %q, want %q", s, got, want)
		}
		if got, want := string(appendString([]byte("x"), s)), "x"+strconv.QuoteToASCII(s); got != want {
			t.Fatalf("appendString(%q): got %s, want %s", s, got, want)
		}
	}
	for _, list := range podLists {
		for _, index := range []int{0, 7, 10, 999} {
			if p := (place{"spec", list.name, index, "", ""}); p.path() != plainPath(p) || len(p.path()) > p.pathRoom() {
				t.Errorf("path of %+v: got %q, want %q", p, p.path(), plainPath(p))
			}
		}
	}
}

// TestPrintable_manyAtOnce: eight bytes at once are looked at as each for itself.
func TestPrintable_manyAtOnce(t *testing.T) {
	c := rand.New(rand.NewPCG(7, 8))
	for range 100_000 {
		b := make([]byte, c.IntN(30))
		for i := range b {
			b[i] = byte(0x20 + c.IntN(0x5f))
			if c.IntN(40) == 0 {
				b[i] = []byte{0, 0x1f, 0x7f, 0x80, 0x9f, 0xa0, 0xff, 0x7e, 0x21, 0x5f, 0x5c}[c.IntN(11)]
			}
		}
		want := !strings.ContainsFunc(string(b), func(r rune) bool { return r < 0x20 || r > 0x7e })
		if got := printable(b); got != want {
			t.Fatalf("printable(%q): got %t, want %t", b, got, want)
		}
		if got, want := string(appendString(nil, string(b))), strconv.QuoteToASCII(string(b)); got != want {
			t.Fatalf("appendString(%q): got %s, want %s", b, got, want)
		}
	}
}
