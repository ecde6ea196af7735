package gate_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/gate/lookup"
)

func tooLarge(gate.AnalyzeRequest) error {
	return fmt.Errorf("the layers have more than scan.maxImageBytes: %w", gate.ErrUnassessable)
}

// TestUnassessableIsAnalysedAgainWhenForced: limits change, and a forced scan
// is how an operator says so.
func TestUnassessableIsAnalysedAgainWhenForced(t *testing.T) {
	s := newSite(t, month(0))
	s.analyzer.fail = tooLarge
	d := s.push("team/app", "v1", 1)
	s.event("team/app", "v1", d)
	s.work()
	s.clock.Advance(2 * time.Minute)
	s.ask(s.lookup(lookup.Options{}), s.at("team/app", ":v1")) // reads the tag of a known digest
	s.analyzer.fail = nil
	if _, err := s.Scan(s.ctx, s.at("team/app", ":v1"), true); err != nil {
		t.Fatal(err)
	}
	s.work()
	if e := s.entry(d); e.State() != gate.StateScanned {
		t.Errorf("after a forced scan under a higher limit: got %s (%s), want scanned", e.State(), e.Record.Manifest.Unassessable)
	}
}

// TestRescanNeverHidesTheLastFindings: an analysis that finds a known image
// unassessable (a limit was lowered) leaves what is known in force.
func TestRescanNeverHidesTheLastFindings(t *testing.T) {
	s := newSite(t, month(0))
	d := s.push("team/app", "v1", 1)
	s.event("team/app", "v1", d)
	s.work()
	s.analyzer.set, s.analyzer.fail = "set-2", tooLarge
	s.again(d)
	jobs := s.work()
	if e := s.entry(d); e.State() != gate.StateScanned || s.verdict(d) != gate.OutcomeAllow {
		t.Errorf("after a rescan that failed: got %s with verdict %s, want scanned and allow", e.State(), s.verdict(d))
	}
	if job := jobs[string(d)]; job.State != gate.JobFailed || job.Reason != "unassessable" {
		t.Errorf("the rescan: got %s (%s), want failed (unassessable)", job.State, job.Reason)
	}
}

// TestManifestOfOneRegistryDoesNotSpoilAnothers: what a registry serves instead
// of a known manifest says nothing about the digest.
func TestManifestOfOneRegistryDoesNotSpoilAnothers(t *testing.T) {
	s := newSite(t, month(0))
	d := s.push("team/app", "v1", 1)
	s.event("team/app", "v1", d)
	s.work()
	s.Source = unreadable{s.Source}
	s.event("team/copy", "v1", d)
	s.work()
	if e := s.entry(d); e.State() != gate.StateScanned || e.Record.Manifest.Kind != gate.KindImage {
		t.Errorf("got %s of kind %q (%s), want scanned image", e.State(), e.Record.Manifest.Kind, e.Record.Manifest.Unassessable)
	}
}

// TestIndexCannotRenameWhatIsKnown: an index that lists the digest of another
// index as if it were an image changes nothing about that one.
func TestIndexCannotRenameWhatIsKnown(t *testing.T) {
	s := newSite(t, month(0))
	index, _ := s.pushIndex("team/app", "multi")
	s.event("team/app", "multi", index)
	s.work()
	analyses := s.analyzer.count()
	s.Source = claims{s.Source, index}
	s.event("evil/app", "v1", gate.Digest("sha256:"+pad(8)))
	s.work()
	if e := s.entry(index); e.Record.Manifest.Kind != gate.KindIndex || len(e.Record.Manifest.Children) != 2 || e.Job != nil {
		t.Errorf("the index is now of kind %q with %d children and job %+v", e.Record.Manifest.Kind, len(e.Record.Manifest.Children), e.Job)
	}
	if n := s.analyzer.count(); n != analyses {
		t.Errorf("%d analyses of an index", n-analyses)
	}
}

// unreadable serves rubbish for every manifest.
type unreadable struct{ gate.Source }

func (unreadable) Resolve(context.Context, gate.Location, string) (gate.Manifest, error) {
	return gate.Manifest{}, fmt.Errorf("a manifest over the limit: %w", gate.ErrUnassessable)
}

// claims serves an index that names child as an image.
type claims struct {
	gate.Source
	child gate.Digest
}

func (c claims) Resolve(ctx context.Context, loc gate.Location, ref string) (gate.Manifest, error) {
	if ref != "sha256:"+pad(8) {
		return c.Source.Resolve(ctx, loc, ref)
	}
	return gate.Manifest{Digest: gate.Digest(ref), Kind: gate.KindIndex, Children: []gate.Child{
		{Digest: c.child, Platform: gate.Platform{OS: "linux", Architecture: "amd64"}, Judged: true},
	}}, nil
}

func (c claims) Head(ctx context.Context, loc gate.Location, tag string) (gate.Digest, error) {
	if tag != "v1" {
		return c.Source.Head(ctx, loc, tag)
	}
	return gate.Digest("sha256:" + pad(8)), nil
}
