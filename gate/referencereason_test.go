package gate

import (
	"errors"
	"strings"
	"testing"
)

// TestRefusedReferenceNamesThePart: the reason says which part is wrong, and what
// is wrong with it.
func TestRefusedReferenceNamesThePart(t *testing.T) {
	const d = "@sha256:" + testHex
	long := strings.Repeat("a", 300)
	for in, want := range map[string]string{
		"":                                       "no image is given",
		"https://reg.example.com/app:1":          "begins with a scheme",
		"oci://reg.example.com/app":              "begins with a scheme",
		"user:secret@reg.example.com/app":        "user information in front of an @",
		"user:sec@ret@reg.example.com/app":       "user information in front of an @",
		"app" + d + d:                            "more than one @",
		"app@v1":                                 "what follows the @ is not a digest",
		"app@sha256":                             "the digest has nothing after sha256",
		"app@sha256:":                            "the digest has nothing after sha256",
		"app@sha256:" + testHex[1:]:              "the digest has 63 hexadecimal digits",
		"app:1@sha256:" + testHex + "0":          "the digest has 65 hexadecimal digits",
		"app@sha256:" + strings.ToUpper(testHex): "the digest has upper-case letters",
		"app@sha256:" + testHex[1:] + "x":        `the digest holds "x"`,
		"app@sha512:" + testHex + testHex:        "its digest is of the kind sha512",
		"app@md5:" + testHex[:32]:                "its digest is of the kind md5",
		"app:":                                   "the tag after the colon is empty",
		"app:" + d:                               "the tag after the colon is empty",
		"reg.example.com:5000/app:.x":            `the tag ".x" begins with "."`,
		"app:-x" + d:                             `the tag "-x" begins with "-"`,
		"app:1.0+build":                          `the tag holds "+"`,
		"app:1 0":                                "the tag holds white space (U+0020)",
		"app:1\n":                                "the tag holds white space (U+000A)",
		"app:v\u0435":                            "the tag holds U+0435",
		"app:" + long:                            "the tag has 300 characters",
		"reg.example.com/app:" + strings.Repeat("a", 5000): "the tag has 5000 characters",
		"reg.example.com:/app":                             `the registry host "reg.example.com:" ends with a colon`,
		"reg.example.com:https/app":                        `the port "https" of the registry host is not a number`,
		"reg.example.com:05000/app":                        `the port "05000" of the registry host`,
		"reg.example.com:70000/app":                        `the port "70000" of the registry host`,
		":5000/app":                                        "the registry host in front of the port is missing",
		"reg.example.com./app":                             `the registry host "reg.example.com." ends with a dot`,
		"reg..example.com/app":                             "the registry host \"reg..example.com\" has a dot too many",
		"-reg.example.com/app":                             `the part "-reg" of the registry host begins or ends with a hyphen`,
		"r\u0435g.example.com/app":                         "the registry host holds U+0435",
		" reg.example.com/app":                             "the registry host holds white space",
		"REG.example.com/app":                              `the registry host "REG.example.com" has upper-case letters`,
		"Team/app":                                         `"Team" in front of the first slash has upper-case letters`,
		"[::ffff:169.254.169.254]/app":                     "is not an IPv6 address in brackets",
		strings.Repeat("a.", 125) + "abcd/app":             "the registry host has 254 characters",
		"/app":                                             "begins with a slash",
		"reg.example.com/":                                 "the repository is missing",
		"reg.example.com/Team/App:1":                       `the repository "Team/App" has upper-case letters`,
		"Nginx":                                            `the repository "Nginx" has upper-case letters`,
		"reg.example.com/a//b":                             `the repository "a//b" has an empty part`,
		"reg.example.com/a/":                               `the repository "a/" has an empty part`,
		"reg.example.com/a/../b":                           `the part ".." of the repository begins or ends with`,
		"reg.example.com/a___b":                            `the part "a___b" of the repository has separators in a row`,
		"reg.example.com/a/b-":                             `the part "b-" of the repository begins or ends with`,
		"reg.example.com/a b":                              "the repository holds white space",
		"app\x00":                                          "the repository holds a control character (U+0000)",
		"app?x":                                            `the repository holds "?"`,
		`reg.example.com\app`:                              `the repository holds "\\"`,
		"reg.example.com/\u202eapp":                        "the repository holds U+202E",
		"reg.example.com/\xff":                             "the repository holds bytes that are not text",
		"reg.example.com/" + long:                          "the repository has 300 characters",
	} {
		_, err := ParseReference(in)
		var refused *ReferenceError
		if !errors.As(err, &refused) || !errors.Is(err, ErrRefInvalid) {
			t.Errorf("ParseReference(%q): got %v, want ErrRefInvalid", Printable(in, 80), err)
			continue
		}
		if !strings.Contains(refused.Reason, want) || strings.Contains(refused.Reason, "secret") || strings.Contains(refused.Reason, "ret@") {
			t.Errorf("ParseReference(%q): got %q, want %q in it", Printable(in, 80), refused.Reason, want)
		}
		if len(refused.Reason) > 400 || Printable(refused.Reason, 400) != refused.Reason {
			t.Errorf("ParseReference(%q): the reason is long or not printable: %q", Printable(in, 80), refused.Reason)
		}
	}
}
