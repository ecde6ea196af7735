package redis

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"sync"

	"github.com/redis/go-redis/v9"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/store"
)

// scanPage is how many keys one step of a scan looks at: a few milliseconds of
// the server's time.
const scanPage = 1000

// Scan calls fn for everything stored. It takes the sequence first: what changes
// while it runs comes again from Changes. Redis may give a key twice.
func (s *Store) Scan(ctx context.Context, fn store.ScanFunc) (int64, error) {
	const what = "scanning the store"
	newest, err := s.newestChange(ctx)
	if err != nil {
		return 0, s.failedIn(ctx, what, err)
	}
	var refused error // an error of fn goes back as it is
	visit := func(item store.Item) error {
		refused = fn(item)
		return refused
	}
	err = s.eachNode(ctx, func(ctx context.Context, node *redis.Client) error {
		// Records of all installations share the form of their keys' beginning.
		for pattern, take := range map[string]func(context.Context, []string, store.ScanFunc) error{
			s.keys.records():            s.takeRecords,
			escape(s.keys.jobs()) + "*": s.takeJobs,
			escape(s.keys.tags()) + "*": s.takeTags,
		} {
			if err := scanNode(ctx, node, pattern, func(keys []string) error { return take(ctx, keys, visit) }); err != nil {
				return err
			}
		}
		return nil
	})
	if refused != nil {
		return 0, refused
	}
	if err != nil {
		return 0, s.failedIn(ctx, what, err)
	}
	return newest, nil
}

// Newest is the sequence number of the newest change, 0 for none.
func (s *Store) Newest(ctx context.Context) (int64, error) {
	newest, err := s.newestChange(ctx)
	if err != nil {
		return 0, s.failedIn(ctx, "looking for the newest change", err)
	}
	return newest, nil
}

// newestChange is the sequence number of the newest change, 0 for none.
func (s *Store) newestChange(ctx context.Context) (int64, error) {
	last, err := s.client.XRevRangeN(ctx, s.keys.feed(), "+", "-", 1).Result()
	if err != nil || len(last) == 0 {
		return 0, err
	}
	number, _, _ := strings.Cut(last[0].ID, "-")
	return strconv.ParseInt(number, 10, 64)
}

// eachNode calls fn for the server, or for each master of a cluster, one at a
// time.
func (s *Store) eachNode(ctx context.Context, fn func(context.Context, *redis.Client) error) error {
	switch c := s.client.(type) {
	case *redis.ClusterClient:
		var one sync.Mutex
		return c.ForEachMaster(ctx, func(ctx context.Context, node *redis.Client) error {
			one.Lock()
			defer one.Unlock()
			return fn(ctx, node)
		})
	case *redis.Client:
		return fn(ctx, c)
	}
	return fmt.Errorf("a client of type %T cannot be scanned", s.client)
}

func scanNode(ctx context.Context, node *redis.Client, pattern string, take func([]string) error) error {
	var cursor uint64
	for {
		keys, next, err := node.Scan(ctx, cursor, pattern, scanPage).Result()
		if err != nil {
			return err
		}
		if len(keys) > 0 {
			if err := take(keys); err != nil {
				return err
			}
		}
		if cursor = next; cursor == 0 {
			return nil
		}
	}
}

// escape makes a text match itself in a pattern of Redis.
func escape(text string) string {
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`, `]`, `\]`).Replace(text)
}

func (s *Store) takeRecords(ctx context.Context, keys []string, fn store.ScanFunc) error {
	digests := make([]gate.Digest, 0, len(keys))
	for _, key := range keys {
		if d := s.keys.digestOf(key); d.Valid() {
			digests = append(digests, d)
		}
	}
	records := make([]*redis.Cmd, len(digests))
	mark := s.seals.mark()
	err := each(ctx, s.client, func(p redis.Pipeliner) {
		for i, d := range digests {
			records[i] = s.askRecord(ctx, p, d, "")
		}
	}, scriptLoad)
	if err != nil {
		return err
	}
	for i, d := range digests {
		r, _ := s.shown(d, records[i], mark)
		if !r.Known() {
			continue // not believed; that is logged
		}
		if err := fn(store.Item{Record: &r}); err != nil {
			return err
		}
	}
	return nil
}

func (s *Store) takeJobs(ctx context.Context, keys []string, fn store.ScanFunc) error {
	return s.takeValues(ctx, keys, func(key, stored string) error {
		j, err := decodeJob(stored)
		if err != nil {
			s.reject("job", strings.TrimPrefix(key, s.keys.jobs()), err)
			return nil
		}
		return fn(store.Item{Job: &j})
	})
}

func (s *Store) takeTags(ctx context.Context, keys []string, fn store.ScanFunc) error {
	mark := s.seals.mark()
	return s.takeValues(ctx, keys, func(key, stored string) error {
		m, _, found := s.mapping(store.TagOf(strings.TrimPrefix(key, s.keys.tags())), stored, mark)
		if !found {
			return nil
		}
		return fn(store.Item{Tag: &m})
	})
}

// takeValues reads strings; what has gone since it was found is passed over.
func (s *Store) takeValues(ctx context.Context, keys []string, fn func(key, stored string) error) error {
	values := make([]*redis.Cmd, len(keys))
	err := each(ctx, s.client, func(p redis.Pipeliner) {
		for i, key := range keys {
			values[i] = scriptValue.EvalSha(ctx, p, []string{key})
		}
	}, scriptValue)
	if err != nil {
		return err
	}
	for i, key := range keys {
		if stringOf(values[i]) == "" {
			continue
		}
		if err := fn(key, stringOf(values[i])); err != nil {
			return err
		}
	}
	return nil
}
