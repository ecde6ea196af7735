package joined

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"os"
	"sync"
	"time"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/scanner/advisory/download"
	"github.com/digestgate/digestgate/scanner/joined/vex"
)

// vexSource is what advisories.vex names: its documents together are the table.
type vexSource struct {
	m    *member[vex.Table]
	list []*vexDocument

	mu       sync.Mutex // guards what documents hold
	problems map[string]string
}

// vexDocument is one entry of advisories.vex.
type vexDocument struct {
	vex.Config
	trust    vex.Trust
	feed     *feed
	detached *feed // the signature beside it; nil with a checksum
	pace     *pace // of a URL
	source   *vex.Source
	images   string // the key of documents beside images; "" where they do not count
	first    bool   // it was read once, or was tried
}

func newVEXSource(o Options, m *member[vex.Table]) (*vexSource, error) {
	v := &vexSource{m: m, problems: map[string]string{}}
	for _, c := range o.VEX {
		d := &vexDocument{Config: c, trust: vex.Trust{Checksum: gate.Digest(c.Checksum)}}
		var err error
		if c.Key != "" {
			if d.trust.Key, err = download.Verifier(c.Key); err == nil && c.Images {
				d.images, err = vex.Fingerprint(d.trust.Key)
			}
			if err != nil {
				return nil, fmt.Errorf("advisories.vex, %s: %w", c.Name, err)
			}
		}
		if c.Path == "" {
			v.list = append(v.list, d)
			continue
		}
		if d.feed, err = newFeed(c.Path, c.CAFile, o.Now); err != nil {
			return nil, fmt.Errorf("advisories.vex, %s: %w", c.Name, err)
		}
		if c.Key != "" {
			if d.detached, err = newFeed(c.Path+".sig", c.CAFile, o.Now); err != nil {
				return nil, fmt.Errorf("advisories.vex, %s: %w", c.Name, err)
			}
		}
		if d.feed.url != nil {
			d.pace = newPace(o, "joined-vex-"+c.Name)
			d.pace.turns = nil // each process that provides has the documents itself
		}
		v.list = append(v.list, d)
	}
	return v, nil
}

func (v *vexSource) look(ctx context.Context, asks bool) {
	if len(v.list) == 0 {
		if !asks {
			v.m.withdraw()
		}
		return
	}
	changed := false
	for _, d := range v.list {
		if d.feed == nil { // documents beside images are all that it has
			changed = changed || !d.first
			d.first = true
			continue
		}
		if (d.pace != nil) != asks {
			continue
		}
		one := func(ctx context.Context) error {
			source, err := d.read(ctx, v.m.now(), v.before(d))
			if ctx.Err() != nil {
				return ctx.Err()
			}
			changed = v.note(d, source, err) || changed
			return err
		}
		if d.pace != nil {
			d.pace.turn(ctx, d.Path, one)
			continue
		}
		_ = one(ctx) // it is noted
	}
	if changed {
		v.offer()
	}
}

// before is what is known of a source: what was read here, or what is in force of it.
func (v *vexSource) before(d *vexDocument) *vex.Source {
	v.mu.Lock()
	defer v.mu.Unlock()
	if d.source != nil {
		return d.source
	}
	t, _ := v.m.current()
	if t == nil {
		return nil
	}
	for i := range t.Sources {
		if s := t.Sources[i]; s.Name == d.Name && s.Trusted == d.trusted() {
			s.Repositories, s.MaxAge, s.Applications = d.Repositories, d.MaxAge, d.Applications
			return &s
		}
	}
	return nil
}

// note keeps what a look has given; it reports whether the table may differ.
func (v *vexSource) note(d *vexDocument, source *vex.Source, err error) (changed bool) {
	kept := source
	if source == nil && err != nil {
		kept = v.before(d) // it stays while it is not too old
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	changed = !d.first || source != nil
	d.first = true
	if kept != nil {
		d.source = kept
	}
	switch text := ""; {
	case err != nil:
		text = gate.Printable(gate.Sentence(err), 500)
		if v.problems[d.Name] != text {
			v.m.log.Warn("a VEX source is not renewed, its former statements stay while they are not too old", "source", d.Name, "error", text)
		}
		v.problems[d.Name] = text
	case source != nil:
		delete(v.problems, d.Name)
		if n := source.Document.RefusedCount(); n > 0 {
			v.m.log.Warn("statements of a VEX source do not count", "source", d.Name, "refused", n, "taken", len(source.Document.Statements))
		}
	}
	return changed
}

// offer makes the table once every source was tried: at a start no statement is withdrawn
// because its document was not read yet.
func (v *vexSource) offer() {
	v.mu.Lock()
	t := &vex.Table{Sources: []vex.Source{}}
	for _, d := range v.list {
		if !d.first {
			v.mu.Unlock()
			return
		}
		source := d.source
		if source == nil && d.images != "" {
			source = &vex.Source{Name: d.Name, Repositories: d.Repositories, MaxAge: d.MaxAge, Trusted: d.trusted()}
		}
		if source != nil {
			one := *source
			one.Images = d.images
			t.Sources = append(t.Sources, one)
		}
	}
	v.mu.Unlock()
	v.m.checked(v.m.take(t, false))
}

// read reads the document when it, or its signature, has changed; nil without an error when
// neither has. An older document than the one before counts only where the operator has
// written down its checksum.
func (d *vexDocument) read(ctx context.Context, now time.Time, before *vex.Source) (_ *vex.Source, err error) {
	defer func() {
		if err == nil {
			return
		}
		err = fmt.Errorf("reading %q: %w", d.Path, err)
		if d.feed.url != nil {
			d.feed.forget() // it is asked for again as a whole
		}
	}()
	text, sig, changed, err := d.both(ctx)
	if err != nil || !changed {
		return nil, err
	}
	doc, err := d.trust.Open(text, sig, now)
	if err != nil {
		return nil, err
	}
	if before != nil && d.trust.Key != nil && doc.At.Before(before.Document.At) {
		return nil, fmt.Errorf("it is of %s, older than the one before, of %s: %w", doc.At.Format(time.RFC3339), before.Document.At.Format(time.RFC3339), gate.ErrInvalid)
	}
	sum := sha256.Sum256(text)
	source := &vex.Source{
		Name: d.Name, Repositories: d.Repositories, MaxAge: d.MaxAge, Trusted: d.trusted(), Applications: d.Applications,
		Checksum: gate.Digest("sha256:" + hex.EncodeToString(sum[:])), Document: *doc,
	}
	source.Settle()
	return source, nil
}

// both reads the document and the signature beside it, so that they belong together. There
// need not be one: an envelope holds its own.
func (d *vexDocument) both(ctx context.Context) (text, sig []byte, changed bool, err error) {
	if d.feed.url == nil {
		if !d.feed.stale() && (d.detached == nil || !d.detached.stale()) {
			return nil, nil, false, nil
		}
		d.feed.forget()
	}
	if text, changed, err = d.feed.read(ctx); err != nil || !changed || d.detached == nil {
		return text, nil, changed, err
	}
	d.detached.forget()
	sig, _, err = d.detached.read(ctx)
	if d.feed.url != nil && ctx.Err() == nil || errors.Is(err, os.ErrNotExist) {
		err = nil // then nothing signs it, and it is refused as that
	}
	return text, sig, true, err
}

// trusted is by what the document is known.
func (d *vexDocument) trusted() string {
	if d.Checksum != "" {
		return d.Checksum
	}
	return d.Key
}

// vexStandings is how each source stands: those in force, and those that have a problem.
func (s *Set) vexStandings() []gate.VEXStanding {
	list := []gate.VEXStanding{}
	problems := map[string]string{}
	var configured []*vexDocument
	if v := s.vexing.Load(); v != nil {
		configured = v.list
		v.mu.Lock()
		maps.Copy(problems, v.problems)
		v.mu.Unlock()
	}
	now := s.o.Now()
	if t, _ := s.vex.current(); t != nil {
		for i := range t.Sources {
			src := &t.Sources[i]
			st := gate.VEXStanding{
				Name: src.Name, Author: src.Document.Author, UpdatedAt: src.Document.At, Until: src.Until(), Expired: !now.Before(src.Until()),
				Statements: len(src.Document.Statements), Refused: src.Document.Refused, Problem: problems[src.Name], Images: src.Images != "",
			}
			if src.Document.At.IsZero() { // it has none of its own
				st.Until, st.Expired = time.Time{}, false
			}
			if st.Refused == nil {
				st.Refused = map[string]int{}
			}
			delete(problems, src.Name)
			list = append(list, st)
		}
	}
	for _, c := range configured {
		if text, ok := problems[c.Name]; ok {
			list = append(list, gate.VEXStanding{Name: c.Name, Refused: map[string]int{}, Problem: text})
		}
	}
	return list
}
