package gate

import "strings"

// This file is the grammar of distribution/reference v0.6.0 (regexp.go and
// normalize.go) without its regular expressions, which took 3 to 9 µs for each
// image of each review. A test and a fuzz target compare the two.

// Names that the grammar knows.
const (
	dockerHub  = "docker.io"
	legacyHub  = "index.docker.io"
	official   = "library/"
	defaultTag = "latest"
)

// referenceParts are what the grammar finds in a text. tag and digest are "" where
// there is none; the digest may be of another kind than sha256.
type referenceParts struct{ host, repository, tag, digest string }

// splitReference is ParseNormalizedNamed; false for what it does not accept. It is
// given no bare identifier (64 hexadecimal digits). One form that it accepts is
// refused: where the first part is a host because of its dot and no host because of
// its underscore ("a_b.c/app"), it finds a repository without a host, while a node
// asks that host.
func splitReference(s string) (p referenceParts, ok bool) {
	name, digest, digested := strings.Cut(s, "@")
	if digested && !isDigest(digest) {
		return p, false
	}
	p.digest = digest
	p.host, p.repository = splitHost(name)
	if path, tag, tagged := strings.Cut(p.repository, ":"); tagged {
		if !isTag(tag) {
			return p, false
		}
		p.repository, p.tag = path, tag
	}
	if len(p.repository) > maxRepository || !isRepository(p.repository) || !isDomain(p.host) {
		return p, false
	}
	return p, true
}

// splitHost is splitDockerDomain: it finds the host and adds what the short names
// of Docker Hub leave out. Only these need memory of their own.
func splitHost(name string) (host, rest string) {
	first, rest, ok := strings.Cut(name, "/")
	switch {
	case !ok:
		return dockerHub, official + name
	case first == legacyHub:
		first = dockerHub
	case !isHost(first):
		return dockerHub, name
	}
	if first == dockerHub && strings.IndexByte(rest, '/') < 0 {
		rest = official + rest
	}
	return first, rest
}

// isRepository: parts of lower-case letters and digits, between them one of . _ __
// and any number of hyphens (remoteName in regexp.go).
func isRepository(s string) bool {
	for i := 0; ; i++ {
		for again := true; again; {
			start := i
			for i < len(s) && isLowerOrDigit(s[i]) {
				i++
			}
			if i == start {
				return false
			}
			i, again = afterSeparator(s, i)
		}
		if i == len(s) {
			return true
		}
		if s[i] != '/' {
			return false
		}
	}
}

// afterSeparator is the index after the separator at i; false without one.
func afterSeparator(s string, i int) (int, bool) {
	if i == len(s) {
		return i, false
	}
	switch s[i] {
	case '.':
		return i + 1, true
	case '_':
		if i++; i < len(s) && s[i] == '_' {
			i++
		}
		return i, true
	case '-':
		for i < len(s) && s[i] == '-' {
			i++
		}
		return i, true
	}
	return i, false
}

func isLowerOrDigit(c byte) bool { return c >= 'a' && c <= 'z' || c >= '0' && c <= '9' }

// isTag: a letter, digit or underscore, and then also dots and hyphens.
func isTag(s string) bool {
	if s == "" || len(s) > maxTag || !isWord(s[0]) {
		return false
	}
	for i := 1; i < len(s); i++ {
		if !isWord(s[i]) && s[i] != '.' && s[i] != '-' {
			return false
		}
	}
	return true
}

// isDomain: a name or an address, and perhaps a port (domainAndPort in regexp.go).
func isDomain(s string) bool {
	name := s
	if i := strings.LastIndexByte(s, ':'); i > strings.LastIndexByte(s, ']') {
		name = s[:i]
		if port := s[i+1:]; port == "" || strings.Trim(port, "0123456789") != "" {
			return false
		}
	}
	if strings.HasPrefix(name, "[") {
		inner, ok := strings.CutSuffix(name[1:], "]")
		return ok && inner != "" && strings.Trim(inner, "0123456789abcdefABCDEF:") == ""
	}
	for start := 0; ; {
		end := len(name)
		if dot := strings.IndexByte(name[start:], '.'); dot >= 0 {
			end = start + dot
		}
		if !isDomainLabel(name[start:end]) {
			return false
		}
		if start = end + 1; end == len(name) {
			return true
		}
	}
}

func isDomainLabel(s string) bool {
	if s == "" || s[0] == '-' || s[len(s)-1] == '-' {
		return false
	}
	for i := range len(s) {
		if c := s[i]; c == '_' || !isWord(c) && c != '-' {
			return false
		}
	}
	return true
}

// isDigest: what go-digest accepts where the algorithms of its table are linked, as
// they are in every program that speaks TLS.
func isDigest(s string) bool {
	algorithm, hex, _ := strings.Cut(s, ":")
	digits := 0
	switch algorithm {
	case "sha256":
		digits = 64
	case "sha384":
		digits = 96
	case "sha512":
		digits = 128
	}
	return digits > 0 && len(hex) == digits && isHexadecimal(hex)
}

func isHexadecimal(s string) bool {
	for i := range len(s) {
		if c := s[i]; (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}
