// Package intake takes in the pushes that receivers hand over: it checks their host,
// marks tags as doubtful, queues the work and counts what is saved. It also remembers
// when each registry was last heard of.
package intake

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/digestgate/digestgate/gate"
)

// Store is the part of the store that takes pushes in; see store.Store
// for the methods and their errors.
type Store interface {
	Queue
	Marks
	// Read returns what is known of the pushed digests. gate.ErrStoreUnavailable: the
	// delivery is answered 503, and the registry sends it again.
	Read(ctx context.Context, req gate.ReadRequest) (gate.ReadResult, error)
}

// Queue takes work and counts what is saved.
type Queue interface {
	// Enqueue makes a job durable, or joins the live one. gate.ErrInvalid,
	// gate.ErrDigestInvalid: the event is at fault, 400; gate.ErrBusy: the job has too
	// many tags; gate.ErrStoreUnavailable: 503.
	Enqueue(ctx context.Context, req gate.JobRequest) (gate.Job, gate.Enqueued, error)
	// Avoid counts n requests that cost nothing. An error loses the count only.
	Avoid(ctx context.Context, period string, n int64) error
}

// Marks says what an event has made doubtful.
type Marks interface {
	// MarkDirty says that a tag may have moved, so that admission reads it again.
	// gate.ErrStoreUnavailable: 503.
	MarkDirty(ctx context.Context, key gate.TagKey) error
	// MarkGone says that a digest was deleted at a location; an unknown one is not an
	// error. gate.ErrStoreUnavailable: 503.
	MarkGone(ctx context.Context, d gate.Digest, loc gate.Location) error
}

// Intake turns events of registries into resolve jobs. It makes no registry
// call and believes nothing that an event says (DESIGN.md §5 rule 6). It is
// safe for concurrent use.
type Intake struct {
	registries *gate.Registries
	quota      *gate.Quota
	store      Store
}

// New builds the intake of the configured registries.
func New(registries *gate.Registries, quota *gate.Quota, store Store) *Intake {
	return &Intake{registries: registries, quota: quota, store: store}
}

// Take makes everything that the events ask for durable and says for each what
// became of it, in their order. An event that we do not act on is a result
// with a reason and no error. Repeating a call is harmless.
//
// Errors: ErrRegistryNotTrusted when no registry of that name is configured;
// ErrDigestInvalid for a digest of the wrong shape, in which case nothing was
// done; ErrStoreUnavailable and ErrTimeout, in which case a part may have been
// done and the sender must try again.
func (in *Intake) Take(ctx context.Context, registry string, pushes []gate.Push) ([]gate.PushResult, error) {
	reg, ok := in.registries.ByName(registry)
	if !ok {
		return nil, fmt.Errorf("taking a push for registry %s: %w", gate.Quoted(registry, 100), gate.ErrRegistryNotTrusted)
	}
	results := make([]gate.PushResult, len(pushes))
	for i, p := range pushes {
		if p.Kind != gate.PushIgnored && p.Digest != "" && !p.Digest.Valid() {
			return nil, fmt.Errorf("taking a push of repository %s: digest %s: %w",
				gate.Quoted(p.Repository, 255), gate.Quoted(string(p.Digest), 100), gate.ErrDigestInvalid)
		}
		results[i] = accept(reg, p)
	}
	known, period, err := in.known(ctx, results)
	if err != nil {
		return nil, err
	}
	avoided := int64(0)
	for i := range results {
		if results[i].State == gate.PushNotActedOn {
			continue
		}
		if err := in.take(ctx, pushes[i].Kind, &results[i], known); err != nil {
			return nil, err
		}
		if results[i].State == gate.PushDuplicate {
			avoided++
		}
	}
	if avoided == 0 {
		return results, nil
	}
	// The jobs are durable by now, so that a sender who repeats itself for the
	// sake of this count joins them.
	if err := in.store.Avoid(ctx, period.Key, avoided); err != nil {
		return nil, fmt.Errorf("counting %d avoided scans: %w", avoided, err)
	}
	return results, nil
}

// accept decides from the event and the configuration alone whether an event is
// acted on. State is PushNotActedOn with a reason when it is not, and
// PushQueued otherwise.
func accept(reg gate.Registry, p gate.Push) gate.PushResult {
	r := gate.PushResult{Registry: reg.Name, Repository: gate.Printable(p.Repository, 255), State: gate.PushQueued}
	if p.Digest.Valid() {
		r.Digest = p.Digest
	}
	r.Tag = gate.Printable(p.Tag, 128)
	ignore := func(format string, args ...any) gate.PushResult {
		r.State, r.Reason = gate.PushNotActedOn, fmt.Sprintf(format, args...)
		return r
	}
	switch {
	case p.Kind == gate.PushIgnored:
		return ignore("%s", p.Reason)
	case p.Kind != gate.PushArrived && p.Kind != gate.PushDeleted:
		return ignore("the kind of event %s is not known", gate.Quoted(string(p.Kind), 40))
	case p.Host != "" && !names(reg, p.Host):
		r.Foreign = true
		return ignore("the event names the host %s, which is not registry %q (%s): if it is another name of that registry, add it to its aliases",
			gate.Quoted(p.Host, 100), reg.Name, reg.Host)
	case p.Repository == "":
		return ignore("the event names no repository")
	case !gate.ValidRepository(p.Repository):
		return ignore("%s cannot be the name of a repository", gate.Quoted(p.Repository, 100))
	case !reg.Takes(p.Repository):
		return ignore("repository %q is left out by include and exclude of registry %q", p.Repository, reg.Name)
	}
	if p.Tag == string(p.Digest) {
		r.Tag = "" // how Harbor writes a push by digest
	}
	if r.Tag != "" && !gate.ValidTag(p.Tag) {
		r.Reason = fmt.Sprintf("%s cannot be a tag and is left out", gate.Quoted(p.Tag, 100))
		r.Tag = ""
	}
	if r.Tag == "" && r.Digest == "" {
		if r.Reason == "" {
			return ignore("the event names neither a digest nor a tag")
		}
		return ignore("%s; the event names no digest", r.Reason)
	}
	return r
}

// names reports whether host is the registry's own or an alias: the whole
// host with its port, exactly.
func names(reg gate.Registry, host string) bool {
	host = gate.CanonicalHost(host)
	return host == gate.CanonicalHost(reg.Host) || slices.ContainsFunc(reg.Aliases, func(a string) bool {
		return host == gate.CanonicalHost(a)
	})
}

// known finds the digests of which nothing has to be pulled any more: images
// with an inventory, indexes all of whose judged children have one, and what
// is recorded without being analysed (signatures, SBOMs).
func (in *Intake) known(ctx context.Context, results []gate.PushResult) (map[gate.Digest]bool, gate.Period, error) {
	var ask []gate.Digest
	acted := false
	for _, r := range results {
		if r.State == gate.PushNotActedOn {
			continue
		}
		acted = true
		if r.Digest != "" && !slices.Contains(ask, r.Digest) {
			ask = append(ask, r.Digest)
		}
	}
	if !acted {
		return nil, gate.Period{}, nil // needs no store
	}
	res, err := in.store.Read(ctx, gate.ReadRequest{Digests: ask})
	if err != nil {
		return nil, gate.Period{}, fmt.Errorf("reading what is known of %d digests: %w", len(ask), err)
	}
	var children []gate.Digest
	for _, e := range res.Digests {
		for _, c := range e.Record.Manifest.JudgedDigests() {
			if !slices.Contains(ask, c) && !slices.Contains(children, c) {
				children = append(children, c)
			}
		}
	}
	entries := res.Digests
	if len(children) > 0 {
		more, err := in.store.Read(ctx, gate.ReadRequest{Digests: children})
		if err != nil {
			return nil, gate.Period{}, fmt.Errorf("reading what is known of %d children: %w", len(children), err)
		}
		entries = more.Digests
		for d, e := range res.Digests {
			entries[d] = e
		}
	}
	known := make(map[gate.Digest]bool, len(ask))
	for _, d := range ask {
		known[d] = settled(entries, d)
	}
	return known, in.quota.Period(res.Now), nil
}

func settled(entries map[gate.Digest]gate.Entry, d gate.Digest) bool {
	rec := entries[d].Record
	switch rec.Manifest.Kind {
	case gate.KindUnknown:
		return false
	case gate.KindImage:
		return rec.InventoryID != ""
	case gate.KindIndex:
		for _, c := range rec.Manifest.JudgedDigests() {
			if entries[c].Record.InventoryID == "" {
				return false
			}
		}
	}
	return true
}

// take does what one event asks for. The tag is marked before the job exists:
// the other way round a quick resolve could read the tag first, and the mark
// would stay with nothing queued to clear it.
func (in *Intake) take(ctx context.Context, kind gate.PushKind, r *gate.PushResult, known map[gate.Digest]bool) error {
	loc := gate.Location{Registry: r.Registry, Repository: r.Repository}
	if kind == gate.PushDeleted && r.Digest != "" {
		if err := in.store.MarkGone(ctx, r.Digest, loc); err != nil {
			return fmt.Errorf("marking %s gone from %q: %w", r.Digest.Short(), loc, err)
		}
	}
	if r.Tag != "" {
		key := gate.TagKey{Location: loc, Tag: r.Tag}
		if err := in.store.MarkDirty(ctx, key); err != nil {
			return fmt.Errorf("marking tag %q dirty: %w", key, err)
		}
	}
	req := gate.JobRequest{Kind: gate.JobResolve, Location: loc, Digest: r.Digest, Tag: r.Tag, Trigger: gate.TriggerPush}
	if kind == gate.PushDeleted {
		if r.Tag == "" {
			r.State = gate.PushNotActedOn
			r.Reason = joinReasons(r.Reason, "recorded as gone from this repository; the event names no tag to confirm")
			return nil
		}
		req.Digest = "" // the tag may name another digest by now
	}
	_, outcome, err := in.store.Enqueue(ctx, req)
	if err != nil {
		return fmt.Errorf("queueing the resolve of %s: %w", gate.Quoted(req.Key(), 500), err)
	}
	switch {
	case outcome == gate.EnqueuedJoined:
		r.State = gate.PushDuplicate
	case outcome == gate.EnqueuedLeft:
		r.State = gate.PushNotActedOn
		r.Reason = joinReasons(r.Reason, "a finished job of the same key stands; only a person or the API restarts it")
	case kind == gate.PushArrived && known[r.Digest]:
		r.State = gate.PushKnown
	}
	return nil
}

func joinReasons(reasons ...string) string {
	return strings.Join(slices.DeleteFunc(reasons, func(s string) bool { return s == "" }), "; ")
}
