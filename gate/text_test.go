package gate_test

import (
	"errors"
	"math"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/digestgate/digestgate/gate"
)

func TestPrintable(t *testing.T) {
	for _, c := range []struct {
		in    string
		limit int
		want  string
	}{
		{"", 10, ""},
		{"plain text, \"quoted\" \\ too", 100, "plain text, \"quoted\" \\ too"},
		{"exactly", 7, "exactly"},
		{"delete\x7f", 100, `delete\x7f`},
		{"unit\x1f", 100, `unit\x1f`},
		{"too long", 7, "too ..."},
		{"line\nnext\ttab\x1b[31m\x00\x7f", 100, `line\nnext\ttab\x1b[31m\x00\x7f`},
		{"häuser\u202e€😀", 100, `h\u00e4user\u202e\u20ac\U0001f600`},
		{"bad\xff\xc3", 100, `bad\xff\xc3`},
		{"ééééé", 12, `\u00e4`[:0] + `\u00e9\u0...`}, // an escape may be cut
		{"abc", 2, "ab"},
		{"abc", 0, ""},
		{"abc", -1, ""},
		{"abcd", 3, "..."},
	} {
		if got := gate.Printable(c.in, c.limit); got != c.want {
			t.Errorf("Printable(%q, %d): got %q, want %q", c.in, c.limit, got, c.want)
		}
	}
}

func FuzzPrintable(f *testing.F) {
	for _, s := range []string{"", "plain", "a\x1b[2Jb", "\xff\xfe", "häuser", strings.Repeat("x", 300), "\u202e", "...", "\x7f", "\x1f"} {
		for _, limit := range []int{-1, 0, 1, 2, 3, 4, 10, 300} {
			f.Add(s, limit)
		}
	}
	f.Fuzz(func(t *testing.T, s string, limit int) {
		got := gate.Printable(s, limit)
		if len(got) > max(limit, 0) {
			t.Errorf("Printable(%q, %d): got %d bytes", s, limit, len(got))
		}
		for i := range len(got) {
			if got[i] < 0x20 || got[i] > 0x7e {
				t.Errorf("Printable(%q, %d): got %q", s, limit, got)
			}
		}
		if limit >= len(got) && gate.Printable(got, limit) != got {
			t.Errorf("Printable(%q, %d) is not stable: %q", s, limit, got)
		}
	})
}

func TestQuoted(t *testing.T) {
	for _, c := range []struct {
		in    string
		limit int
		want  string
	}{
		{"", 10, `""`},
		{"app", 3, `"app"`},
		{"apps", 3, `"..."`},
		{"a\u200bb", 100, `"a\u200bb"`},
		{`say "hi" \ there`, 100, `"say \"hi\" \\ there"`},
		{"h\u00e4user", 100, `"h\u00e4user"`},
		{"line\nbell\a\x7f\xff", 100, `"line\nbell\a\x7f\xff"`},
		{"too long a text", 10, `"too lon..."`},
		{"ab\u200b\u200b", 12, `"ab\u200b..."`}, // no escape is cut
		{`ab""""""`, 8, `"ab\"..."`},
		{"abc", 0, `""`},
		{"abc", -1, `""`},
		{"abcd", 2, `".."`},
	} {
		if got := gate.Quoted(c.in, c.limit); got != c.want {
			t.Errorf("Quoted(%q, %d): got %s, want %s", c.in, c.limit, got, c.want)
		}
	}
}

func FuzzQuoted(f *testing.F) {
	for _, s := range []string{"", "plain", `"`, `\`, "a\x1b[2Jb", "\xff\xfe", "h\u00e4user", strings.Repeat("\u200b", 90), "\U0010ffff"} {
		for _, limit := range []int{-1, 0, 1, 3, 4, 10, 300, 2000} {
			f.Add(s, limit)
		}
	}
	f.Fuzz(func(t *testing.T, s string, limit int) {
		got := gate.Quoted(s, limit)
		if len(got)-2 > max(limit, 0) {
			t.Errorf("Quoted(%q, %d): got %d bytes between the marks", s, limit, len(got)-2)
		}
		value, err := strconv.Unquote(got)
		if err != nil || gate.Printable(got, len(got)) != got {
			t.Fatalf("Quoted(%q, %d): got %s, %v; want the value in printable ASCII, escaped once", s, limit, got, err)
		}
		if value != s && !(strings.HasSuffix(value, "...") && strings.HasPrefix(s, strings.TrimSuffix(value, "..."))) && limit >= 3 {
			t.Errorf("Quoted(%q, %d): got %s, which is another value", s, limit, got)
		}
	})
}

func TestDigestValid(t *testing.T) {
	hexits := strings.Repeat("0123456789abcdef", 4)
	good := "sha256:" + hexits
	if d, err := gate.ParseDigest(good); err != nil || string(d) != good || !d.Valid() {
		t.Errorf("ParseDigest(%q): got %q, %v", good, d, err)
	}
	for _, bad := range []string{
		"", "sha256:", hexits, "sha512:" + hexits, "SHA256:" + hexits, "sha256:" + strings.ToUpper(hexits), good[:70], good + "0", good + "\n", " " + good,
		"sha256:" + hexits[:63] + "g", "sha256:" + hexits[:63] + "G", "sha256:" + hexits[:63] + "/", "sha256:" + hexits[:63] + ":", "sha256:" + hexits[:63] + "`",
		"sha256-" + hexits, "sha256:" + hexits[:63] + "\x00", "sha256:" + hexits[:62] + "é", "xsha256:" + hexits[:63],
	} {
		if gate.Digest(bad).Valid() {
			t.Errorf("Digest(%q) is valid", bad)
		}
		if _, err := gate.ParseDigest(bad); !errors.Is(err, gate.ErrDigestInvalid) {
			t.Errorf("ParseDigest(%q): got %v, want ErrDigestInvalid", bad, err)
		}
	}
	d := gate.Digest(good)
	if d.Hex() != hexits || d.Short() != good[:19] || gate.Digest("x").Short() != "x" {
		t.Errorf("Hex %q, Short %q", d.Hex(), d.Short())
	}
}

func BenchmarkDigestValid(b *testing.B) {
	d := gate.Digest("sha256:" + strings.Repeat("0123456789abcdef", 4))
	for b.Loop() {
		if !d.Valid() {
			b.Fatal("not valid")
		}
	}
}

func BenchmarkPrintableClean(b *testing.B) {
	s := strings.Repeat("registry.example.com/team/app:v1 ", 5)
	for b.Loop() {
		gate.Printable(s, 300)
	}
}

func TestByteSize(t *testing.T) {
	for text, want := range map[string]gate.ByteSize{
		"0": 0, "0B": 0, "10": 10, "512MiB": 512 << 20, "10GiB": 10 << 30, "1GB": 1_000_000_000, "1.5GiB": 3 << 29, "1 KiB": 1024, "1kib": 1024,
		"9007199254740993B": 9007199254740993, "4194304TiB": 1 << 62,
	} {
		var b gate.ByteSize
		if err := b.UnmarshalText([]byte(text)); err != nil || b != want {
			t.Errorf("%q: got %d, %v, want %d", text, b, err, want)
		}
	}
	for _, text := range []string{"", "B", "x", "-1MiB", "1XiB", "1MiBB", "NaN", "1e30", "8388608TiB", "4194305TiB", "18446744073709551616", "TiB1", "1T iB\x1b"} {
		b := gate.ByteSize(7)
		if err := b.UnmarshalText([]byte(text)); !errors.Is(err, gate.ErrInvalid) || b != 7 {
			t.Errorf("%q: got %d, %v, want ErrInvalid and the value as it was", text, b, err)
		}
	}
}

// TestByteSizeRoundTrip: what is written reads back exactly.
func TestByteSizeRoundTrip(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		want := gate.ByteSize(rapid.Int64Range(0, math.MaxInt64>>1).Draw(r, "bytes") &^ (1<<(10*rapid.IntRange(0, 4).Draw(r, "unit")) - 1))
		text, err := want.MarshalText()
		if err != nil {
			r.Fatal(err)
		}
		var got gate.ByteSize
		if err := got.UnmarshalText(text); err != nil || got != want {
			r.Fatalf("%d is written %q and read as %d, %v", want, text, got, err)
		}
	})
}

// TestText_fast: a text that needs no escapes is shown as one piece by piece is.
func TestText_fast(t *testing.T) {
	pieceByPiece := func(s string, limit int) string {
		marked := gate.Printable("\x01"+s, limit+len(`\x01`)) // an escape in front takes the slow way
		return strings.TrimPrefix(marked, `\x01`)
	}
	c := rand.New(rand.NewPCG(5, 6))
	for range 20_000 {
		b := make([]byte, c.IntN(20))
		for i := range b {
			b[i] = "abc \"\\\n\x7f\xc3\xa9\xff"[c.IntN(11)]
		}
		s, limit := string(b), 3+c.IntN(20)
		if got, want := gate.Printable(s, limit), pieceByPiece(s, limit); got != want {
			t.Fatalf("Printable(%q, %d): got %q, want %q", s, limit, got, want)
		}
		got := gate.Quoted(s, limit)
		if again := string(gate.AppendQuoted([]byte("in front"), s, limit)); again != "in front"+got {
			t.Fatalf("AppendQuoted(%q, %d): got %q, want %q behind it", s, limit, again, got)
		}
		if whole := strconv.QuoteToASCII(s); len(whole)-2 <= limit && got != whole {
			t.Fatalf("Quoted(%q, %d): got %s, want %s", s, limit, got, whole)
		}
	}
}
