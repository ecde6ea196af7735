package gate

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/distribution/reference"
)

// byLibrary is ParseReference with the grammar as distribution/reference has it.
func byLibrary(s string) (Reference, error) {
	refuse := func(err error, reason string) (Reference, error) {
		return Reference{}, &ReferenceError{Raw: s, Reason: reason, Err: err}
	}
	switch {
	case s == "":
		return refuse(ErrRefInvalid, "no image is given")
	case len(s) > maxReference:
		return refuse(ErrRefInvalid, tooLong(s))
	case isImageID(s):
		return refuse(ErrRefAmbiguous, "a node may take this for the ID of a local image; name a repository and a digest")
	}
	named, err := reference.ParseNormalizedNamed(s)
	if err != nil || reference.Domain(named) == "" {
		return refuse(ErrRefInvalid, whyInvalid(s))
	}
	named = reference.TagNameOnly(named)
	r := Reference{Host: reference.Domain(named), Repository: reference.Path(named), Raw: s}
	if reason := checkHost(r.Host); reason != "" {
		return refuse(ErrRefInvalid, reason)
	}
	if digested, ok := named.(reference.Digested); ok {
		if r.Digest = Digest(digested.Digest()); !r.Digest.Valid() {
			return refuse(ErrRefInvalid, whyInvalid(s))
		}
		return r, nil
	}
	r.Tag = named.(reference.Tagged).Tag()
	return r, nil
}

// againstLibrary says how an answer of ParseReference differs, "" when it does not.
func againstLibrary(s string, got Reference, err error) string {
	want, wantErr := byLibrary(s)
	if got != want || fmt.Sprint(err) != fmt.Sprint(wantErr) || CodeOf(err) != CodeOf(wantErr) {
		return fmt.Sprintf("ParseReference(%q): got %+v, %v\nthe library: %+v, %v", s, got, err, want, wantErr)
	}
	return ""
}

// TestParseReference_isTheLibrarys: texts out of pieces that the grammar knows, and
// changed in one place, have the answers that the library's expressions give.
func TestParseReference_isTheLibrarys(t *testing.T) {
	pieces := [][]string{
		{"", "", "", "reg.example.com/", "docker.io/", "index.docker.io/", "INDEX.docker.io/", "localhost/", "Localhost/", "reg.example.com/", "reg.example.com:5000/", "reg:05/", "REG/", "[::1]:80/", "[fe80]/", "a_b.c/", "10.0.0.1:65536/", "-a.b/", "a-.b/", "a..b/", "a.b./", ":80/", "xn--x.y/", "user:pass@"},
		{"a", "app", "team/app", "", "a", "app", "library/", "team/", "a__b", "a___b", "a.b", "a..b", "a-", "a--b", "A", "/", "a/b/c", "0", strings.Repeat("b", 60), strings.Repeat("c/", 120)},
		{"", "", "", "", "x", "/y", "_z", ".q", testHex, "sha256"},
		{"", "", "", ":1", ":v1.0-rc_1", ":", ":.x", ":-x", ":_", ":" + strings.Repeat("t", 127), ":" + strings.Repeat("t", 129), ":a:b", ":a/b", ":\u00e9"},
		{"", "", "", "", "", "@sha256:" + testHex, "@sha256:" + testHex, "@sha256:" + testHex[1:], "@sha384:" + testHex + testHex[:32], "@sha512:" + testHex + testHex, "@md5:" + testHex[:32], "@sha256:" + strings.ToUpper(testHex), "@", "@x"},
	}
	const changes = "aZ09_.-/:@[] \n\x00\xff"
	r, accepted := rand.New(rand.NewPCG(1, 2)), 0
	for range 25_000 {
		var b strings.Builder
		for _, list := range pieces {
			b.WriteString(list[r.IntN(len(list))])
		}
		s := b.String()
		if r.IntN(3) == 0 && s != "" {
			i := r.IntN(len(s))
			s = s[:i] + string(changes[r.IntN(len(changes))]) + s[i+r.IntN(2):]
		}
		got, err := ParseReference(s)
		if diff := againstLibrary(s, got, err); diff != "" {
			t.Fatal(diff)
		}
		if err == nil {
			accepted++
		}
	}
	if accepted < 1000 {
		t.Errorf("%d texts are references; the test says little", accepted)
	}
}

// TestParseReference_allocates: what a warm review parses costs no memory of its own.
func TestParseReference_allocates(t *testing.T) {
	for _, s := range []string{"reg.example.com/team/app@sha256:" + testHex, "reg.example.com:5000/team/app:1.0", "reg.example.com/app"} {
		if n := testing.AllocsPerRun(100, func() { _, _ = ParseReference(s) }); n > 0 {
			t.Errorf("ParseReference(%q): %.0f allocations", s, n)
		}
	}
}
