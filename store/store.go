// Package store is the contract between digestgate and what it remembers:
// scheduler, records, tags, settings and the change feed. store/sqlite and
// store/redis implement it; store/storetest is the conformance suite that both,
// and every decorator, pass.
//
// The rules behind it are DESIGN.md §5. Two of them shape every method:
// scheduler state (jobs, leases, charges, counters) and a digest's record are
// never relied on to change together, nor are two digests; and the store has no
// search, lists come from gate/catalog, which follows the feed.
//
// All methods are safe for concurrent use. Every method may return
// gate.ErrStoreUnavailable, which means that nothing is known about the
// outcome: admission denies with STORE_UNAVAILABLE or uses its bounded local
// copy, a webhook answers 503, a worker tries again. A context that ends reads
// as gate.ErrTimeout.
package store

import (
	"context"
	"time"

	"github.com/digestgate/digestgate/gate"
)

// Store is the whole contract. Callers declare the small part they need.
type Store interface {
	Scheduler
	Charges
	Records
	Tags
	Settings
	Feed

	// Read fetches records, newest analyze jobs and tag mappings in one round
	// trip; it is all that a warm admission costs. The parts are each
	// consistent, not one snapshot.
	Read(ctx context.Context, req gate.ReadRequest) (gate.ReadResult, error)
	// Marks returns the marks of digests, see gate.Mark: the cheap way to see that what Read
	// gave before still stands. A digest that is unknown has none, and one whose record
	// cannot be read need not have one. A mark is not older than what was acknowledged
	// before the call; one that is made while the record is written may stand for a state
	// that never was, and then is no later mark.
	Marks(ctx context.Context, digests []gate.Digest) (map[gate.Digest]gate.Mark, error)
	// Sight records what was found of a digest: what PutManifest, AddLocation, PutTag of
	// each tag and Enqueue do, in this order. It is one call so that a store can make it
	// in one commit or in few round trips; a caller cannot rely on that. When it fails,
	// or the process dies, a part may stand, but never a tag or a job without the record
	// and the location: repeating it does the rest. A sighting without sense is refused
	// as a whole, as those methods refuse it; gate.ErrBusy of the request when everything
	// else is recorded.
	Sight(ctx context.Context, s gate.Sighting) (gate.Sighted, error)
	// Admission reads like Read, Inventory and Findings, over connections of
	// its own: a review never waits for background work.
	Admission() gate.Reader
	// Now is the store's clock, the only one that leases, tags and limits use.
	Now(ctx context.Context) (time.Time, error)
	// Check proves that the store accepts reads and durable writes; readiness
	// uses it.
	Check(ctx context.Context) error
	// Close ends background work and releases the store. Calls that wait or
	// come later answer gate.ErrStoreUnavailable; closing again does nothing.
	Close() error
}

// Scheduler is the queue: one live job per key, leases, attempts, priorities.
type Scheduler interface {
	// Enqueue makes the request durable before it returns. A request for a key that has
	// a live job joins it: a more urgent trigger raises its priority, its tags are
	// added, Force is kept if either has it, and a running job is marked to run again
	// when the request brings a tag that it may not have read (see gate.Job.Again). A
	// finished job is started again by any trigger except: failed, by an admission miss
	// only after gate.AdmissionRestart; cancelled, only by gate.TriggerAPI and, for
	// resolve jobs, by a push. A done job is always started again: who asks for an
	// analysis without Force has seen that the record has no inventory, which the
	// scheduler cannot know. A job that is started again has a new id and keeps the
	// tags that a failed or cancelled one left unconfirmed. Errors: gate.ErrInvalid,
	// gate.ErrDigestInvalid and gate.ErrTooLarge for a request without sense;
	// gate.ErrBusy when the job has MaxTags tags. The outcome says which of these
	// happened; the job is the one that stands for the key afterwards.
	Enqueue(ctx context.Context, req gate.JobRequest) (gate.Job, gate.Enqueued, error)

	// Claim leases the next job to the worker, or returns gate.ErrNoJob.
	// It first takes back jobs whose lease has run out (which counts an
	// attempt; at MaxAttempts they fail). The first loss of a job may be its
	// worker's fault, so that it continues at its age; later ones wait.
	//
	// Order: priority; what has not been tried before what has (see
	// TriedBehind); the registry with the fewest running jobs of the requested
	// kinds, of several the one whose turn is longest ago, but after a claim that
	// passed over newcomers the newcomer that came last; within it the same for
	// repositories; then age. A newcomer is a registry without a running job that
	// began to wait after its last turn, while no other one has waited since before
	// that turn. So none of k waiting registries gets less than every k-th claim
	// because another has more jobs, or jobs that take longer. Every class that
	// waits gets at least every tenth claim (of those for the same kinds, and
	// except for gate.ClaimRequest.Yielding); a registry at its limits is passed
	// over and another's job is served, and so is one that rests (see
	// gate.Limits.Rest), however many of its jobs wait. Limits.Concurrency holds for each kind of
	// job separately, so that long analyses do not keep tags from being confirmed;
	// pulls are counted from when a limit is set. An analyze job of a
	// digest that was never charged reserves its charge in the period, or is
	// parked when the limit is reached; parked jobs return to the queue, oldest
	// first, when the period has turned or the limit was raised. A forced
	// repeat is free: the digest was charged before.
	Claim(ctx context.Context, req gate.ClaimRequest) (gate.Job, error)

	// Heartbeat extends the lease and stores the progress. gate.ErrFenced: the
	// lease is lost; gate.ErrCancelled: the job was cancelled. In both cases
	// the holder stops at once and writes nothing more.
	Heartbeat(ctx context.Context, lease gate.Lease, extend time.Duration, p gate.Progress) (gate.Beat, error)

	// Finish ends a claim as gate.Result describes and returns the job as it
	// is now. Attempts are counted here and by the expiry in Claim, so that the
	// first run of a job has none. The result's progress is stored as by a heartbeat.
	// A wait without After follows Backoff, one
	// with it is at most MaxRetryAfter; a counted attempt is repeated after
	// AttemptWait. gate.ErrFenced when the lease is lost, gate.ErrCancelled when the
	// job was cancelled meanwhile (it stays so).
	Finish(ctx context.Context, lease gate.Lease, result gate.Result) (gate.Job, error)

	// Cancel ends a live job whatever it does. A cancelled job stays
	// cancelled until a person or the API asks again. gate.ErrNotFound for an
	// unknown id, gate.ErrConflict for a job that has ended.
	Cancel(ctx context.Context, id string) (gate.Job, error)

	// Drop removes a job that has ended, and tells the feed: it counts as one that never
	// was, so that any trigger may start another. An unknown id is no error;
	// gate.ErrConflict for a job that has not ended.
	Drop(ctx context.Context, id string) error

	// Job returns one job; gate.ErrNotFound.
	Job(ctx context.Context, id string) (gate.Job, error)
	// Jobs returns many jobs by their ids in one call; those that do not exist
	// are missing from the answer.
	Jobs(ctx context.Context, ids []string) (map[string]gate.Job, error)
}

// Charges is the accounting of the quota. A digest is charged once in the life
// of the installation.
type Charges interface {
	// Serve must succeed before the first layer byte of the leased analysis is
	// pulled, and before its inventory is stored: from then on the charge is
	// kept even if the job fails. A charge whose job ends for good without
	// Serve is given back by Finish, Cancel or the expiry in Claim.
	// gate.ErrFenced when the lease is lost.
	Serve(ctx context.Context, lease gate.Lease) error
	// Avoid counts n requests that were answered without a charge.
	Avoid(ctx context.Context, period string, n int64) error
	// Quota returns what a period has used and avoided.
	Quota(ctx context.Context, period string) (gate.QuotaUse, error)
	// Charged returns the charge of a digest, the zero Charge when it never was
	// charged.
	Charged(ctx context.Context, digest gate.Digest) (gate.Charge, error)
	// ChargesOf returns the charges of many digests in one call; those that never were
	// charged are missing from the answer.
	ChargesOf(ctx context.Context, digests []gate.Digest) (map[gate.Digest]gate.Charge, error)
	// Restore gives a digest that has no charge one that is served, counts it
	// as used in the period, beyond the limit if need be, and reports that it
	// did. A live job of the digest then needs no charge any more; a parked one
	// returns to the queue. A charge that is there stays in its period, with
	// its time; one that is only reserved is served from now on. It is for
	// charges that a shared store has lost while the record of the analysis
	// survived elsewhere. Repeating it is harmless. gate.ErrDigestInvalid;
	// gate.ErrInvalid for a zero time.
	Restore(ctx context.Context, digest gate.Digest, period string, at time.Time) (added bool, err error)
	// NextPull is when the hourly pulls of a registry, limit of them, have room for
	// one more analysis, by the store's clock; the zero time when they have now, and
	// for a registry whose analyses are not counted. It is for texts: a claim looks
	// for itself.
	NextPull(ctx context.Context, registry string, limit int) (time.Time, error)
	// Spend takes one from a named budget of limit per window (fixed windows,
	// aligned to the store's clock) and reports whether it was there. Nothing
	// is taken when it reports false.
	Spend(ctx context.Context, budget string, limit int, window time.Duration) (bool, error)
}

// Records is what is known of a digest. Each method touches one digest.
type Records interface {
	// Fence announces a claim: writes of lower epochs are refused from now on.
	// gate.ErrFenced when a higher epoch is there already.
	Fence(ctx context.Context, d gate.Digest, epoch int64) error
	// PutManifest stores what a manifest is. It depends on the digest only,
	// so that repeating it is harmless and needs no epoch. It corrects what is
	// stored: see gate.Manifest.Hashed and [Body.PutManifest].
	PutManifest(ctx context.Context, m gate.Manifest) error
	// AddLocation records that the digest was seen at loc, and clears Gone.
	// It reports whether the location was new.
	AddLocation(ctx context.Context, d gate.Digest, loc gate.Location) (added bool, err error)
	// MarkGone sets Gone on a location, with the time, which is that of the first call
	// since it was seen there; an unknown digest or location is no error.
	MarkGone(ctx context.Context, d gate.Digest, loc gate.Location) error
	// PutInventory stores a new inventory with its epoch; gate.ErrFenced when
	// a higher epoch has announced itself. The findings of the former
	// inventory stay until PutFindings replaces them.
	PutInventory(ctx context.Context, epoch int64, inv *gate.Inventory) (gate.Written, error)
	// PutUnassessable records that the digest can never be analysed.
	PutUnassessable(ctx context.Context, d gate.Digest, epoch int64, reason string) error
	// PutFindings stores findings in place of those with the id replaces, ""
	// for none. gate.ErrConflict when others are stored, when they were computed
	// from another inventory than the stored one, or from an older generation
	// than the stored findings of the same inventory. Findings that are stored
	// already change nothing. f.Change, unless nil, is appended to the history.
	PutFindings(ctx context.Context, f *gate.Findings, replaces string) (gate.Written, error)
	// PutVerdicts stores standing verdicts of locations; unknown locations are
	// left out. An unchanged verdict (but for its time) writes nothing. One that
	// changes no outcome is not told to the feed (see [Tells]). It
	// returns what stood at each location that it has written, the zero Decision
	// for the first verdict there: of several that write the same, one is told.
	// gate.ErrConflict when the record has another basis by now; the caller reads
	// it again and evaluates again.
	PutVerdicts(ctx context.Context, d gate.Digest, basis gate.Basis, verdicts []gate.Verdict) (replaced []gate.Verdict, err error)
	// History returns what changed on a digest, the newest first. Each change of findings
	// (gate.Findings.Change of PutFindings) and of verdicts (an outcome, a code or the
	// rules) has one entry, written in the same step, at the store's time; MaxHistory of
	// them are kept. What cannot be read is left out. The feed names the entry that was
	// written with a change of a record (gate.Change.History), but for that of verdicts
	// whose outcomes are the same. gate.ErrDigestInvalid.
	History(ctx context.Context, d gate.Digest, q gate.HistoryQuery) ([]gate.HistoryEntry, error)
	// Forget removes everything that is stored of a digest but its version, its epoch and
	// its charge: manifest, inventory, findings, locations with their verdicts, history.
	// version is that of the record from which the caller has concluded that it may be
	// forgotten: when another write came first, nothing changes, and the error is
	// gate.ErrConflict. The digest counts as unknown until it is written again (see
	// gate.Record.Forgotten); claims of before stay fenced, and the next analysis is not
	// charged. The feed is told. Repeating it is harmless.
	Forget(ctx context.Context, d gate.Digest, version int64) error
	// Inventory returns the stored inventory; gate.ErrNotFound.
	Inventory(ctx context.Context, d gate.Digest) (*gate.Inventory, error)
	// Findings returns the stored findings; gate.ErrNotFound.
	Findings(ctx context.Context, d gate.Digest) (*gate.Findings, error)
}

// Tags is what our own reads of tags found.
type Tags interface {
	// PutTag stores the result of a read of a registry at host; readAt is the store's
	// time when the read started. A mapping from a later read stays, unless that read
	// was of another host under the registry's name. The mapping is clean unless it
	// was marked dirty at or after readAt. digest "" records that the tag does not
	// exist. It returns the mapping that stands now.
	PutTag(ctx context.Context, key gate.TagKey, digest gate.Digest, readAt time.Time, host string) (gate.TagMapping, error)
	// MarkDirty says that the tag may have moved. An unknown tag gets a dirty
	// mapping without a digest.
	MarkDirty(ctx context.Context, key gate.TagKey) error
	// DropTag removes a mapping that was read, so that the tag counts as one that was never
	// read. gate.ErrConflict when another one stands by now; an unknown tag is no error.
	DropTag(ctx context.Context, m gate.TagMapping) error
}

// Settings are the few values that all replicas share: the active advisory
// generation, the active policy set, the admin token, the last tick of each
// schedule. Values are at most 1 MiB.
type Settings interface {
	// Setting returns a value and its version; gate.ErrNotFound.
	Setting(ctx context.Context, name string) (value []byte, version int64, err error)
	// PutSetting writes a value if its version is still the given one (0: it
	// does not exist yet) and returns the new version; gate.ErrConflict
	// otherwise. This is what makes ticks and activations happen once.
	PutSetting(ctx context.Context, name string, value []byte, version int64) (int64, error)
}

// Feed is the change feed. Sequence numbers grow; there may be gaps. A change
// is appended after what it names is durable; a crash between the two is
// repaired by the job's next claim, which writes again.
type Feed interface {
	// Changes returns up to limit changes after seq, oldest first, and the sequence to
	// continue from. Changes older than the feed's retention are gone: gate.ErrConflict
	// tells the reader to rebuild from Scan, as it does one that is ahead of the store,
	// or whose number is neither a change's nor the one before: the store has lost the
	// change that it followed last. A job that was removed is told like any change; its
	// reader finds gate.ErrNotFound and drops it.
	Changes(ctx context.Context, after int64, limit int) (changes []gate.Change, next int64, err error)
	// Newest is the sequence of the newest change, from which Changes continues, 0 when
	// nothing was ever changed. It is for readers that have nothing yet that a change could
	// outdate.
	Newest(ctx context.Context) (seq int64, err error)
	// Changed returns a channel that is closed at the next change made through
	// this process (remote changes are found by polling).
	Changed() <-chan struct{}
	// Scan calls fn for everything stored, in no order, and returns the
	// sequence from which Changes continues it without a gap. It is for
	// rebuilding a catalog, not for requests.
	Scan(ctx context.Context, fn ScanFunc) (seq int64, err error)
}

// The names of the vocabulary, for implementations.
type (
	// ScanFunc receives what Scan finds.
	ScanFunc = gate.ScanFunc
	// Item is one thing that Scan finds.
	Item = gate.Item
)
