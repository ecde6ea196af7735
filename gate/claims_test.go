package gate_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/gate/lookup"
	"github.com/digestgate/digestgate/scanner/registry/fake"
)

// These tests are the ways in which what one tenant pushes could make another's
// digest unusable. Whoever pushes an index writes what it says of its children.

const ociIndexType = "application/vnd.oci.image.index.v1+json"

var (
	victim = gate.Location{Registry: hub, Repository: "team/app"}
	tenant = gate.Location{Registry: hub, Repository: "evil/app"}
)

// claim makes a descriptor that names d as an image; platform may be "".
func claim(d gate.Digest, platform string) map[string]any {
	out := map[string]any{"mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": d, "size": 100}
	if os, arch, ok := strings.Cut(platform, "/"); ok {
		out["platform"] = map[string]any{"os": os, "architecture": arch}
	}
	return out
}

// putIndex stores an index of descriptors whose content need not be there.
func (s *site) putIndex(loc gate.Location, tag string, descriptors ...map[string]any) gate.Digest {
	s.t.Helper()
	body, err := json.Marshal(map[string]any{"schemaVersion": 2, "mediaType": ociIndexType, "manifests": descriptors})
	if err != nil {
		s.t.Fatal(err)
	}
	d, err := s.registry.PutManifest(loc.Repository, tag, "application/json", body) // unchecked
	if err != nil {
		s.t.Fatal(err)
	}
	return d
}

// admitted fails the test unless a digest runs at the victim's location.
func (s *site) admitted(when string, d gate.Digest) {
	s.t.Helper()
	if a := s.ask(s.lookup(lookup.Options{}), s.at(victim.Repository, "@"+string(d))); !a.Permits() {
		s.t.Errorf("%s: got %s (%s), want allowed", when, a.Code, english(a))
	}
}

func (s *site) refused(when, image string, code gate.Code) {
	s.t.Helper()
	if a := s.ask(s.lookup(lookup.Options{}), image); a.Permits() || a.Code != code {
		s.t.Errorf("%s: got %s (%s), want %s", when, a.Code, english(a), code)
	}
}

// TestIndexThatCallsAnIndexAnImage: the other index is nobody's image, whoever
// says so first, and stays what it is.
func TestIndexThatCallsAnIndexAnImage(t *testing.T) {
	for _, platform := range []string{"linux/amd64", ""} {
		for _, where := range []gate.Location{victim, tenant} { // the tenant's repository has it, or has not
			t.Run(fmt.Sprintf("%s_%s", strings.ReplaceAll(platform, "/", "_"), where.Repository), func(t *testing.T) {
				s := newSite(t, month(0))
				d, children := s.pushIndex(victim.Repository, "multi")
				if where == tenant {
					s.pushIndex(tenant.Repository, "copy")
				}
				evil := s.putIndex(tenant, "v1", claim(d, platform))
				s.event(tenant.Repository, "v1", evil)
				s.work()
				if e := s.entry(d); e.Record.Manifest.Kind == gate.KindImage || e.Record.Manifest.Unassessable != "" || e.Job != nil {
					t.Errorf("an index's word is recorded: %+v, job %+v", e.Record.Manifest, e.Job)
				}
				if where == tenant {
					s.refused("the index that claims", s.at(tenant.Repository, "@"+string(evil)), gate.CodeUnassessable)
				}
				s.event(victim.Repository, "multi", d)
				s.work()
				s.admitted("after its push", d)
				if n := s.analyzer.count(); n != len(children) {
					t.Errorf("%d analyses, want %d", n, len(children))
				}
				if use := s.used(); use.Used != int64(len(children)) {
					t.Errorf("%d digests were charged, want %d", use.Used, len(children))
				}
				if a := s.ask(s.lookup(lookup.Options{}), s.at(tenant.Repository, "@"+string(evil))); a.Permits() {
					t.Errorf("the index that claims is admitted")
				}
			})
		}
	}
}

// TestIndexThatNamesWhatIsNotThere: nothing is recorded of a digest that nobody
// has read, and no analysis of it fails before it is pushed.
func TestIndexThatNamesWhatIsNotThere(t *testing.T) {
	s := newSite(t, month(0))
	d := s.push(victim.Repository, "v1", 1)
	evil := s.putIndex(tenant, "v1", claim(d, "linux/amd64"), claim(d, "linux/arm64"))
	for _, how := range []string{"push", "admission", "tag"} {
		switch how {
		case "push":
			s.event(tenant.Repository, "v1", evil)
		case "admission":
			s.ask(s.lookup(lookup.Options{}), s.at(tenant.Repository, "@"+string(evil)))
		case "tag":
			s.ask(s.lookup(lookup.Options{}), s.at(tenant.Repository, ":v1"))
		}
		s.work()
		if e := s.entry(d); e.Record.Known() || e.Job != nil {
			t.Errorf("%s: recorded %+v, job %+v", how, e.Record, e.Job)
		}
	}
	image := s.at(victim.Repository, "@"+string(d))
	s.refused("the first time", image, gate.CodeUnscanned)
	s.work()
	s.admitted("after its first admission", d)
	if locations := s.entry(d).Record.Locations; len(locations) != 1 || locations[0].Location != victim {
		t.Errorf("locations %+v, want only %s", locations, victim)
	}
}

// TestIndexThatNamesAKnownImage: it lies where it was found, not where it is named.
func TestIndexThatNamesAKnownImage(t *testing.T) {
	s := newSite(t, month(0))
	d := s.push(victim.Repository, "v1", 1)
	s.event(victim.Repository, "v1", d)
	s.work()
	before := s.entry(d).Record
	evil := s.putIndex(tenant, "v1", claim(d, "linux/arm64"))
	s.event(tenant.Repository, "v1", evil)
	s.work()
	if after := s.entry(d).Record; len(after.Locations) != 1 || after.Manifest.Platform != before.Manifest.Platform || after.InventoryID != before.InventoryID {
		t.Errorf("was %+v, is %+v", before, after)
	}
	s.push(tenant.Repository, "own", 1) // now it is there
	s.event(tenant.Repository, "v1", evil)
	s.work()
	if after := s.entry(d).Record; len(after.Locations) != 2 {
		t.Errorf("locations %+v, want the tenant's too", after.Locations)
	}
	if n := s.analyzer.count(); n != 1 {
		t.Errorf("%d analyses", n)
	}
}

// TestIndexThatCallsASignatureAnImage: it is not analysed, and stays one.
func TestIndexThatCallsASignatureAnImage(t *testing.T) {
	s := newSite(t, month(0))
	d := s.push(victim.Repository, "v1", 1)
	signature, err := s.registry.PushSignature(victim.Repository, d)
	if err != nil {
		t.Fatal(err)
	}
	evil := s.putIndex(victim, "v2", claim(signature, "linux/amd64"))
	s.event(victim.Repository, "v2", evil)
	s.work()
	if m := s.entry(signature).Record.Manifest; m.Kind != gate.KindSignature || m.Unassessable != "" || s.analyzer.count() != 0 {
		t.Errorf("got %+v and %d analyses", m, s.analyzer.count())
	}
	s.refused("the index", s.at(victim.Repository, "@"+string(evil)), gate.CodeUnassessable)
}

// TestSubjectIsNoTagsWord: a tag of cosign's form is whoever's who pushes it.
func TestSubjectIsNoTagsWord(t *testing.T) {
	s := newSite(t, month(0))
	d := s.push(victim.Repository, "v1", 1)
	signature, err := s.registry.PushSignature(victim.Repository, d)
	if err != nil {
		t.Fatal(err)
	}
	s.event(victim.Repository, fake.CosignTag(gate.Digest("sha256:"+pad(7)), "sig"), signature)
	s.event(victim.Repository, fake.CosignTag(d, "sig"), signature)
	s.work()
	if m := s.entry(signature).Record.Manifest; m.Kind != gate.KindSignature || m.Subject != "" {
		t.Errorf("got %+v", m)
	}
}

// TestAnalysisGoesWhereTheImageIs: an analysis that was asked for where the digest
// never was finds the place that was recorded meanwhile.
func TestAnalysisGoesWhereTheImageIs(t *testing.T) {
	s := newSite(t, month(0))
	d := s.push(victim.Repository, "v1", 1)
	s.analyzer.fail = func(req gate.AnalyzeRequest) error {
		if req.Location == victim {
			return nil
		}
		if _, err := s.store.AddLocation(s.ctx, d, victim); err != nil { // a push of the other tenant
			return err
		}
		return gate.ErrNotFound
	}
	if err := s.store.PutManifest(s.ctx, gate.Manifest{Digest: d, Kind: gate.KindImage, Hashed: true}); err != nil {
		t.Fatal(err)
	}
	if _, _, err := s.store.Enqueue(s.ctx, gate.JobRequest{Kind: gate.JobAnalyze, Location: tenant, Digest: d, Trigger: gate.TriggerPush}); err != nil {
		t.Fatal(err)
	}
	if job := s.work()[string(d)]; job.Attempts != 0 || s.analyzer.count() != 2 {
		t.Errorf("%d analyses and the job %+v, want the second place in one attempt", s.analyzer.count(), job)
	}
	s.admitted("after the analysis", d)
}

// TestChildThatCannotBeReadNow does not hold up its index, and is read later.
func TestChildThatCannotBeReadNow(t *testing.T) {
	s := newSite(t, month(0))
	index, children := s.pushIndex(victim.Repository, "multi")
	s.registry.Fail(fake.Fault{Path: "/v2/**/manifests/" + string(children[1]), Status: 403})
	s.event(victim.Repository, "multi", index)
	jobs := s.work()
	if job := jobs[gate.JobKey(gate.JobResolve, victim, index, "multi")]; job.State != gate.JobDone {
		t.Errorf("the index: %+v", job)
	}
	if job := jobs[gate.JobKey(gate.JobResolve, victim, children[1], "")]; job.State != gate.JobQueued || !strings.Contains(job.Error, "403") {
		t.Errorf("the child that is refused: %+v", job)
	}
	if got := s.entry(children[0]).State(); got != gate.StateScanned {
		t.Errorf("the other child: %s", got)
	}
	if a := s.ask(s.lookup(lookup.Options{}), s.at(victim.Repository, "@"+string(index))); a.Permits() {
		t.Errorf("admitted with a child that was never read")
	}
	s.registry.Reset()
	s.clock.Advance(time.Hour)
	s.work()
	s.admitted("when the child can be read", index)
}

// TestChildWithoutPlatformIsJudged: whatever it says of itself.
func TestChildWithoutPlatformIsJudged(t *testing.T) {
	s := newSite(t, month(0))
	good := s.push(victim.Repository, "", 1)
	config := fake.Blob{MediaType: "application/octet-stream", Content: []byte(`{"os":"linux","architecture":"amd64","rootfs":{"diff_ids":["sha256:` + pad(1) + `"]}}`)}
	layer := fake.Blob{MediaType: "application/vnd.oci.image.layer.v1.tar+gzip", Content: []byte("x")}
	odd, err := s.registry.PutArtifact(victim.Repository, "", fake.Artifact{ArtifactType: "application/vnd.example", Config: config, Layers: []fake.Blob{layer}})
	if err != nil {
		t.Fatal(err)
	}
	artifact, err := s.registry.PutArtifact(victim.Repository, "", fake.Artifact{ArtifactType: "application/vnd.example"})
	if err != nil {
		t.Fatal(err)
	}
	s.matcher.bad[odd] = gate.SeverityCritical
	for child, want := range map[gate.Digest]gate.Code{odd: gate.CodePolicy, artifact: gate.CodeUnassessable} {
		index := s.putIndex(victim, "", claim(child, ""), claim(good, "linux/arm64"))
		s.event(victim.Repository, "", index)
		s.work()
		s.refused("an index with an odd child", s.at(victim.Repository, "@"+string(index)), want)
	}
	index := s.putIndex(victim, "", claim(good, ""))
	s.event(victim.Repository, "", index)
	s.work()
	s.admitted("an index with a good child", index)
}

// TestSecondLookAtFeatures: an index whose child was left out because of its
// os.features (a version before stored it so) is judged by it: CRI-O and most
// versions of containerd do not look at them.
func TestSecondLookAtFeatures(t *testing.T) {
	s := newSite(t, month(0))
	s.Platforms = s.Source.(interface{ Judges(gate.Platform) bool }).Judges
	good, bad := s.push(victim.Repository, "", 1), s.push(victim.Repository, "", 2)
	s.matcher.bad[bad] = gate.SeverityCritical
	featured := claim(bad, "linux/amd64")
	featured["platform"].(map[string]any)["os.features"] = []string{"gpu"}
	index := s.putIndex(victim, "", featured, claim(good, "linux/arm64"))
	stored := gate.Manifest{Digest: index, Kind: gate.KindIndex, Hashed: true, Children: []gate.Child{
		{Digest: bad, Platform: gate.Platform{OS: "linux", Architecture: "amd64"}},
		{Digest: good, Platform: gate.Platform{OS: "linux", Architecture: "arm64"}, Judged: true},
		{Digest: gate.Digest("sha256:" + pad(6)), Platform: gate.Platform{OS: "linux", Architecture: "s390x"}},
	}}
	if err := s.store.PutManifest(s.ctx, stored); err != nil {
		t.Fatal(err)
	}
	for range 3 { // asked for, read, analysed
		if a := s.ask(s.lookup(lookup.Options{}), s.at(victim.Repository, "@"+string(index))); a.Permits() {
			t.Fatalf("by the second look: admitted")
		}
		s.work()
	}
	s.refused("by the second look", s.at(victim.Repository, "@"+string(index)), gate.CodePolicy)

	s.event(victim.Repository, "", index) // reads it: the first look
	s.work()
	for _, c := range s.entry(index).Record.Manifest.Children {
		if want := c.Platform.Architecture != "s390x"; c.Judged != want {
			t.Errorf("%s: judged %v", c.Platform, c.Judged)
		}
	}
	s.refused("by the first look", s.at(victim.Repository, "@"+string(index)), gate.CodePolicy)
}

// TestChildWithAnotherDigest: one that nobody can read spoils an index only where
// a node would choose it, also when its platform is configured later.
func TestChildWithAnotherDigest(t *testing.T) {
	s := newSite(t, month(0))
	good := s.push(victim.Repository, "", 1)
	other := claim(gate.Digest("sha512:"+strings.Repeat("ab", 64)), "linux/s390x")
	index := s.putIndex(victim, "multi", claim(good, "linux/amd64"), other)
	s.event(victim.Repository, "multi", index)
	s.work()
	s.admitted("with a child of no configured platform", index)
	s.Platforms = func(p gate.Platform) bool { return p.Architecture == "s390x" }
	s.refused("when its platform is configured", s.at(victim.Repository, "@"+string(index)), gate.CodeUnassessable)
	s.event(victim.Repository, "multi", index) // and no work fails of it
	for key, job := range s.work() {
		if job.State != gate.JobDone {
			t.Errorf("%s: %+v", key, job)
		}
	}
}

// recordedBefore puts what a version before may have recorded of a digest.
func (s *site) recordedBefore(m gate.Manifest, tried string) {
	s.t.Helper()
	if err := s.store.PutManifest(s.ctx, m); err != nil {
		s.t.Fatal(err)
	}
	if tried != "" {
		if err := s.store.PutUnassessable(s.ctx, m.Digest, 0, tried); err != nil {
			s.t.Fatal(err)
		}
	}
}

// TestReadingCorrectsEarlierMistakes: what a version before recorded on an index's
// or a registry's word is mended by a push, a scan, and by its admission.
func TestReadingCorrectsEarlierMistakes(t *testing.T) {
	mistakes := map[string]struct {
		m     gate.Manifest
		tried string
	}{
		"called_an_image":     {gate.Manifest{Kind: gate.KindImage}, "it is not an image, its kind is \"index\""},
		"served_as_something": {gate.Manifest{Kind: gate.KindArtifact, Unassessable: "it is a Docker schema 1 manifest"}, ""},
		"found_too_large":     {gate.Manifest{Kind: gate.KindImage}, "a manifest of 1000000000 bytes is over the limit"},
		"taken_for_another":   {gate.Manifest{Kind: gate.KindArtifact}, ""},
	}
	repairs := map[string]func(s *site, d gate.Digest){
		"push_of_the_digest": func(s *site, d gate.Digest) { s.event(victim.Repository, "", d) },
		"push_of_the_tag":    func(s *site, d gate.Digest) { s.event(victim.Repository, "v1", "") },
		"scan": func(s *site, d gate.Digest) {
			if _, err := s.Scan(s.ctx, s.at(victim.Repository, "@"+string(d)), false); err != nil {
				s.t.Fatal(err)
			}
		},
		"forced_scan_of_the_tag": func(s *site, d gate.Digest) {
			if _, err := s.Scan(s.ctx, s.at(victim.Repository, ":v1"), true); err != nil {
				s.t.Fatal(err)
			}
		},
		"admission": func(s *site, d gate.Digest) {
			s.refused("before it is read again", s.at(victim.Repository, "@"+string(d)), gate.CodeUnassessable)
		},
		"admission_of_the_tag": func(s *site, d gate.Digest) {
			s.refused("before it is read again", s.at(victim.Repository, ":v1"), gate.CodeUnassessable)
		},
	}
	for mistake, was := range mistakes {
		for repair, do := range repairs {
			for _, what := range []string{"index", "image"} {
				t.Run(mistake+"/"+repair+"/"+what, func(t *testing.T) {
					t.Parallel()
					s := newSite(t, month(0))
					var d gate.Digest
					if what == "index" {
						d, _ = s.pushIndex(victim.Repository, "v1")
					} else {
						d = s.push(victim.Repository, "v1", 1)
					}
					m := was.m
					m.Digest = d
					s.recordedBefore(m, was.tried)
					do(s, d)
					s.work()
					s.admitted("after it was read again", d)
					if m := s.entry(d).Record.Manifest; string(m.Kind) != what || m.Unassessable != "" || !m.Hashed {
						t.Errorf("recorded is %+v", m)
					}
				})
			}
		}
	}
}

// TestIndexOfBeforeIsReadAgain: a child without a platform that a version before
// left out counts at once; one that it gave its configuration's platform counts
// when the index was read again, which its admission asks for.
func TestIndexOfBeforeIsReadAgain(t *testing.T) {
	s := newSite(t, month(0))
	good, bad := s.push(victim.Repository, "", 1), s.push(victim.Repository, "", 2)
	s.matcher.bad[bad] = gate.SeverityCritical
	index := s.putIndex(victim, "", claim(bad, ""), claim(good, "linux/arm64"))
	s.event(victim.Repository, "", good)
	s.work()
	for name, left := range map[string]gate.Child{
		"without_platform":       {Digest: bad},
		"with_its_configuration": {Digest: bad, Platform: gate.Platform{OS: "windows", Architecture: "amd64"}},
	} {
		s.recordedBefore(gate.Manifest{Digest: index, Kind: gate.KindIndex, Children: []gate.Child{left,
			{Digest: good, Platform: gate.Platform{OS: "linux", Architecture: "arm64"}, Judged: true}}}, "")
		a := s.ask(s.lookup(lookup.Options{}), s.at(victim.Repository, "@"+string(index)))
		if name == "without_platform" && a.Permits() {
			t.Errorf("%s: admitted", name)
		}
		s.work()
		s.refused(name, s.at(victim.Repository, "@"+string(index)), gate.CodePolicy)
	}
}
