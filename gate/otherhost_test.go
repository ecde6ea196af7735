package gate_test

import (
	"context"
	"testing"
	"time"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/gate/lookup"
)

const otherHost = "other.example.com"

// moveHost gives the hub's name to another host, as a reload does.
func (s *site) moveHost(host string) {
	s.t.Helper()
	list := append([]gate.Registry{}, s.Registries.All()...)
	for i := range list {
		if list[i].Name == hub {
			list[i].Host = host
		}
	}
	table, err := gate.NewRegistries(list)
	if err != nil {
		s.t.Fatal(err)
	}
	s.Registries.Replace(table)
}

// TestTagsOfAnotherHost: what was read of one host says nothing about the host
// that has the registry's name now, neither within tags.maxAge nor within
// tags.grace, and whether or not the store has taken it.
func TestTagsOfAnotherHost(t *testing.T) {
	for name, unwritten := range map[string]bool{"recorded": false, "not_recorded": true} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t, month(0))
			l := s.lookup(lookup.Options{})
			d := s.push("team/app", "v1", 1)
			s.event("team/app", "v1", d)
			s.work()
			records, source, first := s.Records, s.Source, s.registry.Host
			if unwritten {
				s.clock.Advance(time.Hour)
				s.Records = refusedWrites{s.store}
			}
			if a := s.ask(l, first+"/team/app:v1"); !a.Permits() {
				t.Fatalf("on the first host: got %+v, want it allowed", a)
			}
			s.Source = downSource{source}
			s.moveHost(otherHost)
			for range 2 { // the first may have begun before it is known that it is silent
				if a := s.ask(l, otherHost+"/team/app:v1"); a.Permits() || a.Digest == d {
					t.Errorf("on the other host, which is silent: got %+v, want a refusal", a)
				}
			}
			s.Source = source // which serves for the other host
			if a := s.ask(l, otherHost+"/team/app:v1"); !a.Permits() {
				t.Errorf("on the other host, which answers: got %+v, want it allowed", a)
			}
			s.Records = records
			if a := s.ask(l, otherHost+"/team/app@"+string(d)); !a.Permits() {
				t.Errorf("by digest: got %+v, want it allowed", a)
			}
		})
	}
}

// TestTagsOfNoKnownHost: what an earlier version has recorded, without a host,
// serves as before.
func TestTagsOfNoKnownHost(t *testing.T) {
	s := newSite(t, month(0))
	l := s.lookup(lookup.Options{})
	d := s.push("team/app", "v1", 1)
	s.event("team/app", "v1", d)
	s.work()
	key := gate.TagKey{Location: gate.Location{Registry: hub, Repository: "team/app"}, Tag: "v1"}
	s.clock.Advance(time.Minute)
	if _, err := s.store.PutTag(s.ctx, key, d, s.clock.Now(), ""); err != nil {
		t.Fatal(err)
	}
	s.Source = downSource{s.Source}
	s.clock.Advance(5 * time.Minute)
	if a := s.ask(l, s.at("team/app", ":v1")); !a.Permits() || len(a.Warnings) != 1 {
		t.Errorf("within the grace: got %+v, want it allowed with a warning", a)
	}
}

// reloading is a registry whose name gets another host while it is read.
type reloading struct {
	gate.Source
	reload func()
}

func (r reloading) Head(ctx context.Context, at gate.Location, tag string) (gate.Digest, error) {
	d, err := r.Source.Head(ctx, at, tag)
	r.reload()
	return d, err
}

// TestReadAcrossAReload: a read that began before its registry got another host
// answers for neither, and is not recorded.
func TestReadAcrossAReload(t *testing.T) {
	s := newSite(t, month(0))
	l := s.lookup(lookup.Options{})
	d := s.push("team/app", "v1", 1)
	s.event("team/app", "v1", d)
	s.work()
	s.clock.Advance(time.Hour)
	first, source := s.registry.Host, s.Source
	s.Source = reloading{source, func() { s.moveHost(otherHost) }}
	if a := s.ask(l, first+"/team/app:v1"); a.Permits() || a.Code != gate.CodeBusy {
		t.Errorf("reloaded meanwhile: got %+v, want BUSY", a)
	}
	s.Source = downSource{source}
	if a := s.ask(l, otherHost+"/team/app:v1"); a.Permits() {
		t.Errorf("on the other host, which is silent: got %+v, want a refusal", a)
	}
}
