package gate

import (
	"context"
	"fmt"
	"slices"
	"strings"
)

// IntakeStore is the part of the store that takes pushes in; see store.Store
// for the methods and their errors.
type IntakeStore interface {
	IntakeQueue
	IntakeMarks
	Read(ctx context.Context, req ReadRequest) (ReadResult, error)
}

// IntakeQueue takes work and counts what is saved.
type IntakeQueue interface {
	Enqueue(ctx context.Context, req JobRequest) (Job, Enqueued, error)
	Avoid(ctx context.Context, period string, n int64) error
}

// IntakeMarks says what an event has made doubtful.
type IntakeMarks interface {
	MarkDirty(ctx context.Context, key TagKey) error
	MarkGone(ctx context.Context, d Digest, loc Location) error
}

// Intake turns events of registries into resolve jobs. It makes no registry
// call and believes nothing that an event says (DESIGN.md §5 rule 6). It is
// safe for concurrent use.
type Intake struct {
	registries *Registries
	quota      *Quota
	store      IntakeStore
}

// NewIntake builds the intake of the configured registries.
func NewIntake(registries *Registries, quota *Quota, store IntakeStore) *Intake {
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
func (in *Intake) Take(ctx context.Context, registry string, pushes []Push) ([]PushResult, error) {
	reg, ok := in.registries.ByName(registry)
	if !ok {
		return nil, fmt.Errorf("taking a push for registry %s: %w", Quoted(registry, 100), ErrRegistryNotTrusted)
	}
	results := make([]PushResult, len(pushes))
	for i, p := range pushes {
		if p.Kind != PushIgnored && p.Digest != "" && !p.Digest.Valid() {
			return nil, fmt.Errorf("taking a push of repository %s: digest %s: %w",
				Quoted(p.Repository, 255), Quoted(string(p.Digest), 100), ErrDigestInvalid)
		}
		results[i] = judge(reg, p)
	}
	known, period, err := in.known(ctx, results)
	if err != nil {
		return nil, err
	}
	avoided := int64(0)
	for i := range results {
		if results[i].State == PushNotActedOn {
			continue
		}
		if err := in.take(ctx, pushes[i].Kind, &results[i], known); err != nil {
			return nil, err
		}
		if results[i].State == PushDuplicate {
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

// judge decides from the event and the configuration alone whether an event is
// acted on. State is PushNotActedOn with a reason when it is not, and
// PushQueued otherwise.
func judge(reg Registry, p Push) PushResult {
	r := PushResult{Registry: reg.Name, Repository: Printable(p.Repository, 255), State: PushQueued}
	if p.Digest.Valid() {
		r.Digest = p.Digest
	}
	r.Tag = Printable(p.Tag, 128)
	ignore := func(format string, args ...any) PushResult {
		r.State, r.Reason = PushNotActedOn, fmt.Sprintf(format, args...)
		return r
	}
	switch {
	case p.Kind == PushIgnored:
		return ignore("%s", p.Reason)
	case p.Kind != PushArrived && p.Kind != PushDeleted:
		return ignore("the kind of event %s is not known", Quoted(string(p.Kind), 40))
	case p.Host != "" && !names(reg, p.Host):
		r.Foreign = true
		return ignore("the event names the host %s, which is not registry %q (%s): if it is another name of that registry, add it to its aliases",
			Quoted(p.Host, 100), reg.Name, reg.Host)
	case p.Repository == "":
		return ignore("the event names no repository")
	case !ValidRepository(p.Repository):
		return ignore("%s cannot be the name of a repository", Quoted(p.Repository, 100))
	case !reg.Takes(p.Repository):
		return ignore("repository %q is left out by include and exclude of registry %q", p.Repository, reg.Name)
	}
	if p.Tag == string(p.Digest) {
		r.Tag = "" // how Harbor writes a push by digest
	}
	if r.Tag != "" && !ValidTag(p.Tag) {
		r.Reason = fmt.Sprintf("%s cannot be a tag and is left out", Quoted(p.Tag, 100))
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
func names(reg Registry, host string) bool {
	host = CanonicalHost(host)
	return host == CanonicalHost(reg.Host) || slices.ContainsFunc(reg.Aliases, func(a string) bool {
		return host == CanonicalHost(a)
	})
}

// known finds the digests of which nothing has to be pulled any more: images
// with an inventory, indexes all of whose judged children have one, and what
// is recorded without being analysed (signatures, SBOMs).
func (in *Intake) known(ctx context.Context, results []PushResult) (map[Digest]bool, Period, error) {
	var ask []Digest
	acted := false
	for _, r := range results {
		if r.State == PushNotActedOn {
			continue
		}
		acted = true
		if r.Digest != "" && !slices.Contains(ask, r.Digest) {
			ask = append(ask, r.Digest)
		}
	}
	if !acted {
		return nil, Period{}, nil // needs no store
	}
	res, err := in.store.Read(ctx, ReadRequest{Digests: ask})
	if err != nil {
		return nil, Period{}, fmt.Errorf("reading what is known of %d digests: %w", len(ask), err)
	}
	var children []Digest
	for _, e := range res.Digests {
		for _, c := range e.Record.Manifest.JudgedDigests() {
			if !slices.Contains(ask, c) && !slices.Contains(children, c) {
				children = append(children, c)
			}
		}
	}
	entries := res.Digests
	if len(children) > 0 {
		more, err := in.store.Read(ctx, ReadRequest{Digests: children})
		if err != nil {
			return nil, Period{}, fmt.Errorf("reading what is known of %d children: %w", len(children), err)
		}
		entries = more.Digests
		for d, e := range res.Digests {
			entries[d] = e
		}
	}
	known := make(map[Digest]bool, len(ask))
	for _, d := range ask {
		known[d] = settled(entries, d)
	}
	return known, in.quota.Period(res.Now), nil
}

func settled(entries map[Digest]Entry, d Digest) bool {
	rec := entries[d].Record
	switch rec.Manifest.Kind {
	case KindUnknown:
		return false
	case KindImage:
		return rec.InventoryID != ""
	case KindIndex:
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
func (in *Intake) take(ctx context.Context, kind PushKind, r *PushResult, known map[Digest]bool) error {
	loc := Location{Registry: r.Registry, Repository: r.Repository}
	if kind == PushDeleted && r.Digest != "" {
		if err := in.store.MarkGone(ctx, r.Digest, loc); err != nil {
			return fmt.Errorf("marking %s gone from %q: %w", r.Digest.Short(), loc, err)
		}
	}
	if r.Tag != "" {
		key := TagKey{Location: loc, Tag: r.Tag}
		if err := in.store.MarkDirty(ctx, key); err != nil {
			return fmt.Errorf("marking tag %q dirty: %w", key, err)
		}
	}
	req := JobRequest{Kind: JobResolve, Location: loc, Digest: r.Digest, Tag: r.Tag, Trigger: TriggerPush}
	if kind == PushDeleted {
		if r.Tag == "" {
			r.State = PushNotActedOn
			r.Reason = joinReasons(r.Reason, "recorded as gone from this repository; the event names no tag to confirm")
			return nil
		}
		req.Digest = "" // the tag may name another digest by now
	}
	_, outcome, err := in.store.Enqueue(ctx, req)
	if err != nil {
		return fmt.Errorf("queueing the resolve of %s: %w", Quoted(req.Key(), 500), err)
	}
	switch {
	case outcome == EnqueuedJoined:
		r.State = PushDuplicate
	case outcome == EnqueuedLeft:
		r.State = PushNotActedOn
		r.Reason = joinReasons(r.Reason, "a finished job of the same key stands; only a person or the API restarts it")
	case kind == PushArrived && known[r.Digest]:
		r.State = PushKnown
	}
	return nil
}

func joinReasons(reasons ...string) string {
	return strings.Join(slices.DeleteFunc(reasons, func(s string) bool { return s == "" }), "; ")
}

// DeliveryState is the state of a delivery from those of its images: the first
// of [PushStates] that occurs, and ignored without any.
func DeliveryState(results []PushResult) PushState {
	for _, s := range PushStates() {
		if slices.ContainsFunc(results, func(r PushResult) bool { return r.State == s }) {
			return s
		}
	}
	return PushNotActedOn
}
