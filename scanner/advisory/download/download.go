package download

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/gate/outbound"
	"github.com/digestgate/digestgate/scanner/registry"
)

// Options are what a [Downloader] is made of.
type Options struct {
	Artifact     Artifact
	Repositories []Repository // asked in this order
	// Registries are the configured registries: one whose host or alias is that of a
	// repository lends it credentials, certificates, tokenHosts, blobHosts, plainHTTP.
	Registries []registry.Config
	// Keys are files with public keys (PEM); with any, only what one of them has signed
	// is taken.
	Keys []string
	// Dir is where downloads are written, on the disk on which they stay: what is handed
	// on can be renamed. Made when it is missing, mode 0700.
	Dir string
	// KeepLayer leaves the layer as it was transferred beside its files, so that another
	// process or a bundle can have it; see [Kept].
	KeepLayer bool
	// Progress is told how far a download is, at most a few times a second, by the
	// goroutine that called Fetch or Take; nil tells nobody.
	Progress func(Progress)
	Log      *slog.Logger     // nil discards
	Now      func() time.Time // nil is time.Now
	// Dialed is told of each connection, Resolver finds addresses; see outbound.Options.
	Dialed   func(target string)
	Resolver *net.Resolver

	free func(dir string) (int64, error) // nil: the file system says it
}

// Request is what [Downloader.Fetch] is asked for. The zero value asks for whatever the
// tags name now.
type Request struct {
	// InForce is the manifest of the data in force; nothing is downloaded when it is the
	// one that is offered.
	InForce gate.Digest
	// Digest asks for exactly this manifest, and no tag; "" asks what the tags name.
	Digest gate.Digest
	// Accept judges what was downloaded before it is handed on: an error that wraps
	// gate.ErrInvalid refuses it, the next repository is asked, and the same manifest is
	// not downloaded again by this Downloader unless Again is set. Any other error ends
	// Fetch. It runs while Fetch does, and may read Candidate.Dir but not keep it. nil
	// accepts all.
	Accept func(ctx context.Context, c *Candidate) error
	// Again also asks mirrors that rest and downloads what was refused before: a person
	// wants it now.
	Again bool
}

// Downloader downloads one artifact. It is safe for concurrent use: what is asked while a
// download runs waits for its end.
type Downloader struct {
	artifact  Artifact
	mirrors   []*mirror
	keys      []key
	dir       string
	keepLayer bool
	space     space
	metrics   metrics
	progress  func(Progress)
	told      time.Time // of the last progress
	phase     Phase     // likewise
	log       *slog.Logger
	now       func() time.Time

	turn    chan struct{} // holds a token while it is free, and guards what follows
	refused map[gate.Digest]error
	handed  map[string]bool // directories of candidates, which are their callers'
}

// New makes a downloader, and Options.Dir. It reads the keys and the files that the
// repositories name; gate.ErrInvalid, gate.ErrResource.
func New(o Options) (*Downloader, error) {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.free == nil {
		o.free = freeBytes
	}
	d := &Downloader{
		artifact: o.Artifact, dir: o.Dir, keepLayer: o.KeepLayer, space: space{o.Dir, o.free}, metrics: newMetrics(o.Artifact.Name),
		progress: o.Progress, log: o.Log, now: o.Now, turn: make(chan struct{}, 1), refused: map[gate.Digest]error{}, handed: map[string]bool{},
	}
	d.turn <- struct{}{}
	var err error
	if d.keys, err = loadKeys(o.Keys); err != nil {
		return nil, err
	}
	if d.mirrors, err = newMirrors(o); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(o.Dir, 0o700); err != nil {
		return nil, diskError("making", o.Dir, err)
	}
	return d, nil
}

// newMirrors makes the repositories, all of one client: what one learns of a host counts
// for the others.
func newMirrors(o Options) ([]*mirror, error) {
	var configs []registry.Config
	var mirrors []*mirror
	for i, r := range o.Repositories {
		ref, err := parseReference(r.Repository, o.Artifact.Tag)
		if err != nil {
			return nil, fmt.Errorf("repositories[%d]: %w", i, err)
		}
		name := fmt.Sprintf("mirror-%d", i)
		c, err := r.config(name, o.Registries)
		if err != nil {
			return nil, fmt.Errorf("repositories[%d]: %w", i, err)
		}
		plain := c
		plain.Name, plain.PlainHTTP, plain.InsecureSkipVerify, plain.CAFile = name+"-http", true, false, ""
		configs = append(configs, c)
		if r.Insecure {
			configs = append(configs, plain)
		}
		mirrors = append(mirrors, &mirror{
			mirrorOrigin: &mirrorOrigin{
				repository: r, ref: ref,
				secure: gate.Location{Registry: c.Name, Repository: ref.repository},
				plain:  gate.Location{Registry: plain.Name, Repository: ref.repository},
			},
			position: i + 1, state: Mirror{Repository: r.Repository, State: MirrorUnasked},
		})
	}
	client, err := registry.New(registry.Options{
		Registries: configs, Log: o.Log, Now: o.Now, Purpose: outbound.Mirror, Dialed: o.Dialed, Resolver: o.Resolver,
	})
	if err != nil {
		return nil, err
	}
	for _, m := range mirrors {
		m.client = client
	}
	return mirrors, nil
}

// Close releases idle connections.
func (d *Downloader) Close() error {
	if len(d.mirrors) == 0 {
		return nil
	}
	return d.mirrors[0].client.Close()
}

// Mirrors is how the repositories are, in the order of the configuration.
func (d *Downloader) Mirrors() []Mirror {
	list := make([]Mirror, len(d.mirrors))
	for i, m := range d.mirrors {
		list[i] = m.status(d.now())
	}
	return list
}

// Fetch brings what is offered and not in force. The result is nil without an error when
// the first repository that answers offers the manifest in force: nothing is downloaded
// then. Otherwise the candidate is the caller's.
//
// Errors: gate.ErrInvalid, gate.ErrIntegrity, gate.ErrNotFound, gate.ErrRegistryAuth,
// gate.ErrRegistryUnavailable: no repository had usable data, each of them says why; a
// *gate.RetryAfterError in it is the time until the first of them may be asked again.
// gate.ErrResource: this machine lacks space. gate.ErrBusy: another process downloads to
// the same directory. gate.ErrTimeout: ctx has ended; a later Fetch continues. Other
// errors are those of Accept.
func (d *Downloader) Fetch(ctx context.Context, r Request) (*Candidate, error) {
	unlock, err := d.begin(ctx)
	if err != nil {
		return nil, err
	}
	defer unlock()
	var failures []error
	for _, m := range d.mirrors {
		if rest := m.rest(d.now()); rest > 0 && !r.Again {
			problem := m.status(d.now()).Problem
			failures = append(failures, &gate.RetryAfterError{After: rest.Round(time.Second), Err: fmt.Errorf("%s rests: %s: %w", m.Name(), problem, gate.ErrRegistryUnavailable)})
			continue
		}
		c, err := d.from(ctx, m, r)
		switch {
		case err == nil:
			d.succeeded(m, c)
			return c, nil
		case ctx.Err() != nil:
			return nil, fmt.Errorf("downloading %s from %q: %w: %w", d.artifact.Name, m.Name(), gate.ErrTimeout, context.Cause(ctx))
		case !blames(err):
			d.metrics.downloads.WithLabelValues(outcomeFailed).Inc()
			return nil, fmt.Errorf("downloading %s from %q: %w", d.artifact.Name, m.Name(), err)
		}
		d.failed(m, err)
		failures = append(failures, fmt.Errorf("%s: %w", m.Name(), err))
	}
	d.metrics.downloads.WithLabelValues(outcomeFailed).Inc()
	return nil, d.unusable(failures)
}

// blames reports whether an error is about what a repository answers, so that another one
// may do better.
func blames(err error) bool {
	for _, class := range []error{
		gate.ErrInvalid, gate.ErrIntegrity, gate.ErrNotFound, gate.ErrRegistryAuth, gate.ErrRegistryUnavailable, gate.ErrRegistryRefused, gate.ErrRefInvalid, gate.ErrUnassessable,
	} {
		if errors.Is(err, class) {
			return !errors.Is(err, gate.ErrResource)
		}
	}
	return false
}

// from asks one repository.
func (d *Downloader) from(ctx context.Context, m *mirror, r Request) (*Candidate, error) {
	d.tell(Progress{m.Name(), PhaseAsking, 0, 0})
	of := r.Digest
	if of == "" {
		var err error
		if of, err = m.offered(ctx); err != nil {
			return nil, err
		}
		m.offers(of, d.now())
	}
	if of == r.InForce {
		return nil, nil
	}
	if err, ok := d.refused[of]; ok && !r.Again {
		return nil, err
	}
	refused := false
	c, err := d.take(ctx, m, of, m.repository.Own, func(ctx context.Context, c *Candidate) error {
		if r.Accept == nil {
			return nil
		}
		err := r.Accept(ctx, c)
		refused = errors.Is(err, gate.ErrInvalid)
		return err
	})
	if refused {
		err = &refusedError{of, err}
		d.remember(of, err)
	}
	return c, err
}

// remember keeps why a manifest was refused, so that it is not downloaded every few hours.
func (d *Downloader) remember(of gate.Digest, err error) {
	const most = 100 // some weeks of a mirror that is always refused
	if len(d.refused) >= most {
		clear(d.refused)
	}
	d.refused[of] = err
}

func (d *Downloader) succeeded(m *mirror, c *Candidate) {
	if m.works(d.now()) {
		d.log.Info("repository of advisory data is usable again", "mirror", m.Name())
	}
	if c == nil {
		d.metrics.downloads.WithLabelValues(outcomeUnchanged).Inc()
		return
	}
	d.metrics.downloads.WithLabelValues(outcomeNew).Inc()
	d.log.Info("advisory data was downloaded", "artifact", d.artifact.Name, "mirror", m.Name(), "manifest", c.Manifest.Short(), "size", c.LayerBytes, "signedBy", c.SignedBy)
}

func (d *Downloader) failed(m *mirror, err error) {
	until, news := m.fails(err, d.now())
	if news {
		d.log.Warn("repository of advisory data cannot be used", "mirror", m.Name(), "error", oneLine(err), "until", until)
	}
}

// unusable sums up what all repositories have said.
func (d *Downloader) unusable(failures []error) error {
	if len(failures) == 0 {
		return fmt.Errorf("downloading %s: no repository is configured: %w", d.artifact.Name, gate.ErrInvalid)
	}
	texts := make([]string, len(failures))
	for i, f := range failures {
		texts[i] = oneLine(f)
	}
	err := &unusableError{fmt.Sprintf("no repository has usable data of %s: %s", d.artifact.Name, strings.Join(texts, "; ")), failures}
	var first time.Duration
	for _, m := range d.mirrors {
		rest := m.rest(d.now())
		if rest <= 0 {
			return err
		}
		if first == 0 || rest < first {
			first = rest
		}
	}
	return &gate.RetryAfterError{After: first.Round(time.Second), Err: err}
}

// Take brings exactly this manifest from another place than a repository, with the same
// checks; see Request for accept. Errors: those of Fetch, of the one origin.
func (d *Downloader) Take(ctx context.Context, o Origin, of gate.Digest, accept func(context.Context, *Candidate) error) (*Candidate, error) {
	if !of.Valid() {
		return nil, fmt.Errorf("taking %s: %w", gate.Quoted(string(of), 100), gate.ErrDigestInvalid)
	}
	unlock, err := d.begin(ctx)
	if err != nil {
		return nil, err
	}
	defer unlock()
	c, err := d.take(ctx, o, of, false, accept)
	if err != nil {
		return nil, fmt.Errorf("taking %s from %q: %w", d.artifact.Name, o.Name(), err)
	}
	return c, nil
}

// begin waits for the turn, locks the directory against other processes, and clears what
// one that was killed has left.
func (d *Downloader) begin(ctx context.Context) (end func(), err error) {
	select {
	case <-d.turn:
	case <-ctx.Done():
		return nil, fmt.Errorf("waiting for another download: %w: %w", gate.ErrTimeout, context.Cause(ctx))
	}
	path := filepath.Join(d.dir, "."+d.artifact.Name+".lock")
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err == nil {
		if err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
			f.Close()
		}
	}
	switch {
	case errors.Is(err, syscall.EWOULDBLOCK):
		d.turn <- struct{}{}
		return nil, fmt.Errorf("another process downloads %s to %q just now: %w", d.artifact.Name, d.dir, gate.ErrBusy)
	case err != nil:
		d.turn <- struct{}{}
		return nil, diskError("locking", path, err)
	}
	d.told, d.phase = time.Time{}, ""
	d.clear()
	return func() {
		f.Close() // which unlocks
		d.turn <- struct{}{}
	}, nil
}

// clear removes directories that no process works on.
func (d *Downloader) clear() {
	left, err := filepath.Glob(filepath.Join(d.dir, importPrefix+d.artifact.Name+"-*"))
	if err != nil {
		return
	}
	for _, dir := range left {
		if !d.handed[dir] {
			_ = os.RemoveAll(dir)
		}
	}
}

// tellEvery bounds how often progress is told, except at the beginning of a phase.
const tellEvery = 300 * time.Millisecond

func (d *Downloader) tell(p Progress) {
	now := d.now()
	if d.progress == nil || p.Phase == d.phase && now.Sub(d.told) < tellEvery {
		return
	}
	d.told, d.phase = now, p.Phase
	d.progress(p)
}
