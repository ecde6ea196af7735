// Package pipeline is the way from a push to an inventory: it resolves what a push
// names, and has images analysed. Findings and verdicts are gate/standing's.
package pipeline

import (
	"context"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/digestgate/digestgate/gate"
)

// Source reads manifests; scanner/registry implements it.
//
// Errors of all methods: ErrNotFound (the registry answered that it does not
// exist), ErrRegistryAuth, ErrRegistryRefused (it refuses this image, and serves
// others), ErrRegistryUnavailable (perhaps in a RetryAfterError), ErrIntegrity, ErrRegistryNotTrusted (no such registry is
// configured), ErrUnassessable (a manifest that no rule covers, over a limit,
// or not parsable) and ErrTimeout. ErrUnassessable follows from bytes that have
// the digest, wherever they were served; every other error is about this location
// and this moment, and says nothing about a digest. That a registry's headers
// contradict the bytes is ErrIntegrity.
type Source interface {
	// Resolve reads the manifest that ref (a digest or a tag) names at loc,
	// checks its hash, classifies it and expands an index (nested ones are
	// flattened; children are listed as the index names them, and not read).
	// What it returns follows from hashed bytes and the configured platforms.
	Resolve(ctx context.Context, loc gate.Location, ref string) (gate.Manifest, error)
	// Head asks which digest a tag names now, without reading the manifest; for
	// a digest, whether it is there. The answer is the registry's word: it
	// counts only for a digest that we have read before.
	Head(ctx context.Context, loc gate.Location, tag string) (gate.Digest, error)
}

// AnalyzeRequest asks for one inventory.
type AnalyzeRequest struct {
	Digest   gate.Digest
	Location gate.Location
	// BeforePull is called once before the first layer byte is pulled, and not
	// at all when every layer was analysed before. Its error ends the analysis.
	// It returns before Analyze does.
	BeforePull func(ctx context.Context) error
	// Progress is called often, from one goroutine at a time; it must be fast.
	Progress func(gate.Progress)
	// Yield is asked between layers; true ends the analysis with ErrYielded.
	// Layers that are done stay in the cache.
	Yield func() bool
}

// Analyzer makes inventories; scanner/analyzer implements it. Cancelling ctx
// kills the child. Errors: those of Source, ErrScanFailed (the image made the
// child crash, hang, run out of memory or answer garbage), ErrUnassessable,
// ErrTooLarge, ErrResource, ErrYielded, and what BeforePull returned.
type Analyzer interface {
	Analyze(ctx context.Context, req AnalyzeRequest) (*gate.Inventory, error)
	// Set identifies the analysers, their versions and their configuration.
	Set() string
}

// Records is the part of the store that holds what is known of digests; see
// store.Records, store.Tags and store.Store for the methods.
type Records interface {
	gate.Reader
	Fence(ctx context.Context, d gate.Digest, epoch int64) error
	PutManifest(ctx context.Context, m gate.Manifest) error
	AddLocation(ctx context.Context, d gate.Digest, loc gate.Location) (added bool, err error)
	MarkGone(ctx context.Context, d gate.Digest, loc gate.Location) error
	PutInventory(ctx context.Context, epoch int64, inv *gate.Inventory) error
	PutUnassessable(ctx context.Context, d gate.Digest, epoch int64, reason string) error
	PutTag(ctx context.Context, key gate.TagKey, digest gate.Digest, readAt time.Time, host string) (gate.TagMapping, error)
	Now(ctx context.Context) (time.Time, error)
}

// Scheduler is the part of the store that takes new work and accounts for it.
type Scheduler interface {
	Enqueue(ctx context.Context, req gate.JobRequest) (gate.Job, gate.Enqueued, error)
	Serve(ctx context.Context, lease gate.Lease) error
	Avoid(ctx context.Context, period string, n int64) error
}

// Verdicts keeps the findings and the standing verdicts of known digests current;
// gate/standing implements it. Errors: those of the store; ErrNotFound when the
// inventory cannot be read any more.
type Verdicts interface {
	// Refresh brings those of a known image up to date with the least work.
	Refresh(ctx context.Context, rec gate.Record, event gate.Event) error
	// Renew matches the stored inventory and evaluates. Without advisories it
	// evaluates only.
	Renew(ctx context.Context, d gate.Digest, event gate.Event) error
	// Judge evaluates the standing verdict of each location.
	Judge(ctx context.Context, d gate.Digest, event gate.Event) error
	// JudgeTagged is Judge when it is known that tags name the digest at loc.
	JudgeTagged(ctx context.Context, d gate.Digest, event gate.Event, loc gate.Location, tags []string) error
}

// Pipeline is the way of an image: resolve, analyze, match, evaluate, record.
// Its methods are safe for concurrent use.
type Pipeline struct {
	Records    Records
	Scheduler  Scheduler
	Source     Source
	Analyzer   Analyzer
	Verdicts   Verdicts
	Registries *gate.Registries
	Quota      *gate.Quota
	// Platforms reports whether a platform is among the configured ones, as of
	// now; nil trusts what was so when an index was read (Child.Judged).
	Platforms func(gate.Platform) bool
	Now       func() time.Time
	Log       *slog.Logger

	// usual is the smoothed duration of an analysis in nanoseconds.
	usual atomic.Int64
}

// Handlers are the pipeline's handlers by kind of job.
func (p *Pipeline) Handlers() map[gate.JobKind]gate.Handler {
	return map[gate.JobKind]gate.Handler{gate.JobResolve: p.resolve, gate.JobAnalyze: p.analyze}
}

// UsualAnalysis is how long an analysis usually takes here, for the texts that
// ask people to wait; ok is false in a process that has not made one yet.
func (p *Pipeline) UsualAnalysis() (usual time.Duration, ok bool) {
	n := p.usual.Load()
	return time.Duration(n), n > 0
}

func (p *Pipeline) tookAnalysis(d time.Duration) {
	// An exponential moving average: eight analyses forget an outlier.
	old := p.usual.Load()
	if old == 0 {
		old = int64(d)
	}
	p.usual.Store(old + (int64(d)-old)/8)
}
