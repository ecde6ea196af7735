package gate_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/digestgate/digestgate/gate"
	registrysync "github.com/digestgate/digestgate/gate/sync"
)

// compareSync compares the metrics of synchronisations; each line of want is a
// series without the prefix and the registry, in their order.
func (s *syncSite) compareSync(what, want string) {
	s.t.Helper()
	families, err := s.metrics.Gather()
	if err != nil {
		s.t.Fatal(err)
	}
	var got strings.Builder
	for _, f := range families {
		name, ok := strings.CutPrefix(f.GetName(), "digestgate_sync_")
		if !ok {
			continue
		}
		for _, m := range f.GetMetric() {
			more := ""
			for _, l := range m.GetLabel() {
				if l.GetName() != "registry" {
					more = " " + l.GetValue()
				} else if l.GetValue() != hub {
					s.t.Errorf("%s: registry %q", f.GetName(), l.GetValue())
				}
			}
			fmt.Fprintf(&got, "%s%s %.0f\n", name, more, m.GetCounter().GetValue()+m.GetGauge().GetValue())
		}
	}
	if want = strings.ReplaceAll(strings.TrimPrefix(want, "\n"), "\t", ""); got.String() != want {
		s.t.Errorf("%s: got\n%s\nwant\n%s", what, &got, want)
	}
}

func TestSyncMetrics(t *testing.T) {
	s := newSyncSite(t)
	start := s.clock.Now().Unix()
	s.push("team/app", "v1", 1)
	s.push("team/app", "v2", 2)
	s.push("other/tool", "latest", 3)
	s.sync()
	s.work()
	s.compareSync("first run", fmt.Sprintf(`
		attempts_total done 1
		found_total first 3
		last_success_timestamp_seconds full %d
		last_success_timestamp_seconds tags %d
		repositories_total 2
		tags_total 3
	`, start, start))

	// Lost events: a new, a moved and a vanished tag. An event that arrives is
	// none.
	s.push("team/app", "v3", 4)
	s.push("other/tool", "latest", 5)
	s.delete("team/app", "v1")
	s.event("team/app", "told", s.push("team/app", "told", 6))
	broken := &scriptedSource{Source: s.Source.(registrysync.Source)}
	broken.tags = func(loc gate.Location) (gate.TagList, error) {
		if loc.Repository == "broken/one" {
			return gate.TagList{}, gate.ErrRegistryAuth
		}
		return broken.Source.Tags(s.ctx, loc)
	}
	s.push("broken/one", "v1", 7)
	s.clock.Advance(15 * time.Minute)
	s.step(s.replica(broken, nil))
	s.compareSync("second run", fmt.Sprintf(`
		attempts_total done 2
		found_total first 3
		found_total gone 1
		found_total moved 1
		found_total new 1
		last_success_timestamp_seconds full %d
		last_success_timestamp_seconds tags %d
		problems_total 1
		repositories_total 4
		tags_total 7
	`, start, start+15*60))

	// A registry that is down.
	s.clock.Advance(15 * time.Minute)
	s.step(s.replica(unlisted{s.Source.(registrysync.Source)}, nil))
	s.compareSync("of a registry that is down", fmt.Sprintf(`
		attempts_total done 2
		attempts_total failed 1
		found_total first 3
		found_total gone 1
		found_total moved 1
		found_total new 1
		last_success_timestamp_seconds full %d
		last_success_timestamp_seconds tags %d
		problems_total 1
		repositories_total 4
		tags_total 7
	`, start, start+15*60))

	// A process that has run nothing knows the last success from the store.
	s.metrics = prometheus.NewRegistry()
	s.stats = registrysync.NewMetrics(s.metrics)
	s.step(s.replica(nil, nil))
	s.compareSync("another process", fmt.Sprintf(`
		last_success_timestamp_seconds full %d
		last_success_timestamp_seconds tags %d
	`, start, start+15*60))
}
