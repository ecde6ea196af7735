package advisory

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/gate/agree"
	"github.com/digestgate/digestgate/scanner/advisory/javaindex"
)

// PeerPath is where a process serves the generations that it keeps, on its private
// listener: PeerPath + the content in hexadecimal + "/" + the name of a file.
const PeerPath = "/advisories/generations/"

// peerFiles are the files of a generation, with the most that each may have; of the
// database the manifest says how large it is.
var peerFiles = []struct {
	name string
	most int64
}{{manifestFile, maxManifestBytes}, {metadataFile, maxMetadataBytes}, {databaseFile, maxDatabaseBytes}}

const (
	// maxDatabaseBytes bounds a database whose size is not known: eight times upstream's.
	maxDatabaseBytes = 8 << 30
	// peerTimeout is for one generation: 1 GB at 5 MB/s.
	peerTimeout = 4 * time.Minute
	// servedAtOnce is how many others one process gives its files to at a time; more of
	// them come back.
	servedAtOnce = 2
)

// Serve gives the files of kept generations to other processes. They are not secret, and
// a process that takes them checks their digests.
func (m *Manager) Serve() http.Handler {
	places := make(chan struct{}, servedAtOnce)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		content, name := gate.Digest("sha256:"+r.PathValue("content")), r.PathValue("file")
		known := slices.ContainsFunc(peerFiles, func(f struct {
			name string
			most int64
		}) bool {
			return f.name == name
		})
		place := m.copies.dir(content)
		if java := m.javaServed(content); java != nil && (name == javaindex.File || name == javaMetadataName) {
			place, name, known = m.copies.javaDir(java.Digest), strings.TrimPrefix(name, "java-"), true
		}
		if !known || !content.Valid() || !m.copies.present(content) {
			http.Error(w, "this generation is not kept here", http.StatusNotFound)
			return
		}
		select {
		case places <- struct{}{}:
			defer func() { <-places }()
		default:
			w.Header().Set("Retry-After", "5")
			http.Error(w, "others are being served", http.StatusServiceUnavailable)
			return
		}
		f, err := os.Open(filepath.Join(place, name))
		if err != nil {
			http.Error(w, "this generation is not kept here", http.StatusNotFound)
			return
		}
		defer f.Close()
		info, err := f.Stat()
		if err != nil {
			http.Error(w, "the file cannot be read", http.StatusInternalServerError)
			return
		}
		// The listener's limit is for probes; without another one the connection's stays.
		_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(javaPeerTimeout))
		w.Header().Set("Content-Type", "application/octet-stream")
		w.Header().Set("Content-Length", strconv.FormatInt(info.Size(), 10))
		_, _ = io.Copy(w, f) // the receiver sees what is missing
	})
}

// javaServed is the index of a generation that is kept here, nil for none.
func (m *Manager) javaServed(content gate.Digest) *JavaSource {
	if !content.Valid() {
		return nil
	}
	return javaOf(m.copies.dir(content))
}

// obtain gets the generation in force if its files are not here. An error says why it
// was not tried; what failed is in the log and the status.
func (r *Refresher) obtain(ctx context.Context) error {
	m := r.Manager
	active, ok, err := m.member.Active(ctx)
	if err != nil || !ok || m.kept(ctx, active.Content) != nil {
		return err
	}
	if m.now().Before(r.retryAt[active.Content]) {
		return nil
	}
	err = r.obtainOnce(ctx, active)
	if err == nil {
		r.retryAt, r.tries = nil, nil
		m.obtained()
		m.Follow(ctx)
		return nil
	}
	if ctx.Err() != nil {
		return err
	}
	tries := r.tries[active.Content] + 1
	r.tries = map[gate.Digest]int{active.Content: tries}
	r.retryAt = map[gate.Digest]time.Time{active.Content: m.now().Add(min(5*time.Second<<min(tries, 8), 5*time.Minute))}
	if tries == 1 {
		r.Log.Warn("the advisory data in force could not be had, the former stays in use here", "generation", active.Number, "content", active.Content.Short(), "error", err)
	}
	m.setLacking(fmt.Sprintf("generation %d is in force, and its files could not be had: %v; it is tried again", active.Number, err))
	return nil
}

// obtainOnce asks the processes that keep a generation, and then the repository that it
// came from.
func (r *Refresher) obtainOnce(ctx context.Context, active agree.Activation) error {
	list, _, err := loadHolders(ctx, r.Store)
	if err != nil {
		return err
	}
	wanted := manifestOf(active)
	if err := r.obtainJava(ctx, list, active, wanted.Java); err != nil {
		return err
	}
	if ok, err := r.Manager.copies.fromKept(ctx, wanted); ok || err != nil {
		return err
	}
	errs := r.askPeers(ctx, list, active.Content, wanted.Bytes)
	if errs == nil {
		return nil
	}
	if err := r.recompose(ctx, active); err == nil {
		r.Log.Info("advisory data was composed again of its sources", "generation", active.Number, "content", active.Content.Short())
		return nil
	} else if wanted.Composition > 0 {
		errs = append(errs, err)
	}
	origin := wanted.origin()
	switch {
	case origin == "" || r.Mirrors == nil:
		errs = append(errs, errors.New("it cannot be downloaded by its digest"))
	default:
		err := r.fromMirror(ctx, r.Mirrors, active.Content, origin, wanted.Java)
		if err == nil {
			r.Log.Info("advisory data was downloaded by its digest", "generation", active.Number, "content", active.Content.Short(), "origin", origin)
			return nil
		}
		errs = append(errs, fmt.Errorf("from %s: %w", origin, err))
	}
	return fmt.Errorf("%w", joined(errs))
}

// askPeers takes a content from the first process that keeps it and gives it; nil when
// that is done, else what each of them said, of which there is always something.
func (r *Refresher) askPeers(ctx context.Context, list holders, content gate.Digest, size int64) (errs []error) {
	for _, name := range slices.Sorted(maps.Keys(list.Processes)) {
		p := list.Processes[name]
		if name == r.Process || !slices.Contains(p.Kept, content) || p.Address == "" || r.Client == nil {
			continue
		}
		err := r.fromPeer(ctx, p.Address, content, size)
		if err == nil {
			r.Log.Info("advisory data was taken from another process", "content", content.Short(), "process", name)
			return nil
		}
		errs = append(errs, fmt.Errorf("from %s: %w", name, err))
	}
	if len(errs) == 0 {
		errs = append(errs, errors.New("no process keeps it"))
	}
	return errs
}

// fromPeers is askPeers for a source of a composition. Errors: those of the store, and
// gate.ErrNotFound.
func (r *Refresher) fromPeers(ctx context.Context, content gate.Digest, size int64) error {
	list, _, err := loadHolders(ctx, r.Store)
	if err != nil {
		return err
	}
	if errs := r.askPeers(ctx, list, content, size); errs != nil {
		return fmt.Errorf("%w: %w", joined(errs), gate.ErrNotFound)
	}
	return nil
}

// joined is several errors in one line.
func joined(errs []error) error {
	err := errs[0]
	for _, next := range errs[1:] {
		err = fmt.Errorf("%w; %w", err, next)
	}
	return err
}

// fromMirror downloads the source of a generation by the digest of its manifest.
func (r *Refresher) fromMirror(ctx context.Context, mirrors Mirrors, content gate.Digest, origin string, java *JavaSource) error {
	var db *Database
	d, err := mirrors.Fetch(ctx, MirrorRequest{Digest: manifestDigest(origin), Again: true, Accept: func(ctx context.Context, d Download) (err error) {
		if db, err = Inspect(ctx, d.Dir, time.Time{}); err != nil {
			return err
		}
		if db.join(java); db.Content != content {
			err = fmt.Errorf("the content is %s: %w", db.Content.Short(), gate.ErrInvalid)
		}
		return err
	}})
	if err == nil && d == nil {
		err = gate.ErrNotFound
	}
	if err != nil {
		return err
	}
	defer d.Discard()
	db.Manifest.Sources[0].From = d.from()
	_, err = r.Manager.copies.keep(ctx, db)
	return err
}

// fromPeer takes a generation from the private listener of another process.
func (r *Refresher) fromPeer(ctx context.Context, address string, content gate.Digest, size int64) error {
	ctx, cancel := context.WithTimeout(ctx, peerTimeout)
	defer cancel()
	dir, discard, err := r.Manager.copies.unfinished(size)
	if err != nil {
		return err
	}
	defer discard()
	for _, f := range peerFiles {
		most := f.most
		if f.name == databaseFile && size > 0 {
			most = size
		}
		err := r.fetchFile(ctx, address+PeerPath+content.Hex()+"/"+f.name, filepath.Join(dir, f.name), most)
		if errors.Is(err, gate.ErrNotFound) && f.name == manifestFile {
			continue // a version that wrote none
		}
		if err != nil {
			return err
		}
	}
	db, err := inspectAs(ctx, dir, content)
	if err != nil {
		return err
	}
	_, err = r.Manager.copies.keep(ctx, db)
	return err
}

// fetchFile writes what is at url into a new file of at most so many bytes.
func (r *Refresher) fetchFile(ctx context.Context, url, path string, most int64) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return fmt.Errorf("%w: %w", gate.ErrInvalid, err)
	}
	res, err := r.Client.Do(req)
	if err != nil {
		return fmt.Errorf("%w: %w", gate.ErrRegistryUnavailable, err)
	}
	defer res.Body.Close()
	switch {
	case res.StatusCode == http.StatusNotFound:
		return fmt.Errorf("it is not kept there: %w", gate.ErrNotFound)
	case res.StatusCode != http.StatusOK:
		return fmt.Errorf("it answered %d: %w", res.StatusCode, gate.ErrRegistryUnavailable)
	}
	return writeNew(path, 0o600, func(f io.Writer) error {
		n, err := transfer(ctx, f, io.LimitReader(res.Body, most+1), func(err error) error {
			if ctx.Err() != nil {
				return fmt.Errorf("%w: %w", gate.ErrTimeout, ctx.Err())
			}
			return fmt.Errorf("reading %s: %w: %w", filepath.Base(path), gate.ErrRegistryUnavailable, err)
		})
		if err == nil && n > most {
			err = fmt.Errorf("%s has more than %s: %w", filepath.Base(path), gate.ByteSize(most), gate.ErrTooLarge)
		}
		return err
	})
}
