// Package beside looks for VEX documents beside an image in its registry: what refers to
// the image (OCI 1.1, or the list at the tag where a registry keeps none), and cosign's
// attestations at the tag "sha256-….att". A document counts only when it is an envelope
// (DSSE) that a source of advisories.vex has signed: the author of an image can push
// whatever refers to it. Everything else is refused and counted. Where not everything could
// be read, only statements that hide nothing count: the rest may take the others back.
//
// It is asked when an image is analysed, also again, and never by a review. A [Finder] is
// safe for concurrent use.
package beside

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/sigstore/sigstore/pkg/signature"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/scanner/joined/vex"
)

// Limits on what is read beside one image: a cosign attestation has some kilobytes, one of
// an SBOM some megabytes, and an image some of them.
const (
	maxArtifacts = 64       // manifests that are read
	maxDocuments = 32       // documents that are kept
	maxBlob      = 8 << 20  // of one envelope
	maxBytes     = 32 << 20 // of all that is read
	lookTime     = time.Minute
)

// Registry is where it is looked; scanner/registry implements it.
type Registry interface {
	// Referrers lists what refers to a manifest; more: others follow that are not in the
	// list. gate.ErrNotFound: the registry keeps no list.
	Referrers(ctx context.Context, loc gate.Location, digest gate.Digest) (list []byte, more bool, err error)
	// RawManifest reads a manifest by tag or digest, hashed; gate.ErrNotFound: there is none.
	RawManifest(ctx context.Context, loc gate.Location, ref string) ([]byte, gate.Digest, error)
	// Blob reads a blob, hashed.
	Blob(ctx context.Context, loc gate.Location, digest gate.Digest, size int64) (io.ReadCloser, error)
}

// Source is an entry of advisories.vex whose documents beside images count.
type Source struct {
	vex.Config
	Key     signature.Verifier
	Trusted string // vex.Fingerprint of Key
}

// Finder looks beside images.
type Finder struct {
	Registry Registry
	// Sources are those of the configuration in force; nil: nothing is looked for.
	Sources func() []Source
	Now     func() time.Time
	Log     *slog.Logger

	mu       sync.Mutex
	standing gate.BesideStanding
}

// Standing is what has been found since the start.
func (f *Finder) Standing() gate.BesideStanding {
	f.mu.Lock()
	defer f.mu.Unlock()
	s := f.standing
	if s.Refused = maps.Clone(s.Refused); s.Refused == nil {
		s.Refused = map[string]int{}
	}
	return s
}

// Find looks beside an image; before is what was found the last time, nil for nothing, and
// what stays where no source counts. A registry that cannot be asked keeps what was found before, with
// the reason.
func (f *Finder) Find(ctx context.Context, loc gate.Location, image gate.Digest, before *gate.BesideVEX) *gate.BesideVEX {
	all := f.Sources()
	sources := slices.DeleteFunc(slices.Clone(all), func(s Source) bool { return !s.Counts(loc) })
	if len(sources) == 0 {
		return before // of another place of the image, or of sources that were taken out
	}
	ctx, cancel := context.WithTimeout(ctx, lookTime)
	defer cancel()
	l := &look{Finder: f, ctx: ctx, loc: loc, image: image, configured: all, sources: sources, now: f.Now(), seen: map[gate.Digest]bool{}, refused: map[string]int{}}
	err := l.all()
	out := &gate.BesideVEX{Refused: l.refused}
	if err != nil {
		out = &gate.BesideVEX{Problem: gate.Printable(err.Error(), 300)}
		if before != nil {
			out.Documents, out.Refused, out.Unread = before.Documents, before.Refused, before.Unread
		}
		f.Log.Warn("looking for VEX documents beside an image failed, those found before stay", "digest", image, "error", out.Problem)
	} else {
		out.Documents = l.with(before)
		if out.Unread = l.unread; out.Unread {
			f.Log.Warn("not everything beside an image could be read, so that no document beside it hides anything", "digest", image, "refused", out.Refused)
		}
	}
	f.count(out, err)
	return out
}

func (f *Finder) count(b *gate.BesideVEX, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.standing.Images++
	if err != nil {
		f.standing.Unreached++
		f.standing.Problem = b.Problem
		return
	}
	if b.Unread {
		f.standing.Unread++
	}
	f.standing.Documents += len(b.Documents)
	if f.standing.Refused == nil {
		f.standing.Refused = map[string]int{}
	}
	for why, n := range b.Refused {
		f.standing.Refused[why] += n
	}
}

// look is one look beside one image.
type look struct {
	*Finder
	ctx        context.Context
	loc        gate.Location
	image      gate.Digest
	configured []Source
	sources    []Source // that count in this place
	now        time.Time

	seen      map[gate.Digest]bool // manifests and envelopes
	artifacts int
	bytes     int64
	found     []gate.BesideDocument
	refused   map[string]int
	unread    bool // something was not read that may take statements back
}

func (l *look) refuse(why string) { l.refused[why]++ }

// omit counts what is not read.
func (l *look) omit(why string) {
	l.refuse(why)
	l.unread = true
}

// failed is nil for what will fail again, so that it is not read: an author who can push
// must not be able to have each look fail, and keep what was found before.
func (l *look) failed(err error) error {
	for _, passing := range []error{gate.ErrRegistryUnavailable, gate.ErrRegistryAuth, gate.ErrRegistryNotTrusted, gate.ErrTimeout, gate.ErrBusy, gate.ErrResource} {
		if errors.Is(err, passing) {
			return err
		}
	}
	if l.ctx.Err() != nil {
		return err
	}
	l.omit(unreadableM)
	return nil
}

// The reasons for which what is beside an image does not count; those of statements are in
// scanner/joined/vex.
const (
	notSigned   = "a document beside an image is not signed: it is not an envelope (DSSE)"
	otherKey    = "a document beside an image is not signed by a source of advisories.vex"
	tooOld      = "a document beside an image is older than maxAge of its source"
	tooMany     = "there is more beside an image than the limits of 64 artifacts, 32 documents and 32 MiB; the rest was not read"
	damaged     = "a document beside an image is damaged, or is not about this image"
	unreadableM = "an artifact that refers to an image cannot be read"
)

// with are the documents that were found, and of those that were known before what takes
// statements back: a registry, or who may delete in it, must not hide that. Documents of a
// source that does not count in this place were looked for elsewhere, and stay as they are.
func (l *look) with(before *gate.BesideVEX) []gate.BesideDocument {
	list := l.found
	if before != nil {
		for _, d := range before.Documents {
			if slices.ContainsFunc(l.found, func(o gate.BesideDocument) bool { return o.Digest == d.Digest && o.Source == d.Source }) {
				continue
			}
			doc, err := vex.Kept(d.Statements)
			if err != nil {
				continue
			}
			i := slices.IndexFunc(l.configured, func(s Source) bool { return s.Name == d.Source && s.Trusted == d.Trusted })
			if i < 0 || !l.now.Before(doc.At.Add(l.configured[i].MaxAge)) {
				continue
			}
			if l.configured[i].Counts(l.loc) {
				doc = doc.TakesBack()
			}
			if doc == nil {
				continue
			}
			text, err := vex.Keep(doc)
			if err != nil || len(list) >= 2*maxDocuments {
				l.omit(tooMany)
				continue
			}
			d.Statements = text
			list = append(list, d)
		}
	}
	if l.unread {
		list = l.hidingNothing(list)
	}
	slices.SortFunc(list, func(a, b gate.BesideDocument) int {
		return cmp.Or(cmp.Compare(a.Source, b.Source), cmp.Compare(a.Digest, b.Digest))
	})
	return list
}

// hidingNothing are the documents without what hides, of sources that count in this place.
func (l *look) hidingNothing(list []gate.BesideDocument) (out []gate.BesideDocument) {
	for _, d := range list {
		if slices.ContainsFunc(l.sources, func(s Source) bool { return s.Name == d.Source && s.Trusted == d.Trusted }) {
			doc, err := vex.Kept(d.Statements)
			if err != nil {
				continue
			}
			if doc = doc.TakesBack(); doc == nil {
				continue
			}
			if d.Statements, err = vex.Keep(doc); err != nil {
				continue // it hides nothing either
			}
		}
		out = append(out, d)
	}
	return out
}

// envelope judges one envelope.
func (l *look) envelope(text []byte, digest gate.Digest) {
	signed := false
	for _, s := range l.sources {
		doc, err := vex.Attested(text, s.Key, l.image, l.now)
		switch {
		case errors.Is(err, vex.ErrOtherKey):
			continue
		case errors.Is(err, vex.ErrUnread): // by the source: it may take statements back
			l.omit(damaged)
			return
		case err != nil:
			l.refuse(damaged)
			return
		}
		signed = true
		for why, n := range doc.Refused {
			l.refused[why] += n
		}
		doc.Refused = nil
		if len(doc.Statements) == 0 {
			continue
		}
		if !l.now.Before(doc.At.Add(s.MaxAge)) {
			l.refuse(tooOld)
			continue
		}
		kept, err := vex.Keep(doc)
		if err != nil || len(l.found) >= maxDocuments {
			l.omit(tooMany)
			continue
		}
		l.found = append(l.found, gate.BesideDocument{Source: s.Name, Trusted: s.Trusted, Digest: digest, Statements: kept})
	}
	if !signed {
		l.refuse(otherKey)
	}
}

// blob reads one blob within the bounds; ok is false when it is beyond them, which is
// counted.
func (l *look) blob(digest gate.Digest, size int64) (text []byte, ok bool, err error) {
	if size <= 0 || size > maxBlob || l.bytes+size > maxBytes {
		l.omit(tooMany)
		return nil, false, nil
	}
	l.bytes += size
	body, err := l.Registry.Blob(l.ctx, l.loc, digest, size)
	if err == nil {
		defer body.Close()
		text, err = io.ReadAll(io.LimitReader(body, size+1))
	}
	if err != nil {
		if err := l.failed(err); err != nil {
			return nil, false, fmt.Errorf("reading a document beside the image: %w", err)
		}
		return nil, false, nil
	}
	return text, true, nil
}
