package match

import (
	"crypto/sha256"
	"encoding/binary"
	"sync"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/scanner/advisory/javaindex"
)

const (
	// maxMemoBytes bounds what is remembered of one generation. A package without a
	// finding takes some 300 B and each finding 500 B, so that there is room for more
	// than 100,000 different packages, those of some thousand images of as many bases.
	maxMemoBytes = 96 << 20
	// memoParts is in how many parts it is locked and forgotten.
	memoParts = 32
)

// memo remembers what the detectors said about packages, for one generation and one
// matcher. The same packages come again in nearly all images: of 200 images with ten
// bases 98 of 100 packages have been seen. It is safe for concurrent use.
//
// A detector is a function of the package, of what the distribution or application is,
// and of the data: each looks at one package after the other. So what is remembered is
// under a hash of all that a detector is given, but for the path and the layer of the
// package, which it passes on without looking at them; and only what it said without an
// error is.
type memo struct {
	parts [memoParts]memoPart
	lists memoLists
}

type memoPart struct {
	mu    sync.RWMutex
	known map[memoKey]*known
	bytes int // of all of them, about
}

// memoKey is a question about a package.
type memoKey struct {
	subject  [sha256.Size]byte // what is asked, of which distribution or kind of application
	identity [sha256.Size]byte // of the package
}

// known is an answer. It is never modified.
type known struct {
	gap      gapNote
	supplied bool
	found    []passed
	names    []javaindex.Name
}

// passed is a finding, and what of the package stands in it unseen by the detector.
type passed struct {
	gate.Vulnerability // without path, layer and times
	path, layer        bool
	published          int64 // seconds since 1970
	dated              bool
}

// weight is approximately the memory that an answer takes.
func (k *known) weight() int {
	n := 300 + len(k.gap.reason) + len(k.gap.version) + 150*len(k.names)
	for i := range k.found {
		v := &k.found[i]
		n += 400 + len(v.ID) + len(v.Package) + len(v.PackageID) + len(v.InstalledVersion) + len(v.FixedVersion) + len(v.PURL) + len(v.URL)
	}
	return n
}

func (m *memo) part(k *memoKey) *memoPart { return &m.parts[k.identity[0]%memoParts] }

// get is the answer to a question, nil when there is none.
func (m *memo) get(k *memoKey) *known {
	if m == nil {
		return nil // a test compares what is remembered with what is not
	}
	p := m.part(k)
	p.mu.RLock()
	defer p.mu.RUnlock()
	return p.known[*k]
}

// keep remembers an answer.
func (m *memo) keep(k *memoKey, answer *known) {
	if m == nil {
		return
	}
	p, n := m.part(k), answer.weight()
	p.mu.Lock()
	defer p.mu.Unlock()
	if _, ok := p.known[*k]; ok {
		return // another match was faster
	}
	if p.bytes += n; p.known == nil || p.bytes > maxMemoBytes/memoParts {
		if p.known != nil {
			m.lists.forget() // they hold answers of this part
		}
		p.known, p.bytes = map[memoKey]*known{}, n // cheaper than an order of use, and rare
	}
	p.known[*k] = answer
}

// memoLists remember the answers for lists of packages as a whole. They are forgotten with
// any part of the answers, so that they hold none that is not remembered besides.
type memoLists struct {
	mu      sync.RWMutex
	known   map[memoKey][]listed
	answers int // in all of them, and one for each list
}

// maxListed bounds the answers in lists: 16 MB.
const maxListed = 1 << 20

func (l *memoLists) forget() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.known, l.answers = nil, 0
}

// list are the answers that are not empty for all packages of a list, in their order.
func (m *memo) list(k *memoKey) (list []listed, ok bool) {
	if m == nil {
		return nil, false
	}
	m.lists.mu.RLock()
	defer m.lists.mu.RUnlock()
	list, ok = m.lists.known[*k]
	return list, ok
}

// keepList remembers the answers for a list. They are not changed any more.
func (m *memo) keepList(k *memoKey, list []listed) {
	if m == nil {
		return
	}
	l, n := &m.lists, len(list)+8 // a list takes as much itself
	l.mu.Lock()
	defer l.mu.Unlock()
	if _, ok := l.known[*k]; ok {
		return
	}
	if l.answers += n; l.known == nil || l.answers > maxListed {
		l.known, l.answers = map[memoKey][]listed{}, n
	}
	l.known[*k] = list
}

// subject is a hash of words, which differs when any of them does.
func subject(words ...string) [sha256.Size]byte {
	var b []byte
	for _, w := range words {
		b = appendText(b, w)
	}
	return sha256.Sum256(b)
}

// identities are the hashes of packages.
func identities(pkgs []gate.Package) [][sha256.Size]byte {
	list := make([][sha256.Size]byte, len(pkgs))
	var array [1024]byte
	b := array[:0]
	for i := range pkgs {
		b = appendIdentity(b[:0], &pkgs[i])
		list[i] = sha256.Sum256(b)
	}
	return list
}

// appendIdentity writes all that a detector is given of a package, but for its path
// and its layer. A detector is not given UID either (see run.given), which differs with
// the path. A test changes each field.
func appendIdentity(b []byte, p *gate.Package) []byte {
	for _, text := range [...]string{
		p.ID, p.Name, p.Version, p.Release, p.Arch, p.SrcName, p.SrcVersion, p.SrcRelease, p.ModularityLabel, p.PURL, p.Relationship, p.AnalyzedBy,
	} {
		b = appendText(b, text)
	}
	b = binary.AppendVarint(b, int64(p.Epoch))
	b = binary.AppendVarint(b, int64(p.SrcEpoch))
	b = appendFlags(b, p.Dev, p.Indirect, p.BuildInfo != nil, p.Repository != nil)
	b = appendTexts(b, p.Licenses)
	if i := p.BuildInfo; i != nil {
		b = appendTexts(b, i.ContentSets)
		b = appendText(appendText(b, i.Nvr), i.Arch)
	}
	if r := p.Repository; r != nil {
		b = appendText(appendText(b, r.Class), r.Name)
	}
	return b
}

func appendText(b []byte, text string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(text))), text...)
}

func appendTexts(b []byte, texts []string) []byte {
	b = binary.AppendUvarint(b, uint64(len(texts)))
	for _, text := range texts {
		b = appendText(b, text)
	}
	return b
}

func appendFlags(b []byte, flags ...bool) []byte {
	for _, flag := range flags {
		n := byte(0)
		if flag {
			n = 1
		}
		b = append(b, n)
	}
	return b
}
