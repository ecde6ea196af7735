package redis

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"slices"

	"github.com/redis/go-redis/v9"
	"github.com/vmihailenco/msgpack/v5"

	"github.com/digestgate/digestgate/store"
)

//go:embed lua/*.lua
var sources embed.FS

// The scripts. Each file says what its script is given, answers, and why it is
// atomic. Those of the scheduler begin with common.lua, those that touch jobs
// with jobs.lua too; those of values with small.lua.
var (
	scriptEnqueue   = jobScript("enqueue")
	scriptClaim     = jobScript("claim")
	scriptHeartbeat = jobScript("heartbeat")
	scriptFinish    = jobScript("finish")
	scriptCancel    = jobScript("cancel")
	scriptDrop      = jobScript("drop")
	scriptServe     = jobScript("serve")
	scriptRestore   = jobScript("restore")
	scriptPutJob    = jobScript("putjob")
	scriptPutCharge = jobScript("putcharge")
	scriptPutQuota  = script("common", "putquota")
	scriptRaise     = script("common", "raise")
	scriptSpend     = script("common", "spend")
	scriptRead      = script("common", "read")
	scriptTell      = script("common", "tell")
	scriptChanges   = script("common", "changes")
	scriptRecord    = script("small", "record")
	scriptForget    = script("small", "forget")
	scriptRemove    = script("small", "remove")
	scriptField     = script("small", "field")
	scriptSwap      = script("small", "swap")
	scriptTime      = script("small", "time")
	scriptLoad      = script("small", "load")
	scriptValue     = script("small", "value")
	scriptLarge     = script("small", "large")
	scriptHistory   = script("small", "history")
)

func jobScript(name string) *redis.Script { return script("common", "jobs", name) }

func script(names ...string) *redis.Script {
	var text []byte
	for _, name := range names {
		part, err := sources.ReadFile("lua/" + name + ".lua")
		if err != nil {
			panic(err) // the files are compiled in
		}
		text = append(text, part...)
	}
	return redis.NewScript(string(text))
}

// args are the arguments of a script of the scheduler by their names in it.
type args map[string]any

// pack adds what every script is given. Scripts that change nothing do not look
// at keep, per and most.
func (s *Store) pack(a args) ([]byte, error) {
	a["per"], a["most"] = store.FeedPerRecord, store.MaxFeed
	a["now"], a["keep"], a["behind"] = s.now(), s.options.FeedRetention, store.TriedBehind.Microseconds()
	return msgpack.Marshal(map[string]any(a))
}

// run runs a script of the scheduler. The client repeats it when the connection
// breaks, so that every script gives a repeated call the answer of the first, or
// does no harm twice.
func (s *Store) run(ctx context.Context, script *redis.Script, a args) (any, error) {
	packed, err := s.pack(a)
	if err != nil {
		return nil, err
	}
	return script.Run(ctx, s.client, []string{s.keys.clock()}, packed).Result()
}

// each runs commands in one round trip (one for each node of a cluster) and
// repeats it once when a node does not know a script yet. queue is called for
// each try; an error of a command that is not redis.Nil ends it.
func each(ctx context.Context, c redis.UniversalClient, queue func(redis.Pipeliner), scripts ...*redis.Script) error {
	for try := 0; ; try++ {
		p := c.Pipeline()
		queue(p)
		commands, err := p.Exec(ctx)
		if err == nil {
			return nil
		}
		unknown := false
		var failure error
		for _, cmd := range commands {
			switch err := cmd.Err(); {
			case err == nil || errors.Is(err, redis.Nil):
			case redis.HasErrorPrefix(err, "NOSCRIPT"):
				unknown, failure = true, err
			case !unknown:
				failure = err
			}
		}
		if failure == nil && errors.Is(err, redis.Nil) {
			return nil
		}
		if failure == nil {
			failure = err
		}
		if !unknown || try > 0 {
			return failure
		}
		for _, script := range scripts {
			if err := script.Load(ctx, c).Err(); err != nil {
				return err
			}
		}
	}
}

// reply takes the answer of a script apart: a word and what belongs to it.
func reply(answer any) (word string, rest []any, err error) {
	list, ok := answer.([]any)
	if !ok || len(list) == 0 {
		return "", nil, fmt.Errorf("script answered %T", answer)
	}
	word, ok = list[0].(string)
	if !ok {
		return "", nil, fmt.Errorf("script answered %T", list[0])
	}
	return word, slices.Clone(list[1:]), nil
}

// text is an element of an answer, "" when it is missing.
func text(list []any, i int) string {
	if i >= len(list) {
		return ""
	}
	s, _ := list[i].(string)
	return s
}
