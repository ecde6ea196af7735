package advisory

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/gate/agree"
	"github.com/digestgate/digestgate/scanner/advisory/javaindex"
)

// javaState is how asking the repositories of the index of Java archives goes, for all
// processes; part of [refreshState].
type javaState struct {
	CheckedAt time.Time `json:"checkedAt,omitzero"`
	NextAt    time.Time `json:"nextAt,omitzero"`
	Failures  int       `json:"failures,omitempty"`
	Problem   string    `json:"problem,omitempty"`
	// Settled is the manifest that needs not be downloaded again; Refused says why nothing
	// of it was taken, "" when it was.
	Settled gate.Digest `json:"settled,omitempty"`
	Refused string      `json:"refused,omitempty"`
}

// javaDue reports whether the repositories of the index are to be asked now. Before there
// is advisory data they are not: the database is what is waited for.
func (st refreshState) javaDue(now time.Time, o orders, every time.Duration) bool {
	if now.Before(st.Until) && st.Until.Sub(now) <= refreshLease {
		return false // another process is at it
	}
	return !now.Before(st.Java.NextAt) || st.Java.NextAt.Sub(now) > max(every, lastRetry) || !o.Asked.Equal(st.Served)
}

// refreshJava asks the repositories of the index once, and puts what they offer in force
// with the database that is in force. What failed is in the state: it never keeps newer
// advisories back.
func (r *Refresher) refreshJava(ctx context.Context, st refreshState, o orders, now time.Time) *javaState {
	next := st.Java
	next.CheckedAt = now.UTC()
	err := r.fetchJava(ctx, &next, o, now, !o.Asked.Equal(st.Served))
	if ctx.Err() != nil {
		return nil // cut off by a stop: it counts as none
	}
	wait := r.Every
	if err == nil {
		if next.Failures > 0 {
			r.Log.Info("the repositories of the index of Java archives answer again", "failures", next.Failures)
		}
		next.Failures, next.Problem = 0, ""
	} else {
		problem := gate.Printable(err.Error(), 500)
		if next.Failures == 0 || problem != next.Problem {
			r.Log.Warn("no newer index of Java archives could be had, the present stays", "error", problem)
		}
		next.Failures++
		next.Problem = problem
		wait = refreshState{Failures: next.Failures}.wait(err, r.Every, true)
	}
	next.NextAt = now.Add(wait).UTC()
	return &next
}

func (r *Refresher) fetchJava(ctx context.Context, st *javaState, o orders, now time.Time, again bool) error {
	m := r.Manager
	active, ok, err := m.member.Active(ctx)
	if err != nil {
		return err
	}
	if !ok {
		return fmt.Errorf("there is no advisory data yet that it could be part of: %w", gate.ErrAdvisoriesUnavailable)
	}
	former := manifestOf(active).Java
	settled := st.Settled
	switch {
	case st.Refused != "" && o.acceptedAt().After(st.CheckedAt), st.Refused == "" && former == nil:
		settled = ""
	case settled == "" && former != nil:
		settled = manifestDigest(former.From)
	}
	var s *JavaSource
	d, err := r.JavaMirrors.Fetch(ctx, MirrorRequest{Settled: settled, Again: again, Accept: func(ctx context.Context, d Download) (err error) {
		if s, err = judgedJava(ctx, m.now(), d, former, o.accepts(now, string(d.Manifest))); errors.Is(err, gate.ErrInvalid) {
			st.Settled, st.Refused = d.Manifest, gate.Printable(strings.TrimSuffix(err.Error(), ": "+gate.ErrInvalid.Error()), 500)
		}
		return err
	}})
	switch {
	case err != nil:
		return err
	case d == nil && st.Refused != "":
		return fmt.Errorf("%s: %w", st.Refused, gate.ErrInvalid)
	case d == nil:
		return nil
	}
	defer d.Discard()
	release := m.copies.hold(javaDirName + "/" + s.Digest.Hex())
	defer release()
	if err := m.copies.keepJava(d.Dir, s); err != nil {
		return err
	}
	if err := r.putIndexInForce(ctx, s); err != nil {
		return err
	}
	st.Settled, st.Refused = d.Manifest, ""
	return nil
}

// putIndexInForce has all processes use an index that is kept here.
func (r *Refresher) putIndexInForce(ctx context.Context, s *JavaSource) error {
	m := r.Manager
	for tries := 0; ; tries++ { // other data may come into force at any moment
		active, ok, err := m.member.Active(ctx)
		if err != nil {
			return err
		}
		if !ok {
			return fmt.Errorf("advisory data is not in force any more: %w", gate.ErrAdvisoriesUnavailable)
		}
		err = m.activateJava(ctx, active, s)
		if errors.Is(err, gate.ErrConflict) && tries < 3 {
			continue
		}
		if err != nil {
			return err
		}
		if err := r.tellKept(ctx); err != nil {
			m.log.Debug("looking at the state of advisory data", "error", err)
		}
		m.Follow(ctx)
		return nil
	}
}

// judgedJava checks a download and compares it with the index in force.
func judgedJava(ctx context.Context, now time.Time, d Download, former *JavaSource, accepted bool) (*JavaSource, error) {
	x, err := InspectJava(ctx, d.Dir, now)
	if err != nil {
		return nil, err
	}
	s, err := javaSource(ctx, x)
	if err != nil {
		return nil, err
	}
	s.From = d.from()
	if err := outOfJavaBand(s, former, d.Own); err != nil && !accepted {
		return nil, err
	}
	return s, nil
}

// javaMetadataName is what the metadata of the index is called among the files of a
// generation ([peerFiles]).
const javaMetadataName = "java-" + metadataFile

// obtainJava gets the index of the generation in force: from a process that keeps it, else
// from the repository that it came from.
func (r *Refresher) obtainJava(ctx context.Context, list holders, active agree.Activation, s *JavaSource) error {
	if r.Manager.copies.javaPresent(s) {
		return nil
	}
	var errs []error
	for _, name := range slices.Sorted(maps.Keys(list.Processes)) {
		p := list.Processes[name]
		if name == r.Process || !slices.Contains(p.Kept, active.Content) || p.Address == "" || r.Client == nil {
			continue
		}
		err := r.javaFromPeer(ctx, p.Address, active, s)
		if err == nil {
			r.Log.Info("the index of Java archives was taken from another process", "content", s.Digest.Short(), "process", name)
			return nil
		}
		errs = append(errs, fmt.Errorf("the index of Java archives from %s: %w", name, err))
	}
	if s.From != "" && r.JavaMirrors != nil {
		err := r.javaFromMirror(ctx, s)
		if err == nil {
			r.Log.Info("the index of Java archives was downloaded by its digest", "content", s.Digest.Short(), "origin", s.From)
			return nil
		}
		errs = append(errs, fmt.Errorf("the index of Java archives from %s: %w", s.From, err))
	}
	if len(errs) == 0 {
		return errors.New("no process keeps its index of Java archives, and it is in no repository that is configured here")
	}
	return fmt.Errorf("%w", joined(errs))
}

// javaPeerTimeout is for one index: 3 GB at 5 MB/s.
const javaPeerTimeout = 10 * time.Minute

func (r *Refresher) javaFromPeer(ctx context.Context, address string, active agree.Activation, s *JavaSource) error {
	ctx, cancel := context.WithTimeout(ctx, javaPeerTimeout)
	defer cancel()
	dir, discard, err := r.Manager.copies.unfinished(s.Bytes)
	if err != nil {
		return err
	}
	defer discard()
	for _, f := range []struct {
		name, as string
		most     int64
	}{{javaMetadataName, metadataFile, maxMetadataBytes}, {javaindex.File, javaindex.File, s.Bytes}} {
		if err := r.fetchFile(ctx, address+PeerPath+active.Content.Hex()+"/"+f.name, filepath.Join(dir, f.as), f.most); err != nil {
			return err
		}
	}
	_, err = r.Manager.copies.adoptJava(ctx, dir, time.Time{}, s.Digest, s.From)
	return err
}

func (r *Refresher) javaFromMirror(ctx context.Context, s *JavaSource) error {
	d, err := r.JavaMirrors.Fetch(ctx, MirrorRequest{Digest: manifestDigest(s.From), Again: true})
	if err == nil && d == nil {
		err = gate.ErrNotFound
	}
	if err != nil {
		return err
	}
	defer d.Discard()
	_, err = r.Manager.copies.adoptJava(ctx, d.Dir, time.Time{}, s.Digest, s.From)
	return err
}

// view is the index for people; maxAge is the age from which it is stale, 0 for never.
func (s *JavaSource) view(maxAge time.Duration, now time.Time) *gate.JavaIndex {
	if s == nil {
		return nil
	}
	return &gate.JavaIndex{Digest: s.Digest, UpdatedAt: s.UpdatedAt, From: s.From, Archives: s.Indices, Stale: FreshnessOf(s.UpdatedAt, now, maxAge) == Stale}
}
