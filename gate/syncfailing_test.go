package gate_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/digestgate/digestgate/gate"
	registrysync "github.com/digestgate/digestgate/gate/sync"
	"github.com/digestgate/digestgate/scanner/registry/fake"
)

func TestSyncOfAFailingRegistry(t *testing.T) {
	s := newSyncSite(t)
	s.push("team/app", "v1", 1)
	s.registry.Fail(fake.Fault{Path: "/v2/**", Status: http.StatusTooManyRequests, Header: http.Header{"Retry-After": {"120"}}})
	st := s.sync()
	if wait := st.NextTry.Sub(s.clock.Now()); st.Phase != registrysync.Waiting || wait < 100*time.Second || wait > 121*time.Second || !strings.Contains(st.Error, "429") {
		t.Errorf("while the registry asks to wait: %+v", st)
	}
	s.registry.Reset()
	s.clock.Advance(time.Minute)
	s.sync()
	if n := len(s.registry.Requests()); n != 0 {
		t.Errorf("%d requests during the pause", n)
	}

	// Without a stated wait it grows.
	down := &scriptedSource{Source: unlisted{s.Source.(registrysync.Source)}}
	replica := s.replica(down, nil)
	s.clock.Advance(2 * time.Minute)
	for _, want := range []time.Duration{time.Minute, 2 * time.Minute, 4 * time.Minute, 8 * time.Minute, 15 * time.Minute, 15 * time.Minute} {
		s.step(replica)
		if got := s.status().NextTry.Sub(s.clock.Now()); got != want {
			t.Errorf("rests %s, want %s", got, want)
		}
		s.clock.Advance(want)
	}
	source := &scriptedSource{Source: up{s.Source.(registrysync.Source)}}
	s.step(s.replica(source, nil))
	if st := s.status(); st.Phase != registrysync.Done || st.Error != "" || st.Counts.Queued != 1 {
		t.Errorf("after the outage: %+v", st)
	}
}

// unlisted is a registry that is down.
type unlisted struct{ registrysync.Source }

func (unlisted) Repositories(context.Context, string) (gate.RepositoryList, error) {
	return gate.RepositoryList{}, fmt.Errorf("connection refused: %w", gate.ErrRegistryUnavailable)
}

// up names one repository and says its tag, whatever the client's pauses.
type up struct{ registrysync.Source }

func (up) Repositories(context.Context, string) (gate.RepositoryList, error) {
	return gate.RepositoryList{Names: []string{"team/app"}, Complete: true}, nil
}

func (up) Tags(context.Context, gate.Location) (gate.TagList, error) {
	return gate.TagList{Complete: true, Tags: []gate.ListedTag{{Tag: "v1", Digest: fake.DigestOf([]byte("x"))}}}, nil
}

func TestSyncPassesBrokenRepositories(t *testing.T) {
	for name, err := range map[string]error{
		"refused": gate.ErrRegistryAuth, "failing": gate.ErrRegistryUnavailable, "oversize": gate.ErrTooLarge,
	} {
		t.Run(name, func(t *testing.T) {
			s := newSyncSite(t)
			for n, repo := range []string{"a/a", "b/b", "c/c"} {
				s.push(repo, "v1", uint64(n))
			}
			source := &scriptedSource{Source: s.Source.(registrysync.Source)}
			source.tags = func(loc gate.Location) (gate.TagList, error) {
				if loc.Repository == "b/b" {
					return gate.TagList{}, err
				}
				return source.Source.Tags(s.ctx, loc)
			}
			s.step(s.replica(source, nil))
			st := s.status()
			if st.Phase != registrysync.Done || st.Counts.Problems != 1 || st.Counts.Queued != 2 || !strings.Contains(st.Error, "b/b") {
				t.Errorf("run: %+v", st)
			}
			// What did not answer is looked at again before the next full run.
			s.clock.Advance(time.Hour + time.Second)
			s.step(s.syncer)
			if again := s.status().Full; again != errors.Is(err, gate.ErrRegistryUnavailable) {
				t.Errorf("full again after an hour: %t", again)
			}
		})
	}
	t.Run("all_of_them", func(t *testing.T) {
		s := newSyncSite(t)
		s.push("a/a", "v1", 1)
		source := &scriptedSource{Source: s.Source.(registrysync.Source)}
		source.tags = func(gate.Location) (gate.TagList, error) { return gate.TagList{}, gate.ErrRegistryUnavailable }
		for range 8 {
			s.step(s.replica(source, nil))
			if st := s.status(); st.Phase != registrysync.Waiting {
				t.Fatalf("a registry that answers for nothing counts as compared: %+v", st)
			}
			s.clock.Advance(15 * time.Minute)
		}
	})
}
