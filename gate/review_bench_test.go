package gate_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/digestgate/digestgate/gate/admission"
	"github.com/digestgate/digestgate/gate/lookup"
	"github.com/digestgate/digestgate/store"
	"github.com/digestgate/digestgate/store/redis"
	"github.com/digestgate/digestgate/store/redis/redistest"
	"github.com/digestgate/digestgate/store/sqlite"
)

// BenchmarkPodOfTags is the warm review of a Pod with 20 images by tag, on each store:
// decoding, looking up, evaluating and answering, without a network before it.
func BenchmarkPodOfTags(b *testing.B) {
	open := map[string]func(*clock) (store.Store, error){
		"sqlite": func(clk *clock) (store.Store, error) {
			return sqlite.Open(b.Context(), filepath.Join(b.TempDir(), "store.db"), sqlite.Options{Clock: clk.Now})
		},
		"redis": func(clk *clock) (store.Store, error) {
			key := filepath.Join(b.TempDir(), "mac.key")
			if err := os.WriteFile(key, []byte(strings.Repeat("k", 64)+"\n"), 0o600); err != nil {
				return nil, err
			}
			server := redistest.Plain(b, redistest.Options{})
			return redis.Open(b.Context(), store.Config{URL: server.URL(), Prefix: "t", MACKeyFile: key}, redis.Options{Clock: clk.Now})
		},
	}
	for _, name := range []string{"sqlite", "redis"} {
		b.Run(name, func(b *testing.B) {
			clk := &clock{now: time.Unix(1_790_000_000, 0).UTC()}
			st, err := open[name](clk)
			if err != nil {
				b.Fatal(err)
			}
			b.Cleanup(func() { _ = st.Close() })
			s := newSiteOn(b, month(0), st, clk)
			var images []string
			for i := range 20 {
				repo := fmt.Sprintf("team/app-%d", i)
				s.event(repo, "v1", s.push(repo, "v1", uint64(i+1)))
				images = append(images, s.at(repo, ":v1"))
			}
			s.work()
			l := s.lookupOn(st.Admission(), st, lookup.Options{TagMaxAge: time.Minute, TagGrace: 10 * time.Minute}, nil)
			r := admission.NewReviewer(admission.Default(), l, admission.Options{})
			body := review(b, images...)
			b.ReportAllocs()
			for b.Loop() {
				resp, err := r.Review(b.Context(), body, "default")
				if err != nil || !resp.Allowed {
					b.Fatalf("got %+v, %v", resp, err)
				}
			}
		})
	}
}
