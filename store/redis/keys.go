package redis

import (
	"strings"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/store"
)

// keys makes the names of all keys. P stands for store.prefix.
//
// The scheduler's keys share the hash tag {P} and so one slot: a script may
// touch all of them. A digest's record has a slot of its own, so that records
// spread over a cluster. Only keys with a TTL ever expire; everything else is
// kept until it is removed as the table says. See docs/redis.md, which a test
// compares with [KeyTable].
type keys struct{ prefix string }

// KeyRow describes one kind of key.
type KeyRow struct {
	Pattern string // as in docs/redis.md
	Type    string // of Redis
	Life    string // TTL, or what removes it
	Holds   string
	Writers string // scripts
	Readers string
}

// KeyTable lists every kind of key that the store uses.
func KeyTable() []KeyRow {
	return []KeyRow{
		{"{P}:schema", "string", "never", "version of this layout", "Open", "Open"},
		{"{P}:clock", "string", "never", "highest number handed out: ids, epochs, sequence", "all that tick", "all that tick"},
		{"{P}:checked", "string", "never", "time of the last readiness check", "check", "check"},
		{"{P}:job:ID", "string, msgpack", "`retention.jobs` after it is done or superseded, with its image", "one job", "enqueue claim heartbeat finish cancel drop", "the same, Job, Read, Scan"},
		{"{P}:key:KIND:KEY", "string", "with its job", "id of the newest job of a key", "enqueue claim drop", "enqueue, Read"},
		{"{P}:queue:KIND:CHARGE:CLASS:TRIED:REGISTRY/REPOSITORY", "sorted set by place", "when empty", "jobs that may be claimed", "enqueue claim finish cancel", "claim heartbeat"},
		{"{P}:ring:KIND:CHARGE:CLASS:TRIED:REGISTRY", "sorted set by turn", "when empty", "repositories that have such jobs", "the same", "claim heartbeat"},
		{"{P}:waiting", "set", "when empty", "rings that may hold a repository", "the same", "claim heartbeat"},
		{"{P}:lane:KIND:CHARGE:CLASS:REGISTRY", "sorted set by age", "when empty", "what an earlier version has queued", "earlier versions", "claim"},
		{"{P}:lanes", "set", "when empty", "lanes of earlier versions that may hold a job", "earlier versions", "claim"},
		{"{P}:delayed", "sorted set by time", "when empty", "jobs that wait", "finish claim", "claim"},
		{"{P}:parked", "sorted set by age", "when empty", "jobs that wait for quota", "claim", "claim"},
		{"{P}:leases", "sorted set by end", "when empty", "running jobs", "claim heartbeat finish cancel", "claim"},
		{"{P}:running:KIND:REGISTRY", "set", "when empty", "running jobs of a registry", "claim finish cancel", "claim heartbeat"},
		{"{P}:where:KIND:REGISTRY/REPOSITORY", "set", "when empty", "running jobs of a repository", "claim finish cancel", "claim heartbeat"},
		{"{P}:served", "hash", "never", "when a job of each registry was last claimed, by set of kinds", "claim", "claim"},
		{"{P}:ended", "sorted set by end", "when empty", "jobs that may be removed", "enqueue finish drop", "claim"},
		{"{P}:tidied", "string", "never", "when ended jobs were last removed", "claim", "claim"},
		{"{P}:turns", "hash", "never", "for each set of kinds: how many claims passed over each class, and whether the last one passed over a newcomer", "claim", "claim"},
		{"{P}:starts:REGISTRY", "sorted set by time", "TTL 1 hour", "analyses started in the last hour", "claim", "claim heartbeat, NextPull"},
		{"{P}:claimed:NONCE", "string", "TTL 60 s", "epoch and id of the job that a claim got, for its repeat", "claim", "claim"},
		{"{P}:charges", "hash, msgpack", "never", "charge of each digest", "claim serve finish cancel restore", "enqueue, Charged"},
		{"{P}:quota:PERIOD", "hash", "never", "used and avoided", "claim finish cancel avoid restore", "claim, Quota"},
		{"{P}:budget:NAME", "hash", "TTL one window", "what a window has spent", "spend", "spend"},
		{"{P}:feed", "stream", "the oldest beyond 100,000 and four for each record", "changes", "all that tell", "changes"},
		{"{P}:records", "string", "never", "how many records were made, for the length of the feed", "record", "all that tell"},
		{"{P}:floor", "string", "never", "newest change that was removed", "all that tell", "changes"},
		{"P:{DIGEST}:record", "string, signed", "never", "what is known of a digest; of one that was forgotten its version and epoch", "record forget", "Read, Scan"},
		{"P:{DIGEST}:locations", "hash, signed", "when it is forgotten", "where a digest was seen, with standing verdicts", "record forget", "Read, Scan"},
		{"P:{DIGEST}:inventory", "string, zstd", "when it is forgotten", "its inventory", "record forget", "Inventory"},
		{"P:{DIGEST}:findings", "string, zstd", "when it is forgotten", "its findings", "record forget", "Findings"},
		{"P:{DIGEST}:history", "hash, signed", "entries beyond the last 200 or older than `retention.history`; when it is forgotten", "its changes", "record forget", "History"},
		{"P:tag:NAME", "string, signed", "when its image is forgotten", "what our read of a tag found", "swap remove", "Read, Scan"},
		{"P:setting:NAME", "string, signed", "never", "a setting", "swap", "Setting"},
	}
}

func (k keys) scheduler(name string) string { return "{" + k.prefix + "}:" + name }

// clock is also what tells scripts the names of the other keys of the scheduler.
func (k keys) clock() string         { return k.scheduler("clock") }
func (k keys) schema() string        { return k.scheduler("schema") }
func (k keys) checked() string       { return k.scheduler("checked") }
func (k keys) charges() string       { return k.scheduler("charges") }
func (k keys) feed() string          { return k.scheduler("feed") }
func (k keys) floor() string         { return k.scheduler("floor") }
func (k keys) changed() string       { return k.scheduler("changed") } // a channel
func (k keys) jobs() string          { return k.scheduler("job:") }    // what the keys of jobs begin with
func (k keys) job(id string) string  { return k.jobs() + id }
func (k keys) quota(p string) string { return k.scheduler("quota:" + store.PeriodKey(p)) }

func (k keys) starts(registry string) string { return k.scheduler("starts:" + registry) }

func (k keys) digest(d gate.Digest, what string) string {
	return k.prefix + ":{" + string(d) + "}:" + what
}

// digestOf is the digest of a record's key.
func (k keys) digestOf(record string) gate.Digest {
	return gate.Digest(strings.TrimSuffix(strings.TrimPrefix(record, k.prefix+":{"), "}:record"))
}

// records is a pattern that the keys of all records match.
func (k keys) records() string { return escape(k.prefix) + ":{*}:record" }

func (k keys) record(d gate.Digest) string    { return k.digest(d, "record") }
func (k keys) locations(d gate.Digest) string { return k.digest(d, "locations") }
func (k keys) inventory(d gate.Digest) string { return k.digest(d, "inventory") }
func (k keys) findings(d gate.Digest) string  { return k.digest(d, "findings") }

func (k keys) history(d gate.Digest) string { return k.digest(d, "history") }

func (k keys) tags() string               { return k.prefix + ":tag:" } // what the keys of tags begin with
func (k keys) tag(t gate.TagKey) string   { return k.tags() + store.TagName(t) }
func (k keys) setting(name string) string { return k.prefix + ":setting:" + name }
