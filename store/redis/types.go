package redis

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/store"
)

const (
	// searchEvery is how often all keys of the scheduler are looked at while a
	// command meets a value of the wrong type: the answer does not say which key.
	searchEvery = 30 * time.Second
	// maxStrange bounds what is remembered: the first keys are enough to see that
	// another program writes to Redis.
	maxStrange = 20
)

// types knows the keys that hold a value of another type than [KeyTable] says.
// Another program has written them: the scheduler does not work with such a key,
// and a record, tag or setting counts as absent. It is safe for concurrent use.
type types struct {
	search chan struct{}
	look   chan string

	mu      sync.Mutex
	strange map[string]string // key -> type that it should have
}

func newTypes() *types {
	return &types{search: make(chan struct{}, 1), look: make(chan string, 100), strange: map[string]string{}}
}

// suspect has all keys of the scheduler searched, soon.
func (t *types) suspect() {
	select {
	case t.search <- struct{}{}:
	default: // it will be
	}
}

// suspectKey has one key looked at; among very many some are left out.
func (t *types) suspectKey(key string) {
	select {
	case t.look <- key:
	default:
	}
}

// known are the strange keys.
func (t *types) known() map[string]string {
	t.mu.Lock()
	defer t.mu.Unlock()
	out := make(map[string]string, len(t.strange))
	for k, v := range t.strange {
		out[k] = v
	}
	return out
}

// note remembers or forgets a key, and reports whether that is news.
func (t *types) note(key, want string, strange bool) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	_, before := t.strange[key]
	switch {
	case strange && !before && len(t.strange) < maxStrange:
		t.strange[key] = want
		return true
	case !strange:
		delete(t.strange, key)
	}
	return before && !strange
}

// isWrongType recognises the answer to a command that met another type, also
// from inside a script.
func isWrongType(err error) bool {
	return redis.HasErrorPrefix(err, "WRONGTYPE") || strings.Contains(err.Error(), "WRONGTYPE Operation against a key")
}

// fixed are the keys of the scheduler that every installation has or will have.
func (k keys) fixed() []string {
	var list []string
	for _, row := range KeyTable() {
		if name, ok := strings.CutPrefix(row.Pattern, "{P}:"); ok && strings.ToLower(name) == name {
			list = append(list, k.scheduler(name))
		}
	}
	return list
}

// maxKey is longer than every key of ours: the names in a key have at most 255 bytes
// each.
const maxKey = 2048

// typeOf is the type that a key of ours should have, "" for one that is none.
func (k keys) typeOf(key string) string {
	if len(key) > maxKey {
		return ""
	}
	for _, row := range KeyTable() {
		begin := strings.NewReplacer("{P}", "{"+k.prefix+"}", "P:", k.prefix+":").Replace(row.Pattern)
		fits := key == begin
		if head, tail, ok := strings.Cut(begin, "{DIGEST}"); ok {
			fits = strings.HasPrefix(key, head+"{") && strings.HasSuffix(key, "}"+tail)
		} else if i := strings.IndexFunc(begin[len(k.prefix)+1:], isUpper); i >= 0 {
			fits = strings.HasPrefix(key, begin[:len(k.prefix)+1+i])
		}
		if fits {
			kind, _, _ := strings.Cut(row.Type, ",")
			return redisTypes[strings.Fields(kind)[0]]
		}
	}
	return ""
}

func isUpper(r rune) bool { return 'A' <= r && r <= 'Z' }

// redisTypes are what TYPE answers, by the first word in [KeyTable].
var redisTypes = map[string]string{"string": "string", "hash": "hash", "set": "set", "sorted": "zset", "stream": "stream"}

// checkTypes asks for the types of keys. Those that are strange, and those that
// were and are no more, go into the log and are remembered.
func (s *Store) checkTypes(ctx context.Context, keys []string) error {
	var list []*redis.StatusCmd
	p := s.client.Pipeline()
	for _, key := range keys {
		list = append(list, p.Type(ctx, key))
	}
	if _, err := p.Exec(ctx); err != nil && !errors.Is(err, redis.Nil) {
		return err
	}
	for i, key := range keys {
		has, want := list[i].Val(), s.keys.typeOf(key)
		strange := want != "" && has != want && has != "none"
		if !s.types.note(key, want, strange) {
			continue
		}
		if strange {
			s.options.Logger.Error("a key in redis holds a value of another type, written by another program",
				"redisKey", gate.Printable(key, 200), "type", has, "want", want)
		} else {
			s.options.Logger.Info("a key in redis has its type again", "redisKey", gate.Printable(key, 200))
		}
	}
	return nil
}

// strangeValue is what scripts answer for a value of another type, see
// lua/small.lua.
const strangeValue = "!"

// suspectType has the key of a value looked at that may be of another type.
func (s *Store) suspectType(key, value string) {
	if value == strangeValue {
		s.types.suspectKey(key)
	}
}

// wholeTypes is nil, or a *store.Damaged that names a key of another type.
func (s *Store) wholeTypes(ctx context.Context) error {
	asked := s.keys.fixed()
	for key := range s.types.known() {
		asked = append(asked, key)
	}
	slices.Sort(asked)
	if err := s.checkTypes(ctx, slices.Compact(asked)); err != nil {
		return err
	}
	strange := s.types.known()
	if len(strange) == 0 {
		return nil
	}
	var key string
	for k := range strange {
		if key == "" || k < key {
			key = k
		}
	}
	more := ""
	if n := len(strange) - 1; n > 0 {
		more = fmt.Sprintf(" (and %d more)", n)
	}
	return &store.Damaged{What: fmt.Sprintf("the key %s%s does not hold a %s: another program has written to Redis (docs/operations.md); move it away with RENAME or remove it with DEL",
		gate.Quoted(key, 120), more, strange[key])}
}

// watchTypes looks for the keys that commands have stumbled over.
func (s *Store) watchTypes(ctx context.Context) {
	var searched time.Time
	report := func(err error) {
		if err != nil && ctx.Err() == nil {
			s.options.Logger.Debug("looking at the types of keys", "error", err)
		}
	}
	for {
		select {
		case <-ctx.Done():
			return
		case key := <-s.types.look:
			report(s.checkTypes(ctx, []string{key}))
		case <-s.types.search:
			if !searched.IsZero() && time.Since(searched) < searchEvery {
				continue // the next command that meets it asks again
			}
			searched = time.Now()
			report(s.eachNode(ctx, func(ctx context.Context, node *redis.Client) error {
				return scanNode(ctx, node, escape(s.keys.scheduler(""))+"*", func(keys []string) error { return s.checkTypes(ctx, keys) })
			}))
		}
	}
}
