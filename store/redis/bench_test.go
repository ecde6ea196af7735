package redis_test

import (
	"context"
	"strconv"
	"strings"
	"testing"

	"github.com/digestgate/digestgate/store"
	"github.com/digestgate/digestgate/store/redis"
	"github.com/digestgate/digestgate/store/redis/redistest"
	"github.com/digestgate/digestgate/store/storetest/storebench"
)

// BenchmarkStore measures a server with its append-only file on the disk of the
// test.
func BenchmarkStore(b *testing.B) {
	for _, fsync := range []string{"everysec", "always"} {
		b.Run(fsync, func(b *testing.B) {
			storebench.Run(b, func(b *testing.B) store.Store {
				server := redistest.Plain(b, redistest.Options{AOF: fsync})
				return open(b, config(b, server.URL()), redis.Options{})
			})
		})
	}
}

// BenchmarkMemory stores usual images and reports what each takes of the server's
// memory, and which keys take how much of it.
func BenchmarkMemory(b *testing.B) {
	server := redistest.Plain(b, redistest.Options{})
	c := config(b, server.URL())
	s := open(b, c, redis.Options{})
	used := func() float64 {
		text, err := server.Do("info", "memory").Text()
		if err != nil {
			b.Fatal(err)
		}
		_, text, _ = strings.Cut(text, "used_memory:")
		text, _, _ = strings.Cut(text, "\r")
		n, err := strconv.ParseFloat(text, 64)
		if err != nil {
			b.Fatal(err)
		}
		return n
	}
	before := used()
	if err := storebench.Fill(s, b.N, storebench.Usual); err != nil {
		b.Fatal(err)
	}
	b.ReportMetric((used()-before)/float64(b.N), "B/digest")
	ctx, client := context.Background(), server.Client(b)
	kinds := map[string]float64{}
	keys := client.Scan(ctx, 0, "*", 1000).Iterator()
	for keys.Next(ctx) {
		size, err := client.MemoryUsage(ctx, keys.Val(), 0).Result()
		if err != nil {
			b.Fatal(err)
		}
		kinds[kindOf(keys.Val(), c.Prefix)] += float64(size)
	}
	if err := keys.Err(); err != nil {
		b.Fatal(err)
	}
	for kind, size := range kinds {
		b.ReportMetric(size/float64(b.N), kind+"-B")
	}
}

// kindOf is a word for the kind of a key: record, tag, job….
func kindOf(key, prefix string) string {
	if rest, ok := strings.CutPrefix(key, "{"+prefix+"}:"); ok {
		kind, _, _ := strings.Cut(rest, ":")
		return kind
	}
	if _, rest, ok := strings.Cut(key, "}:"); ok {
		return rest
	}
	kind, _, _ := strings.Cut(strings.TrimPrefix(key, prefix+":"), ":")
	return kind
}
