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

// Records is the part of the store that holds what is known of digests; see
// store.Records, store.Tags and store.Store for the methods.
type Records interface {
	gate.Reader
	// Fence refuses writes of lower epochs from now on. gate.ErrFenced: another worker
	// has the digest, end the job here.
	Fence(ctx context.Context, d gate.Digest, epoch int64) error
	// PutManifest stores what a manifest is. Repeating it is harmless.
	PutManifest(ctx context.Context, m gate.Manifest) error
	// Sight records what was found of a digest in one call: its manifest, that the
	// location serves it, the tags that name it, and the job that is due. Repeating it is
	// harmless. gate.ErrBusy: the job has too many tags, the rest is recorded.
	Sight(ctx context.Context, s gate.Sighting) (gate.Sighted, error)
	// MarkGone records that the digest is not at loc any more; an unknown one is not
	// an error.
	MarkGone(ctx context.Context, d gate.Digest, loc gate.Location) error
	// PutInventory stores an inventory. gate.ErrFenced: another worker has the digest,
	// end the job here.
	PutInventory(ctx context.Context, epoch int64, inv *gate.Inventory) (gate.Written, error)
	// PutUnassessable records that the digest can never be analysed: admission
	// refuses it as UNASSESSABLE. gate.ErrFenced as for PutInventory.
	PutUnassessable(ctx context.Context, d gate.Digest, epoch int64, reason string) error
	// PutTag records what a read of a tag found and returns the mapping that stands,
	// which may be that of a later read.
	PutTag(ctx context.Context, key gate.TagKey, digest gate.Digest, readAt time.Time, host string) (gate.TagMapping, error)
	// Now is the store's clock.
	Now(ctx context.Context) (time.Time, error)
}

// Scheduler is the part of the store that takes new work and accounts for it.
type Scheduler interface {
	// Enqueue makes a job durable, or joins the live one. gate.ErrBusy: the job has
	// too many tags, try again.
	Enqueue(ctx context.Context, req gate.JobRequest) (gate.Job, gate.Enqueued, error)
	// Serve makes the charge of an analysis final; it must succeed before the first
	// byte of a layer is pulled. gate.ErrFenced: the lease is lost, pull nothing.
	Serve(ctx context.Context, lease gate.Lease) error
	// Avoid counts n requests that cost nothing. An error loses the count only.
	Avoid(ctx context.Context, period string, n int64) error
}

// Verdicts keeps the findings and the standing verdicts of known digests current;
// gate/standing implements it. What it is handed was read before; it reads again only
// what the store says has changed since. Errors: those of the store; ErrNotFound when
// the inventory cannot be read any more.
type Verdicts interface {
	// Renew matches the inventory unless its findings are current, and evaluates.
	// Without advisories it evaluates only.
	Renew(ctx context.Context, k gate.Known, o gate.Occasion) error
	// RenewVerdicts evaluates the standing verdict of each location.
	RenewVerdicts(ctx context.Context, k gate.Known, o gate.Occasion) error
}

// Pipeline is the way of an image: resolve, analyze, match, evaluate, record.
// Its methods are safe for concurrent use.
type Pipeline struct {
	Records    Records
	Scheduler  Scheduler
	Source     gate.Source
	Analyzer   gate.Analyzer
	Verdicts   Verdicts
	Registries *gate.Registries
	Quota      *gate.Quota
	// Platforms reports whether a platform is among the configured ones, as of
	// now; nil trusts what was so when an index was read (Child.Judged).
	Platforms func(gate.Platform) bool
	// Beside looks for VEX documents beside an image that was analysed; nil looks for none.
	Beside Beside
	Now    func() time.Time
	Log    *slog.Logger

	// usual is the smoothed duration of an analysis in nanoseconds.
	usual atomic.Int64
}

// Beside finds what is beside an image in its registry.
type Beside interface {
	// Find looks beside an image; before is what was found the last time, nil for nothing.
	// It never fails: a registry that cannot be asked keeps what was found before, as does a
	// place where nothing is looked for.
	Find(ctx context.Context, loc gate.Location, image gate.Digest, before *gate.BesideVEX) *gate.BesideVEX
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
