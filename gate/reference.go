package gate

import (
	"fmt"
	"strconv"
	"strings"
)

// Reference is an image reference as a node would understand it, in canonical
// form. Exactly one of Digest and Tag is set by [ParseReference].
type Reference struct {
	Host       string // host[:port] as [CanonicalHost] writes it
	Repository string // with "library/" for the short names of Docker Hub
	// Tag is the tag, "latest" when none was given and no digest either. A
	// tag next to a digest is decoration: no node looks at it, nothing says
	// that it ever named the digest, so it is dropped here.
	Tag    string
	Digest Digest
	// Raw is the text as it was given, for display only. It is hostile.
	Raw string
}

// String is the canonical spelling: host/repository@digest or
// host/repository:tag.
func (r Reference) String() string {
	if r.Digest != "" {
		return r.Host + "/" + r.Repository + "@" + string(r.Digest)
	}
	return r.Host + "/" + r.Repository + ":" + r.Tag
}

// Pin is the reference with the digest that its tag was resolved to. Tag is
// kept: it is our own reading, unlike a tag written next to a digest.
func (r Reference) Pin(d Digest) Reference {
	r.Digest = d
	return r
}

// ReferenceError says why a reference was refused. It wraps ErrRefInvalid or
// ErrRefAmbiguous.
type ReferenceError struct {
	Raw    string
	Reason string // for the person who wrote the reference
	Err    error
}

func (e *ReferenceError) Error() string {
	return fmt.Sprintf("parsing image reference %s: %s: %v", Quoted(e.Raw, 300), e.Reason, e.Err)
}

// Unwrap gives access to the sentinel.
func (e *ReferenceError) Unwrap() error { return e.Err }

// Limits of references. The longest one that the grammar and these limits
// allow together has 716 bytes.
const (
	maxReference = 1024
	maxHost      = 253 // RFC 1035, without the final dot
)

// ParseReference reads an image reference with the grammar of the kubelet
// (ParseNormalizedNamed of distribution/reference, and its default tag; see
// splitReference), and then refuses the forms that the grammar accepts but that a node, a registry
// or DNS might understand in different ways: security is lost exactly where
// two parsers disagree. Every error is a [*ReferenceError].
//
// ErrRefAmbiguous: "sha256:" and hexadecimal digits, or 64 such digits alone.
// The kubelet passes the first on as it is, and containerd takes it, even
// truncated, for the ID of whatever local image has it (LocalResolve in its
// CRI plug-in), while the grammar means docker.io/library/sha256.
//
// ErrRefInvalid: everything else. A host with capitals (resolved like its lower-case
// form, but another key for credentials, mirrors and trust), a port that is not a
// number, a host over 253 bytes, and digests other than sha256 (which ones the grammar
// accepts depends on what a program links).
func ParseReference(s string) (Reference, error) {
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
	p, ok := splitReference(s)
	if !ok {
		return refuse(ErrRefInvalid, whyInvalid(s))
	}
	r := Reference{Host: p.host, Repository: p.repository, Tag: p.tag, Raw: s}
	if reason := checkHost(r.Host); reason != "" {
		return refuse(ErrRefInvalid, reason)
	}
	if p.digest != "" {
		if r.Tag, r.Digest = "", Digest(p.digest); !r.Digest.Valid() {
			return refuse(ErrRefInvalid, whyInvalid(s))
		}
		return r, nil
	}
	if r.Tag == "" {
		r.Tag = defaultTag
	}
	return r, nil
}

// isImageID recognises what a container runtime may look up among the IDs of
// its local images: an algorithm and (perhaps truncated) hexadecimal digits,
// or a whole bare ID. A slash makes it a name.
func isImageID(s string) bool {
	if algorithm, value, ok := strings.Cut(s, ":"); ok {
		switch algorithm {
		case "sha256", "sha384", "sha512":
			return !strings.ContainsAny(value, "/@")
		}
		return false
	}
	return len(s) == 64 && strings.Trim(s, "0123456789abcdef") == ""
}

// checkHost returns what is wrong with a host that the grammar accepted, ""
// when nothing is. The grammar itself refuses empty labels, a final dot and
// everything outside ASCII.
func checkHost(host string) string {
	if host != CanonicalHost(host) {
		return lowerHost(host)
	}
	name, port := host, ""
	if i := strings.LastIndexByte(host, ':'); i > strings.LastIndexByte(host, ']') {
		name, port = host[:i], host[i+1:]
		n, err := strconv.ParseUint(port, 10, 16)
		if err != nil || n == 0 || port[0] == '0' {
			return fmt.Sprintf("the port %s of the registry host is not a port number; want 1 to 65535 without leading zeros", shownPart(port))
		}
	}
	if len(name) > maxHost {
		return fmt.Sprintf("the registry host has %d characters, a host name has at most %d", len(name), maxHost)
	}
	return ""
}
