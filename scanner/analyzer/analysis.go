package analyzer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
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
	// resultsShare of scan.childMemory is what the layer results of an image may
	// take as JSON: the merging child holds all of them, unpacked to some three times
	// as much.
	resultsShare = 4
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

	sizes []int64 // of the layers, unpacked
	total int64   // bytes of all results

	mu        sync.Mutex
	progress  gate.Progress
	source    *layerSource // the last one used
	permitted bool         // BeforePull was asked
	pulled    int          // layers
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
	r.plan(results)
	layers := make([]gate.Layer, len(results))
	r.sizes = make([]int64, len(results))
	done := map[gate.Digest]*result{} // the same layer may occur twice
	for i, l := range r.image.Layers {
		if results[i] == nil {
			results[i] = done[l.Digest]
		}
		if results[i] == nil {
			var err error
			if results[i], err = r.layer(ctx, l, nil, max(r.unpackLimit()-r.unpacked, 1)); err != nil {
				return nil, nil, explain(fmt.Sprintf("layer %d of %d", i+1, len(results)), err)
			}
		}
		done[l.Digest] = results[i]
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
	return results, layers, nil
}

// accept checks what a child said about a layer and counts it. It returns the
// layer's unpacked size in bytes.
func (r *analysis) accept(i int, res *result) (int64, error) {
	if want := r.image.Layers[i].DiffID; res.diffID != want {
		return 0, gate.Permanent(fmt.Errorf("layer %d of %d unpacks to %s, the configuration says %s; no runtime accepts that, build and push the image again: %w",
			i+1, len(r.image.Layers), res.diffID.Short(), want.Short(), gate.ErrIntegrity))
	}
	if r.total += res.length; r.total > int64(r.a.config.ChildMemory)/resultsShare {
		return 0, fmt.Errorf("what was found in the layers takes more than %s, a quarter of scan.childMemory: %w",
			r.a.config.ChildMemory/resultsShare, gate.ErrUnassessable)
	}
	return max(res.size, 0), nil
}

// plan fills in what is known and says how much there is to do.
func (r *analysis) plan(results []*result) {
	known, bytes := 0, int64(0)
	seen := map[gate.Digest]bool{}
	for i, l := range r.image.Layers {
		if b, ok := r.a.cache.get(r.a.set, l.Digest, nil, r.dir); ok {
			results[i] = b
			known++
		} else if !seen[l.Digest] {
			seen[l.Digest] = true
			bytes += l.Size
		}
	}
	r.report(func(p *gate.Progress) {
		*p = gate.Progress{Phase: gate.PhaseLayers, LayersTotal: len(results), LayersKnown: known, BytesTotal: bytes}
	})
}

func (r *analysis) unpackLimit() int64 { return unpackFactor * int64(r.a.config.MaxImageBytes) }

// layer analyses one layer unless somebody else just did: all of it, or the
// entries that are wanted. It may unpack to limit bytes.
func (r *analysis) layer(ctx context.Context, l registry.Layer, wanted []protocol.Wanted, limit int64) (*result, error) {
	release, err := r.a.cache.claim(ctx, r.a.set, l.Digest, wanted)
	if err != nil {
		return nil, err
	}
	defer release()
	if b, ok := r.a.cache.get(r.a.set, l.Digest, wanted, r.dir); ok {
		return b, nil
	}
	// The first layer is always done: an analysis that never gets anywhere
	// would never end.
	if r.pulled > 0 && r.req.Yield != nil && r.req.Yield() {
		return nil, gate.ErrYielded
	}
	if !r.permitted && r.req.BeforePull != nil {
		if err := r.req.BeforePull(ctx); err != nil {
			return nil, err
		}
	}
	r.permitted = true
	unit := r.unit(protocol.KindLayer)
	unit.Wanted, unit.Limits.UncompressedBytes = wanted, min(limit, max(layerFactor*l.Size, layerLeast))
	b, err := r.pull(ctx, l, unit)
	if err != nil {
		return nil, err
	}
	r.pulled++
	r.a.cache.put(r.a.set, l.Digest, wanted, b)
	return b, nil
}

// pull lets a child analyse the layer while it is pulled.
func (r *analysis) pull(ctx context.Context, l registry.Layer, unit protocol.Unit) (*result, error) {
	src := &layerSource{digest: l.Digest, size: l.Size,
		open: func(ctx context.Context) (io.ReadCloser, error) {
			return r.a.source.Blob(ctx, r.req.Location, l.Digest, l.Size)
		},
		pulled: func(n int64) { r.report(func(p *gate.Progress) { p.Bytes += n }) },
	}
	r.mu.Lock()
	r.source = src
	r.mu.Unlock()
	found, err := newResultWriter(r.dir)
	if err != nil {
		return nil, err
	}
	defer found.file.Close()
	res, err := r.a.launcher.run(ctx, &session{unit: unit, layer: src, found: found})
	if err != nil {
		return nil, src.blame(ctx, err)
	}
	switch {
	case !src.verified():
		return nil, fmt.Errorf("the analyzer child answered before it had read the layer: %w", gate.ErrScanFailed)
	case res.Layer == nil || !found.taken || !res.Layer.DiffID.Valid() || res.Layer.Size < 0:
		return nil, fmt.Errorf("the analyzer child's answer is not the result of a layer: %w", gate.ErrScanFailed)
	case res.Set != r.a.childSet:
		return nil, fmt.Errorf("the analyzer child was replaced while digestgate runs; restart it: %w", gate.ErrResource)
	}
	return found.finish(res.Layer.DiffID, res.Layer.Size)
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
