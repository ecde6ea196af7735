package gate

import (
	"encoding/hex"
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strings"
)

// Digest names content by its hash: "sha256:" and 64 lower-case hexadecimal digits. It
// is the identity of an image; everything that is stored is stored under it. Other
// algorithms are refused: no supported registry produces them and a fallback to a tag
// would be a wrong answer.
type Digest string

// ParseDigest accepts exactly the form that [Digest] describes and wraps
// [ErrDigestInvalid] otherwise.
func ParseDigest(s string) (Digest, error) {
	if d := Digest(s); d.Valid() {
		return d, nil
	}
	return "", fmt.Errorf("parsing digest %s: %w", Quoted(s, 100), ErrDigestInvalid)
}

// Valid reports whether d has the form that [ParseDigest] accepts. It is asked
// many times in every admission, where a regular expression took a tenth of the
// whole.
func (d Digest) Valid() bool {
	const prefix, digits = "sha256:", 64
	if len(d) != len(prefix)+digits || d[:len(prefix)] != prefix {
		return false
	}
	other := byte(0)
	for i := len(prefix); i < len(d); i++ {
		other |= notHexadecimal[d[i]] // without a branch for each
	}
	return other == 0
}

// notHexadecimal is 1 for each byte that is no lower-case hexadecimal digit. It is not
// modified.
var notHexadecimal = func() (table [256]byte) {
	for i := range table {
		if c := byte(i); (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			table[i] = 1
		}
	}
	return table
}()

// Hash is the hash itself, ok false for what is not [Digest.Valid]. Ids of inventories and
// findings have the same form. It needs no memory: admission asks for it.
func (d Digest) Hash() (hash [32]byte, ok bool) {
	if !d.Valid() {
		return hash, false
	}
	digits := d[len(d)-2*len(hash):]
	for i := range hash {
		hash[i] = digitValue(digits[2*i])<<4 | digitValue(digits[2*i+1])
	}
	return hash, true
}

// DigestOf is the digest with a hash.
func DigestOf(hash [32]byte) Digest { return Digest("sha256:" + hex.EncodeToString(hash[:])) }

// digitValue is the value of a lower-case hexadecimal digit.
func digitValue(c byte) byte {
	if c <= '9' {
		return c - '0'
	}
	return c - 'a' + 10
}

// Hex is the hexadecimal part, fit for a file name.
func (d Digest) Hex() string { return strings.TrimPrefix(string(d), "sha256:") }

// Short is the form for people: "sha256:" and the first 12 digits.
func (d Digest) Short() string {
	if len(d) < 19 {
		return string(d)
	}
	return string(d[:19])
}

// Location is a place a digest may be pulled from: the configured name of a
// registry and a repository in it. The registry's host is configuration and
// never part of stored data.
type Location struct {
	Registry   string `json:"registry"`
	Repository string `json:"repository"`
}

func (l Location) String() string { return l.Registry + "/" + l.Repository }

// TagKey names a tag of a repository.
type TagKey struct {
	Location
	Tag string `json:"tag"`
}

func (k TagKey) String() string { return k.Location.String() + ":" + k.Tag }

// ParseTagKey reverses [TagKey.String]: a registry's name holds no slash and a tag no
// colon.
func ParseTagKey(s string) (TagKey, bool) {
	registry, rest, ok := strings.Cut(s, "/")
	colon := strings.LastIndexByte(rest, ':')
	if !ok || colon < 0 {
		return TagKey{}, false
	}
	return TagKey{Location: Location{Registry: registry, Repository: rest[:colon]}, Tag: rest[colon+1:]}, true
}

// Platform is an operating system and processor architecture in the terms of
// the OCI image index specification.
type Platform struct {
	OS           string `json:"os"`
	Architecture string `json:"architecture"`
	Variant      string `json:"variant,omitempty"`
	OSVersion    string `json:"osVersion,omitempty"`
}

// ConfigPlatform is what an image configuration's words about its platform mean
// to a node, fit to be stored and shown. Without an os it is Linux: containerd
// takes an empty one for the node's own (containerd/platforms, normalizeOS) and
// folds capitals, CRI-O and Docker run an image whatever its configuration says.
// Both halves of an analysis use it, so that they agree.
func ConfigPlatform(p Platform) Platform {
	if p.OS == "" {
		p.OS = "linux"
	}
	return Platform{
		OS: Printable(strings.ToLower(p.OS), 64), Architecture: Printable(p.Architecture, 64),
		Variant: Printable(p.Variant, 64), OSVersion: Printable(p.OSVersion, 64),
	}
}

// String is the usual "linux/arm64/v8" notation; "" when nothing is known.
func (p Platform) String() string {
	if p.Architecture == "" && p.Variant == "" {
		return p.OS
	}
	s := p.OS + "/" + p.Architecture
	if p.Variant != "" {
		s += "/" + p.Variant
	}
	return s
}

// ManifestKind is what a manifest turned out to be when it was read. Only
// KindImage is analysed; KindIndex is judged through its children; the rest is
// recorded and never charged.
type ManifestKind string

// The kinds of manifest.
const (
	KindUnknown     ManifestKind = ""
	KindImage       ManifestKind = "image"
	KindIndex       ManifestKind = "index"
	KindSignature   ManifestKind = "signature"
	KindAttestation ManifestKind = "attestation"
	KindSBOM        ManifestKind = "sbom"
	KindChart       ManifestKind = "chart"
	KindArtifact    ManifestKind = "artifact"
)

// Accessory reports whether the manifest is about another one and not an image of
// its own: signatures, attestations and SBOMs, and what names its subject.
func (m Manifest) Accessory() bool {
	switch m.Kind {
	case KindSignature, KindAttestation, KindSBOM:
		return true
	}
	return m.Kind == KindArtifact && m.Subject != ""
}

// accessoryTag is the form of the tags under which cosign keeps what belongs to a
// digest, and registries without the referrers API a list of it
// (opencontainers/distribution-spec, "Referrers Tag Schema").
var accessoryTag = regexp.MustCompile(`^sha256-([0-9a-f]{64})(?:\.[a-z0-9.-]+)?$`)

// TagSubject is the digest that a tag says that its manifest is about, "" for an
// ordinary tag.
func TagSubject(tag string) Digest {
	if m := accessoryTag.FindStringSubmatch(tag); m != nil {
		return Digest("sha256:" + m[1])
	}
	return ""
}

// Child is one descriptor of an index, as the index says: nothing of it is a fact
// about the child.
type Child struct {
	// Digest may be no valid one (sha512) in a child that no configured platform
	// matches, or in an index that is unassessable because one does.
	Digest    Digest   `json:"digest"`
	MediaType string   `json:"mediaType"`
	Platform  Platform `json:"platform"`
	Size      int64    `json:"size"`
	// Judged says that a node of a configured platform may choose this child, so
	// that its verdict counts for the index.
	Judged bool `json:"judged"`
}

// Attestation is a descriptor in an index that no node runs from there, and that the
// index calls an attestation of another manifest in it. This is only a claim of the
// index: when the manifest is an image, it is judged as one by its own digest.
type Attestation struct {
	Digest  Digest `json:"digest"`
	Subject Digest `json:"subject"`
}

// JudgedOn reports whether a child counts for its index; configured, unless nil,
// says whether a platform is among the configured ones now. One without a platform
// always does; versions before left some out by what they said of themselves. A
// platform that was configured since the index was read counts at once: nodes may
// run it. So does one that was left out because of os.features, which [Platform]
// does not have: CRI-O and most versions of containerd do not look at them. A
// platform that was removed counts until the index is read again.
func (c Child) JudgedOn(configured func(Platform) bool) bool {
	return c.Judged || c.Platform.OS == "" && c.Platform.Architecture == "" || configured != nil && configured(c.Platform)
}

// Manifest is what our own read of a manifest established. It depends on the
// manifest's bytes only (and, for Judged, on the configured platforms).
type Manifest struct {
	Digest    Digest       `json:"digest"`
	MediaType string       `json:"mediaType"`
	Kind      ManifestKind `json:"kind"`
	Platform  Platform     `json:"platform"`
	// Size is the sum of the compressed layers in bytes.
	Size     int64   `json:"size"`
	Children []Child `json:"children,omitempty"`
	// Subject is the digest that an accessory (signature, SBOM) is about.
	Subject Digest `json:"subject,omitempty"`
	// Attestations are what an index calls attestations of images in it. They are
	// shown and decide nothing.
	Attestations []Attestation `json:"attestations,omitempty"`
	// Unassessable says in words why this manifest can never be analysed, ""
	// when it can.
	Unassessable string `json:"unassessable,omitempty"`
	// Hashed says that all of this follows from bytes that were read and hashed.
	// Records of versions before lack it: they may hold what an index said of a
	// child, or what one registry said of its content ([Record.Confirmed]).
	Hashed bool `json:"hashed,omitempty"`
}

// Equal reports whether two readings of a manifest found the same.
func (m Manifest) Equal(o Manifest) bool {
	same := slices.Equal(m.Children, o.Children) && slices.Equal(m.Attestations, o.Attestations)
	m.Children, m.Attestations, o.Children, o.Attestations = nil, nil, nil, nil
	return same && reflect.DeepEqual(m, o)
}

// JudgedDigests are the children that count for an index, as it was read.
func (m Manifest) JudgedDigests() []Digest {
	var out []Digest
	for _, c := range m.Children {
		if c.Judged && c.Digest.Valid() {
			out = append(out, c.Digest)
		}
	}
	return out
}

// Looked is what a registry says that a tag names.
type Looked struct {
	Manifest Manifest
	Read     bool // just now; otherwise it is recorded
}
