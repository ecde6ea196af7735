package lookup

import (
	"context"
	"testing"
	"time"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/gate/copies/copiestest"
)

func TestCachesHoldNoMoreThanTheirBytes(t *testing.T) {
	copiestest.Check(t, map[string]func() copiestest.Held{
		"kept_readings": func() copiestest.Held {
			l := New(Parts{}, Options{}, nil)
			return copiestest.Held{Bound: keptReadingBytes, Offer: func(i int) { m := copiestest.Mapped(i, 255); l.bar(m.TagKey, m.Host, m.Digest, time.Time{}) },
				Weight: func() int64 { l.kept.CleanUp(); return int64(l.kept.WeightedSize()) }, Count: l.kept.EstimatedSize}
		},
		"registry_answers": func() copiestest.Held {
			l := New(Parts{}, Options{}, nil)
			return copiestest.Held{Bound: rememberHeads, Offer: func(i int) {
				m := copiestest.Mapped(i, 255)
				h := &headed{key: m.TagKey, host: m.Host, digest: m.Digest}
				if i%2 == 0 {
					h.got = &gate.Manifest{Digest: copiestest.Digest(i), Children: make([]gate.Child, 5)}
				}
				l.heads.Set(copiestest.Name(i, 300), h)
			}, Weight: func() int64 { l.heads.CleanUp(); return int64(l.heads.WeightedSize()) }, Count: l.heads.EstimatedSize}
		},
		"remembered_tags": func() copiestest.Held {
			r := newRemembered()
			return copiestest.Held{Bound: rememberNamed, Offer: func(i int) { r.noteTag(copiestest.Mapped(i, 255).TagKey, copiestest.Digest(i)) },
				Weight: func() int64 { r.named.CleanUp(); return int64(r.named.WeightedSize()) }, Count: r.named.EstimatedSize}
		},
		"remembered_indexes": func() copiestest.Held {
			r := newRemembered()
			return copiestest.Held{Bound: rememberChildren, Offer: func(i int) {
				r.noteChildren(copiestest.Digest(i), []gate.Digest{copiestest.Digest(i + 1), copiestest.Digest(i + 2)})
			},
				Weight: func() int64 { r.children.CleanUp(); return int64(r.children.WeightedSize()) }, Count: r.children.EstimatedSize}
		},
		"asked": func() copiestest.Held {
			l := New(Parts{Budget: freeBudget{}, Now: time.Now}, Options{NewDigestsPerHour: 1}, nil)
			return copiestest.Held{Bound: rememberAsked, Offer: func(i int) {
				_, _ = l.spend(context.Background(), gate.JobRequest{Namespace: copiestest.Name(i, 63), Digest: copiestest.Digest(i), Kind: gate.JobAnalyze})
			}, Weight: func() int64 { l.asked.CleanUp(); return int64(l.asked.WeightedSize()) }, Count: l.asked.EstimatedSize}
		},
	})
}

type freeBudget struct{}

func (freeBudget) Spend(context.Context, string, int, time.Duration) (bool, error) { return true, nil }
