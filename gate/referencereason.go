package gate

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// The limits of the parts of a reference (distribution/reference, regexp.go).
const (
	maxTag        = 128
	maxRepository = 255
)

// whyInvalid says which part of a text the grammar of references does not accept,
// and what is wrong with it. It shows parts of the text, but nothing that stands in
// front of an @ unless a digest follows it: people write credentials there.
func whyInvalid(s string) string {
	if scheme, _, ok := strings.Cut(s, "://"); ok && len(scheme) <= 20 {
		return "it begins with a scheme (://); write host/repository and a tag or a digest"
	}
	name, digest, digested := strings.Cut(s, "@")
	if digested {
		if reason := whyDigest(digest); reason != "" {
			return reason
		}
	}
	if strings.HasPrefix(name, "/") {
		return "it begins with a slash, the registry host in front of it is missing"
	}
	if i := strings.LastIndexByte(name, ':'); i > strings.LastIndexByte(name, '/') && i > strings.LastIndexByte(name, ']') {
		if reason := whyTag(name[i+1:]); reason != "" {
			return reason
		}
		name = name[:i]
	}
	if host, rest, ok := strings.Cut(name, "/"); ok && isHost(host) {
		if reason := whyHost(host); reason != "" {
			return reason
		}
		name = rest
	}
	if reason := whyRepository(name); reason != "" {
		return reason
	}
	return "a node would not accept it as an image reference"
}

// tooLong says of a text that is longer than any reference which part of it is.
func tooLong(s string) string {
	if reason := whyInvalid(s); strings.Contains(reason, "characters") {
		return reason
	}
	return fmt.Sprintf("it has %d characters, more than any image reference", len(s))
}

// isHost is the rule by which a node tells a host from the first part of a
// repository (splitDockerDomain in distribution/reference).
func isHost(first string) bool {
	return strings.ContainsAny(first, ".:") || first == "localhost" || strings.ToLower(first) != first
}

// whyDigest looks at what follows the first @.
func whyDigest(digest string) string {
	const want = `want sha256: and 64 of the digits 0-9 and a-f`
	if strings.Contains(digest, "/") {
		return "it has user information in front of an @; credentials do not belong in an image reference"
	}
	if strings.Contains(digest, "@") {
		return "it has more than one @; a single digest may follow the name"
	}
	algorithm, hex, ok := strings.Cut(digest, ":")
	switch algorithm {
	case "sha256":
	case "sha1", "sha384", "sha512", "md5", "blake3":
		return fmt.Sprintf("its digest is of the kind %s; only sha256 digests are supported", algorithm)
	default:
		return "what follows the @ is not a digest; " + want
	}
	bad := strings.IndexFunc(hex, func(r rune) bool { return (r < '0' || r > '9') && (r < 'a' || r > 'f') })
	switch {
	case !ok || hex == "":
		return "the digest has nothing after sha256; " + want
	case bad >= 0 && strings.IndexByte("ABCDEF", hex[bad]) >= 0:
		return "the digest has upper-case letters; " + want
	case bad >= 0:
		return fmt.Sprintf("the digest holds %s; %s", character(hex[bad:]), want)
	case len(hex) != 64:
		return fmt.Sprintf("the digest has %d hexadecimal digits; %s", len(hex), want)
	}
	return ""
}

func whyTag(tag string) string {
	bad := strings.IndexFunc(tag, func(r rune) bool { return r > 0x7e || !isWord(byte(r)) && r != '.' && r != '-' })
	switch {
	case tag == "":
		return "the tag after the colon is empty"
	case bad >= 0:
		return fmt.Sprintf("the tag holds %s; a tag has letters, digits, and _ . -", character(tag[bad:]))
	case tag[0] == '.' || tag[0] == '-':
		return fmt.Sprintf("the tag %s begins with %q; it must begin with a letter, a digit or _", shownPart(tag), tag[:1])
	case len(tag) > maxTag:
		return fmt.Sprintf("the tag has %d characters, at most %d are possible", len(tag), maxTag)
	}
	return ""
}

func isWord(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '_'
}

func whyHost(host string) string {
	name := host
	if i := strings.LastIndexByte(host, ':'); i > strings.LastIndexByte(host, ']') {
		port := host[i+1:]
		if name = host[:i]; port == "" {
			return fmt.Sprintf("the registry host %s ends with a colon, its port is missing", shownPart(host))
		}
		if strings.Trim(port, "0123456789") != "" {
			return fmt.Sprintf("the port %s of the registry host is not a number", shownPart(port))
		}
	}
	if strings.HasPrefix(name, "[") || strings.HasSuffix(name, "]") {
		return whyAddress(name)
	}
	bad := strings.IndexFunc(name, func(r rune) bool { return r > 0x7e || r == '_' || !isWord(byte(r)) && r != '.' && r != '-' })
	switch {
	case name == "":
		return "the registry host in front of the port is missing"
	case bad >= 0:
		return fmt.Sprintf("the registry host holds %s; a host has letters, digits, dots and hyphens", character(name[bad:]))
	case strings.HasSuffix(name, "."):
		return fmt.Sprintf("the registry host %s ends with a dot", shownPart(name))
	}
	for label := range strings.SplitSeq(name, ".") {
		switch {
		case label == "":
			return fmt.Sprintf("the registry host %s has a dot too many", shownPart(name))
		case label[0] == '-' || label[len(label)-1] == '-':
			return fmt.Sprintf("the part %s of the registry host begins or ends with a hyphen", shownPart(label))
		}
	}
	return lowerHost(host)
}

func whyAddress(name string) string {
	inner := strings.TrimSuffix(strings.TrimPrefix(name, "["), "]")
	if len(inner) != len(name)-2 || inner == "" || strings.Trim(inner, "0123456789abcdefABCDEF:") != "" {
		return fmt.Sprintf("the registry host %s is not an IPv6 address in brackets", shownPart(name))
	}
	return lowerHost(name)
}

// lowerHost says that a host has capitals, "" when it has none.
func lowerHost(host string) string {
	if host == strings.ToLower(host) {
		return ""
	}
	if strings.ContainsAny(host, ".:") {
		return fmt.Sprintf("the registry host %s has upper-case letters; write it in lower case", shownPart(host))
	}
	return fmt.Sprintf("%s in front of the first slash has upper-case letters, so it is read as a registry host; write host or repository in lower case", shownPart(host))
}

func whyRepository(name string) string {
	bad := strings.IndexFunc(name, func(r rune) bool { return r > 0x7e || !isWord(byte(r)) && r != '.' && r != '-' && r != '/' })
	switch {
	case name == "":
		return "the repository is missing"
	case bad >= 0:
		return fmt.Sprintf("the repository holds %s; a repository has lower-case letters, digits, and _ . - between them", character(name[bad:]))
	case name != strings.ToLower(name):
		return fmt.Sprintf("the repository %s has upper-case letters; a repository is written in lower case", shownPart(name))
	case len(name) > maxRepository:
		return fmt.Sprintf("the repository has %d characters, at most %d are possible", len(name), maxRepository)
	}
	for part := range strings.SplitSeq(name, "/") {
		switch {
		case part == "":
			return fmt.Sprintf("the repository %s has an empty part: two slashes in a row, or one at its end", shownPart(name))
		case strings.Trim(part[:1], "_.-") == "" || strings.Trim(part[len(part)-1:], "_.-") == "":
			return fmt.Sprintf("the part %s of the repository begins or ends with _ . or -", shownPart(part))
		case !ValidRepository(part):
			return fmt.Sprintf("the part %s of the repository has separators in a row; only __ and several - may follow each other", shownPart(part))
		}
	}
	return ""
}

// shownPart is a part of a reference in quotation marks.
func shownPart(part string) string { return Quoted(part, 80) }

// character names the first character of a text.
func character(s string) string {
	r, _ := utf8.DecodeRuneInString(s)
	switch {
	case r == ' ' || r == '\t' || r == '\n' || r == '\r':
		return fmt.Sprintf("white space (U+%04X)", r)
	case r == utf8.RuneError:
		return "bytes that are not text"
	case r < 0x20 || r == 0x7f:
		return fmt.Sprintf("a control character (U+%04X)", r)
	case r > 0x7f:
		return fmt.Sprintf("U+%04X, which is not an ASCII character", r)
	}
	return fmt.Sprintf("%q", string(r))
}
