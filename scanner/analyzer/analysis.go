package analyzer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/scanner/analyzer/protocol"
	"github.com/digestgate/digestgate/scanner/registry"
)

const (
	// unpackFactor times scan.maxImageBytes is what an image may unpack to.
	// Public images unpack to two to three times their compressed size.
	unpackFactor = 4
	// layerFactor times its compressed size, or layerLeast if that is more, is what
	// one layer may unpack to. Files pack to a third or a tenth; what packs better
	// than this is a few bytes repeated, and would keep a child busy for as long as
	// scan.timeout lets it. A layer with a sparse file of some GiB passes.
	layerFactor = 64
	layerLeast  = 4 << 30
	// maxFile is the largest single file that is analysed; a sparse one can
	// claim any size. The largest programs and archives seen have 2 GiB.
	maxFile = 4 << 30
	// resultsShare of scan.childMemory, and maxResults, is what the layer results of an
	// image may take as JSON: the merging child holds all of them, unpacked to some
	// three times as much.
	resultsShare = 4
	maxResults   = 256 << 20
	// maxLayers is twice what container runtimes can mount (127 overlays).
	maxLayers = 256
)

// Analyze implements gate.Analyzer. What it adds to the errors named there:
// gate.ErrIntegrity when a layer does not have its digest or does not unpack to
// what the configuration says.
func (a *Analyzer) Analyze(ctx context.Context, req gate.AnalyzeRequest) (*gate.Inventory, error) {
	select {
	case a.slots <- struct{}{}:
		defer func() { <-a.slots }()
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	defer a.launcher.expect()()
	start := time.Now()
	limited, cancel := context.WithTimeoutCause(ctx, a.config.Timeout, errTimeout)
	defer cancel()
	dir, err := os.MkdirTemp(a.work.path, "results-")
	if err != nil {
		return nil, fmt.Errorf("making a directory for the results of layers: %w: %w", err, gate.ErrResource)
	}
	defer os.RemoveAll(dir)
	run := &analysis{a: a, req: req, start: start, dir: dir}
	inv, err := run.do(limited)
	if errors.Is(err, errTimeout) || (err != nil && errors.Is(context.Cause(limited), errTimeout)) {
		err = run.timedOut()
	}
	if err != nil {
		return nil, fmt.Errorf("analyzing %s: %w", req.Digest.Short(), err)
	}
	return inv, nil
}

var errTimeout = errors.New("scan.timeout is over")

// analysis is one run.
type analysis struct {
	a     *Analyzer
	req   gate.AnalyzeRequest
	start time.Time
	dir   string // for the results of layers
	image registry.Image

	groups []group // of its layers
	sizes  []int64 // of the layers, unpacked
	total  int64   // bytes of all results

	mu        sync.Mutex
	progress  gate.Progress
	source    *layerSource // the last one used
	permitted bool         // BeforePull was asked
	pulled    int          // groups of layers
	unpacked  int64        // bytes of all layers
}

func (r *analysis) do(ctx context.Context) (*gate.Inventory, error) {
	r.report(func(p *gate.Progress) { p.Phase = gate.PhaseManifest })
	var err error
	if r.image, err = r.a.source.Image(ctx, r.req.Location, r.req.Digest); err != nil {
		return nil, err
	}
	if err := r.check(); err != nil {
		return nil, err
	}
	results, layers, err := r.layers(ctx)
	if err != nil {
		return nil, err
	}
	inv, err := r.merge(ctx, results)
	if err != nil {
		return nil, err
	}
	inv.Layers = layers
	return inv, nil
}

// check refuses what cannot be analysed before anything is pulled.
func (r *analysis) check() error {
	img := r.image
	if img.Digest != r.req.Digest {
		return fmt.Errorf("the source answered %s: %w", img.Digest.Short(), gate.ErrIntegrity)
	}
	if os := gate.ConfigPlatform(img.Platform).OS; os != "linux" {
		return fmt.Errorf("the image is for %s, only Linux images can be analysed: %w", gate.Quoted(img.Platform.String(), 60), gate.ErrUnassessable)
	}
	if len(img.Layers) > maxLayers {
		return fmt.Errorf("the image has %d layers, more than %d: %w", len(img.Layers), maxLayers, gate.ErrUnassessable)
	}
	var sum int64
	for i, l := range img.Layers {
		if !l.Digest.Valid() || !l.DiffID.Valid() || l.Size < 0 {
			return fmt.Errorf("layer %d is described wrongly: %w", i, gate.ErrUnassessable)
		}
		if strings.Contains(l.MediaType, "encrypted") {
			return fmt.Errorf("layer %d is encrypted: %w", i, gate.ErrUnassessable)
		}
		if sum += l.Size; sum > int64(r.a.config.MaxImageBytes) {
			return fmt.Errorf("the layers have more than scan.maxImageBytes (%s): %w", r.a.config.MaxImageBytes, gate.ErrUnassessable)
		}
	}
	return nil
}

// layers gets the result of every layer, from the cache or from a child.
func (r *analysis) layers(ctx context.Context) ([]*result, []gate.Layer, error) {
	results := make([]*result, len(r.image.Layers))
	r.groups = groups(r.image.Layers)
	known := r.plan()
	layers := make([]gate.Layer, len(results))
	r.sizes = make([]int64, len(results))
	done := map[string][]*result{} // the same group may occur twice
	for k, g := range r.groups {
		name := cacheName("", digests(g.layers), nil)
		got := known[k]
		if got == nil {
			got = done[name]
		}
		if got == nil {
			var at int
			var err error
			if got, at, err = r.read(ctx, r.firstReading(g)); err != nil {
				return nil, nil, explain(fmt.Sprintf("layer %d of %d", r.number(g, at), len(results)), err)
			}
		}
		done[name] = got
		for i := g.first; i < g.end; i++ {
			l := r.image.Layers[i]
			results[i] = got[slices.IndexFunc(g.layers, func(x registry.Layer) bool { return x.Digest == l.Digest })]
			size, err := r.accept(i, results[i])
			if err != nil {
				return nil, nil, err
			}
			r.sizes[i] = size
			r.unpacked += size
			if r.unpacked > r.unpackLimit() {
				return nil, nil, fmt.Errorf("the image unpacks to more than %s: %w", gate.ByteSize(r.unpackLimit()), gate.ErrUnassessable)
			}
			layers[i] = gate.Layer{Digest: l.Digest, DiffID: l.DiffID, Size: l.Size}
			r.report(func(p *gate.Progress) { p.LayersDone = i + 1 })
		}
	}
	return results, layers, nil
}

// firstReading is all of a group.
func (r *analysis) firstReading(g group) reading {
	w := reading{layers: g.layers, limits: make([]int64, len(g.layers)), total: max(r.unpackLimit()-r.unpacked, 1)}
	for i, l := range g.layers {
		w.limits[i] = max(layerFactor*l.Size, layerLeast)
	}
	return w
}

// number says which layer of the image, from 1, is the layer at of a group.
func (r *analysis) number(g group, at int) int {
	for i := g.first; i < g.end; i++ {
		if r.image.Layers[i].Digest == g.layers[at].Digest {
			return i + 1
		}
	}
	return g.first + 1
}

// accept checks what a child said about a layer and counts it. It returns the
// layer's unpacked size in bytes.
func (r *analysis) accept(i int, res *result) (int64, error) {
	if want := r.image.Layers[i].DiffID; res.diffID != want {
		return 0, gate.Permanent(fmt.Errorf("layer %d of %d unpacks to %s, the configuration says %s; no runtime accepts that, build and push the image again: %w",
			i+1, len(r.image.Layers), res.diffID.Short(), want.Short(), gate.ErrIntegrity))
	}
	switch r.total += res.length; {
	case r.total > int64(r.a.config.ChildMemory)/resultsShare:
		return 0, fmt.Errorf("what was found in the layers takes more than %s, a quarter of scan.childMemory: %w",
			r.a.config.ChildMemory/resultsShare, gate.ErrUnassessable)
	case r.total > maxResults:
		return 0, fmt.Errorf("what was found in the layers takes more than %s, the most for an image: %w", gate.ByteSize(maxResults), gate.ErrUnassessable)
	}
	return max(res.size, 0), nil
}

// plan finds what is known of the groups and says how much there is to do.
func (r *analysis) plan() [][]*result {
	results := make([][]*result, len(r.groups))
	known, bytes := 0, int64(0)
	seen := map[string]bool{}
	for i, g := range r.groups {
		name := cacheName("", digests(g.layers), nil)
		if got, ok := r.a.cache.get(r.a.set, digests(g.layers), nil, r.dir); ok {
			results[i] = got
			known += g.end - g.first
		} else if !seen[name] {
			seen[name] = true
			for _, l := range g.layers {
				bytes += l.Size
			}
		}
	}
	r.report(func(p *gate.Progress) {
		*p = gate.Progress{Phase: gate.PhaseLayers, LayersTotal: len(r.image.Layers), LayersKnown: known, BytesTotal: bytes}
	})
	return results
}

func (r *analysis) unpackLimit() int64 { return unpackFactor * int64(r.a.config.MaxImageBytes) }

// read has a child read layers unless somebody else just did: all of them, or the
// entries that are wanted. With an error comes the number of the layer that was read.
func (r *analysis) read(ctx context.Context, w reading) ([]*result, int, error) {
	seen := digests(w.layers)
	release, err := r.a.cache.claim(ctx, r.a.set, seen, w.wanted)
	if err != nil {
		return nil, 0, err
	}
	defer release()
	if got, ok := r.a.cache.get(r.a.set, seen, w.wanted, r.dir); ok {
		return got, 0, nil
	}
	// The first child is always started: an analysis that never gets anywhere
	// would never end.
	if r.pulled > 0 && r.req.Yield != nil && r.req.Yield() {
		return nil, 0, gate.ErrYielded
	}
	if !r.permitted && r.req.BeforePull != nil {
		if err := r.req.BeforePull(ctx); err != nil {
			return nil, 0, err
		}
	}
	r.permitted = true
	got, at, err := r.pull(ctx, w)
	if err != nil {
		return nil, at, err
	}
	r.pulled++
	r.a.cache.put(r.a.set, seen, w.wanted, got)
	return got, 0, nil
}

// pull lets a child analyse layers while they are pulled, one after the other.
func (r *analysis) pull(ctx context.Context, w reading) ([]*result, int, error) {
	s := &session{unit: r.unit(protocol.KindLayer)}
	s.unit.Limits.UncompressedBytes = w.total
	defer func() {
		for _, f := range s.found {
			f.file.Close()
		}
	}()
	for i, l := range w.layers {
		found, err := newResultWriter(r.dir)
		if err != nil {
			return nil, i, err
		}
		read := protocol.Read{UncompressedBytes: min(w.total, w.limits[i])}
		if w.wanted != nil {
			read.Wanted = w.wanted[i]
		}
		s.layers, s.found, s.unit.Reads = append(s.layers, r.layerSource(l)), append(s.found, found), append(s.unit.Reads, read)
	}
	res, err := r.a.launcher.run(ctx, s)
	at := s.next()
	if err != nil {
		return nil, at, s.layers[at].blame(ctx, err)
	}
	for i, l := range s.layers {
		if !l.verified() {
			return nil, i, fmt.Errorf("the analyzer child answered before it had read the layer: %w", gate.ErrScanFailed)
		}
	}
	if len(res.Layers) != len(w.layers) {
		return nil, at, fmt.Errorf("the analyzer child's answer is not the result of a layer: %w", gate.ErrScanFailed)
	}
	if res.Set != r.a.childSet {
		return nil, at, fmt.Errorf("the analyzer child was replaced while digestgate runs; restart it: %w", gate.ErrResource)
	}
	results := make([]*result, len(w.layers))
	for i, head := range res.Layers {
		if !s.found[i].taken || !head.DiffID.Valid() || head.Size < 0 {
			return nil, i, fmt.Errorf("the analyzer child's answer is not the result of a layer: %w", gate.ErrScanFailed)
		}
		if results[i], err = s.found[i].finish(head.DiffID, head.Size); err != nil {
			return nil, i, err
		}
	}
	return results, 0, nil
}

// layerSource pulls a layer for one child.
func (r *analysis) layerSource(l registry.Layer) *layerSource {
	src := &layerSource{digest: l.Digest, size: l.Size,
		pulled: func(n int64) { r.report(func(p *gate.Progress) { p.Bytes += n }) }}
	src.open = func(ctx context.Context) (io.ReadCloser, error) {
		r.mu.Lock()
		r.source = src
		r.mu.Unlock()
		return r.a.source.Blob(ctx, r.req.Location, l.Digest, l.Size)
	}
	return src
}

func (r *analysis) unit(kind protocol.Kind) protocol.Unit {
	c := r.a.config
	return protocol.Unit{
		Version: protocol.Version, Kind: kind, Secrets: secretsUnit(c),
		Limits: protocol.Limits{
			DataBytes: int64(c.ChildMemory) + runtimeReserve,
			FileBytes: min(r.a.launcher.temp, maxFile), TempBytes: r.a.launcher.temp,
			Packages: int(c.ChildMemory) / packageBytes,
			// Two processors' worth: the runtime collects garbage beside the work.
			CPUSeconds: int64(c.Timeout/time.Second)*2 + 10,
		},
	}
}

// packageBytes is what a merge takes for each package that any layer lists: 540,000
// were too many for 1 GiB, 400,000 are not.
const packageBytes = 2560

// runtimeReserve is what a Go program's writable address space exceeds its
// memory by.
const runtimeReserve = 512 << 20

// report changes the progress and tells it.
func (r *analysis) report(change func(*gate.Progress)) {
	r.mu.Lock()
	change(&r.progress)
	p := r.progress
	r.mu.Unlock()
	if r.req.Progress != nil {
		r.req.Progress(p)
	}
}

// timedOut says whose fault it was that the time was not enough.
func (r *analysis) timedOut() error {
	r.mu.Lock()
	src, p := r.source, r.progress
	r.mu.Unlock()
	done := fmt.Sprintf("phase %s, %d of %d layers, %d of %d bytes", p.Phase, p.LayersDone, p.LayersTotal, p.Bytes, p.BytesTotal)
	if p.Phase == gate.PhaseManifest || (p.Phase == gate.PhaseLayers && src != nil && src.slow(r.a.config.Timeout)) {
		return fmt.Errorf("the registry did not deliver within scan.timeout (%s; %s): %w", r.a.config.Timeout, done, gate.ErrRegistryUnavailable)
	}
	return fmt.Errorf("the analysis did not end within scan.timeout (%s; %s): %w", r.a.config.Timeout, done, gate.ErrScanFailed)
}
