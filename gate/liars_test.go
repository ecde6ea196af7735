package gate_test

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/gate/intake"
	"github.com/digestgate/digestgate/scanner/registry"
	"github.com/digestgate/digestgate/scanner/registry/fake"
)

// liar is a second registry that has the same images, and does not serve them as
// it should.
type liar struct {
	*site
	liar *fake.Registry
}

const liarName = "liar"

var atLiar = gate.Location{Registry: liarName, Repository: "team/app"}

// newLiar makes a site with two registries. Its analyses begin as real ones do: by
// reading the image at the place that they are told.
func newLiar(t *testing.T) *liar {
	t.Helper()
	s := &liar{site: newSite(t, month(0))}
	var err error
	if s.liar, err = fake.Start(fake.Options{}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.liar.Close() })
	var configs []registry.Config
	var registries []gate.Registry
	for name, host := range map[string]string{hub: s.registry.Host, liarName: s.liar.Host} {
		c := registry.DefaultConfig()
		c.Name, c.Type, c.Host, c.PlainHTTP = name, "harbor", host, true
		configs, registries = append(configs, c), append(registries, c.Registry())
	}
	source, err := registry.New(registry.Options{Registries: configs, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = source.Close() })
	if s.Registries, err = gate.NewRegistries(registries); err != nil {
		t.Fatal(err)
	}
	s.Source = source
	s.analyzer.fail = func(req gate.AnalyzeRequest) error {
		_, err := source.Image(s.ctx, req.Location, req.Digest)
		return err
	}
	return s
}

// both pushes the same image, or index of images, to both registries.
func (s *liar) both(what string) (d gate.Digest) {
	s.t.Helper()
	honest := s.registry
	for _, r := range []*fake.Registry{s.liar, honest} {
		s.registry = r
		if what == "index" {
			d, _ = s.pushIndex(victim.Repository, "v1")
		} else {
			d = s.push(victim.Repository, "v1", 1)
		}
	}
	return d
}

// lied takes the push event of a digest at the liar, and does the work.
func (s *liar) lied(d gate.Digest) map[string]gate.Job {
	s.t.Helper()
	_, err := intake.New(s.Registries, s.Quota, s.store).Take(s.ctx, liarName,
		[]gate.Push{{Kind: gate.PushArrived, Host: s.liar.Host, Repository: victim.Repository, Tag: "v1", Digest: d}})
	if err != nil {
		s.t.Fatal(err)
	}
	jobs := map[string]gate.Job{}
	for range 4 { // as often as it is tried, or waits a little
		for k, j := range s.work() {
			jobs[k] = j
		}
	}
	return jobs
}

// lies are what a registry may answer for a manifest that it has, or not.
func lies() map[string]fake.Fault {
	header := func(name, value string) http.Header { return http.Header{name: {value}} }
	return map[string]fake.Fault{
		"content_type_schema1":     {Header: header("Content-Type", "application/vnd.docker.distribution.manifest.v1+json")},
		"content_type_signed":      {Header: header("Content-Type", "application/vnd.docker.distribution.manifest.v1+prettyjws")},
		"content_type_artifact":    {Header: header("Content-Type", "application/vnd.oci.artifact.manifest.v1+json")},
		"content_type_docker_list": {Header: header("Content-Type", "application/vnd.docker.distribution.manifest.list.v2+json")},
		"content_type_docker":      {Header: header("Content-Type", "application/vnd.docker.distribution.manifest.v2+json")},
		"content_type_index":       {Header: header("Content-Type", "application/vnd.oci.image.index.v1+json")},
		"content_type_manifest":    {Header: header("Content-Type", "application/vnd.oci.image.manifest.v1+json")},
		"content_type_html":        {Header: header("Content-Type", "text/html")},
		"content_length_too_large": {Method: "GET", Header: header("Content-Length", "1000000000"), After: 1, Reset: true},
		"content_length_over_4MiB": {Method: "GET", Header: header("Content-Length", "5000000"), After: 1, Reset: true},
		"content_length_too_small": {Method: "GET", Header: header("Content-Length", "5")},
		"another_digest":           {Header: header("Docker-Content-Digest", "sha256:"+pad(5))},
		"no_digest":                {Header: header("Docker-Content-Digest", "x")},
		"other_bytes":              {Method: "GET", Body: []byte(`{"schemaVersion":2,"manifests":[]}`)},
		"rubbish":                  {Method: "GET", Body: []byte("<html>")},
		"schema1":                  {Method: "GET", Body: []byte(`{"schemaVersion":1,"fsLayers":[]}`)},
		"too_many_bytes":           {Method: "GET", Body: make([]byte, 5<<20), Unsized: true},
		"far_too_many_bytes":       {Method: "GET", Body: make([]byte, 17<<20), Unsized: true},
		"nothing":                  {Method: "GET", Body: []byte(" ")},
		"404":                      {Status: 404},
		"403":                      {Status: 403},
		"412":                      {Status: 412},
		"500":                      {Status: 500},
	}
}

// TestLiesOfOneRegistryConcernNoOther: whatever one registry says of a digest,
// before or after another has it, leaves the digest usable there.
func TestLiesOfOneRegistryConcernNoOther(t *testing.T) {
	for name, fault := range lies() {
		for _, of := range []string{"image", "index", "configuration"} {
			t.Run(name+"/"+of, func(t *testing.T) {
				t.Parallel()
				s := newLiar(t)
				fault, what := fault, of
				if fault.Path = "/v2/**/manifests/*"; of == "configuration" {
					fault.Path, what = "/v2/**/blobs/*", "image"
				}
				d := s.both(what)
				s.liar.Fail(fault)
				s.lied(d)
				if m := s.entry(d).Record.Manifest; m.Unassessable != "" || m.Kind != gate.KindUnknown && string(m.Kind) != what {
					t.Errorf("recorded after the lie: %+v", m)
				}
				s.event(victim.Repository, "v1", d)
				s.work()
				s.admitted("after the push to the honest registry", d)
				s.lied(d)
				s.admitted("after the lie about what is known", d)
				if m := s.entry(d).Record.Manifest; string(m.Kind) != what || m.Unassessable != "" {
					t.Errorf("recorded at the end: %+v", m)
				}
			})
		}
	}
}

// TestLiesDuringAnAnalysis: a registry that begins to lie when the image is to be
// analysed is passed over for another that has it; while that is away the analysis
// waits for it.
func TestLiesDuringAnAnalysis(t *testing.T) {
	for name, fault := range lies() {
		for _, away := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/away_%t", name, away), func(t *testing.T) {
				t.Parallel()
				s := newLiar(t)
				fault := fault
				d := s.both("image")
				image := gate.Manifest{Digest: d, Kind: gate.KindImage, Hashed: true}
				if err := errors.Join(s.store.PutManifest(s.ctx, image), s.addLocation(d, atLiar), s.addLocation(d, victim)); err != nil {
					t.Fatal(err)
				}
				_, _, err := s.store.Enqueue(s.ctx, gate.JobRequest{Kind: gate.JobAnalyze, Location: atLiar, Digest: d, Trigger: gate.TriggerPush})
				if err != nil {
					t.Fatal(err)
				}
				fault.Path = "/v2/**/manifests/*"
				s.liar.Fail(fault)
				if away {
					s.registry.Fail(fake.Fault{Status: 503})
				}
				for range 6 { // more often than an image may be tried
					s.work()
				}
				harmless := slices.Contains([]string{"content_type_html", "content_type_manifest", "no_digest"}, name) // decides nothing
				if e := s.entry(d); away && !harmless && (e.Job == nil || e.Job.State != gate.JobQueued || e.Record.Manifest.Unassessable != "") {
					t.Errorf("while the honest registry is away: %s, job %+v", e.State(), e.Job)
				}
				s.registry.Reset()
				s.clock.Advance(time.Hour)
				s.work()
				s.admitted("after the analysis", d)
			})
		}
	}
}

func (s *liar) addLocation(d gate.Digest, loc gate.Location) error {
	_, err := s.store.AddLocation(s.ctx, d, loc)
	return err
}

// TestPartOfAnIndexIsMissing at one registry: the index is whole at the other, and
// a tag that names it exists.
func TestPartOfAnIndexIsMissing(t *testing.T) {
	s := newLiar(t)
	inner, _ := s.pushIndex(victim.Repository, "")
	outer := s.putIndex(victim, "v1", map[string]any{"mediaType": ociIndexType, "digest": inner, "size": 1})
	honest := s.registry
	s.registry = s.liar
	if again := s.putIndex(victim, "v1", map[string]any{"mediaType": ociIndexType, "digest": inner, "size": 1}); again != outer {
		t.Fatal("the index is another")
	}
	s.registry = honest
	for range 2 {
		jobs := s.lied(outer)
		if job := jobs[gate.JobKey(gate.JobResolve, atLiar, outer, "v1")]; job.State != gate.JobFailed || !strings.Contains(job.Error, "does not have "+string(inner)) {
			t.Errorf("at the registry that has a part of it: %+v", job)
		}
		s.event(victim.Repository, "v1", outer)
		s.work()
		s.admitted("at the registry that has all of it", outer)
	}
	res, err := s.store.Read(s.ctx, gate.ReadRequest{Tags: []gate.TagKey{{Location: atLiar, Tag: "v1"}}})
	if err != nil {
		t.Fatal(err)
	}
	if m := res.Tags[gate.TagKey{Location: atLiar, Tag: "v1"}]; m.Gone {
		t.Errorf("the tag is recorded as gone: %+v", m)
	}
}
