package catalog_test

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/store/sqlite"
)

// content is everything that a catalog answers.
type content struct {
	Images  []gate.ListedImage
	Jobs    []gate.Job
	Scanned []gate.Digest
}

// TestFollowedIsRebuilt: whatever happens in the store and however it is cut
// into pages, the catalog that followed answers as one that is built from what
// the store holds now.
func TestFollowedIsRebuilt(t *testing.T) {
	dir := memoryDir(t)
	n := 0
	rapid.Check(t, func(r *rapid.T) {
		n++
		s := newSite(t, sqlite.Options{})
		names := []string{"a", "b", "c"}
		repos := []string{"one", "two"}
		name := func() string { return rapid.SampledFrom(names).Draw(r, "name") }
		where := func() gate.Location { return loc(rapid.SampledFrom(repos).Draw(r, "repository")) }
		// Claims are random, so that a job may be missing.
		end := func(err error) {
			if job, none := s.claim(); none == nil {
				_, ended := s.store.Finish(s.ctx, job.Lease(), gate.Result{Err: err, Final: rapid.Bool().Draw(r, "final"), MaxAttempts: 2})
				s.no(ended)
			}
		}
		r.Repeat(map[string]func(*rapid.T){
			"":      func(*rapid.T) {},
			"image": func(*rapid.T) { s.image(name(), where()) },
			"index": func(*rapid.T) {
				children := names
				if rapid.Bool().Draw(r, "fewer") {
					children = []string{name(), "-" + name()}
				}
				s.index(rapid.SampledFrom([]string{"set", "other"}).Draw(r, "index"), where(), children...)
			},
			"attested": func(*rapid.T) {
				m := gate.Manifest{Digest: digest("set"), Kind: gate.KindIndex, Children: []gate.Child{{Digest: digest("a"), Judged: true}}}
				m.Attestations = []gate.Attestation{{Digest: digest(name()), Subject: digest("a")}}
				s.no(s.store.PutManifest(s.ctx, m))
			},
			"gone": func(*rapid.T) { s.no(s.store.MarkGone(s.ctx, digest(name()), where())) },
			"forgotten": func(*rapid.T) {
				if e := s.record(digest(name())); e.Known() {
					s.no(s.store.Forget(s.ctx, e.Digest, e.Version))
				}
			},
			"no_mapping": func(*rapid.T) {
				key := gate.TagKey{Location: where(), Tag: "v1"}
				res, err := s.store.Read(s.ctx, gate.ReadRequest{Tags: []gate.TagKey{key}})
				s.no(err)
				if m, known := res.Tags[key]; known {
					s.no(s.store.DropTag(s.ctx, m))
				}
			},
			"scanned": func(*rapid.T) { s.scanned(digest(name())) },
			"matched": func(*rapid.T) {
				if d := digest(name()); s.record(d).InventoryID != "" {
					s.matched(d, rapid.SampledFrom(gate.Severities()).Draw(r, "severity"))
				}
			},
			"verdict": func(*rapid.T) {
				s.verdict(digest(name()), where(), rapid.SampledFrom([]gate.Outcome{"allow", "warn", "deny", "none"}).Draw(r, "outcome"))
			},
			"unassessable": func(*rapid.T) {
				s.no(s.store.PutUnassessable(s.ctx, digest(name()), 1, "no Linux"))
			},
			"tag":     func(*rapid.T) { s.tag(where(), rapid.SampledFrom([]string{"v1", "v2"}).Draw(r, "tag"), digest(name())) },
			"no_tag":  func(*rapid.T) { s.tag(where(), "v1", "") },
			"dirty":   func(*rapid.T) { s.no(s.store.MarkDirty(s.ctx, gate.TagKey{Location: where(), Tag: "v1"})) },
			"analyse": func(*rapid.T) { s.analysis(digest(name())) },
			"unrecorded": func(*rapid.T) {
				s.enqueue(gate.JobRequest{Kind: gate.JobResolve, Location: where(), Digest: digest("-" + name()), Trigger: gate.TriggerAPI})
			},
			"resolve": func(*rapid.T) {
				s.enqueue(gate.JobRequest{Kind: gate.JobResolve, Location: where(), Digest: digest(name()), Tag: "v1", Trigger: gate.TriggerAPI})
			},
			"done":   func(*rapid.T) { end(nil) },
			"failed": func(*rapid.T) { end(gate.ErrScanFailed) },
			"cancel": func(*rapid.T) {
				if job, none := s.claim(); none == nil {
					_, err := s.store.Cancel(s.ctx, job.ID)
					s.no(err)
				}
			},
			"setting":  func(*rapid.T) { _, _ = s.store.PutSetting(s.ctx, "x", []byte("1"), 0) },
			"catch up": func(*rapid.T) { s.catchUp() },
			"restart":  func(*rapid.T) { s.follow(s.store) },
		})
		s.catchUp()
		followed := s.content()
		s.no(s.catalog.Close())
		s.dir = filepath.Join(dir, fmt.Sprint(n))
		s.no(os.Mkdir(s.dir, 0o700))
		s.catalog = s.open(s.dir, s.store)
		s.catchUp()
		if diff := cmp.Diff(s.content(), followed); diff != "" {
			r.Fatalf("catalog (-rebuilt +followed):\n%s", diff)
		}
		s.no(s.catalog.Close())
		s.no(s.store.Close())
	})
}

func (s *site) content() content {
	s.Helper()
	var all content
	all.Images = s.images(gate.ImageFilter{Limit: gate.MaxPage})
	var err error
	all.Jobs, _, err = s.catalog.Jobs(s.ctx, gate.JobFilter{Limit: gate.MaxPage})
	s.no(err)
	all.Scanned, err = s.catalog.Scanned(s.ctx, "", gate.MaxPage)
	s.no(err)
	return all
}
