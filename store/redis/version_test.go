package redis_test

import (
	"context"
	"errors"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/store"
	"github.com/digestgate/digestgate/store/redis"
	"github.com/digestgate/digestgate/store/redis/redistest"
	"github.com/digestgate/digestgate/store/storetest"
)

// versions are a store with a record and a tag, and an attacker on its server.
type versions struct {
	*testing.T
	s      *redis.Store
	server *redistest.Server
	config store.Config
	digest gate.Digest
	tag    gate.TagKey
}

func newVersions(t *testing.T) *versions {
	server := redistest.Plain(t, redistest.Options{})
	c := config(t, server.URL())
	v := &versions{T: t, s: open(t, c, redis.Options{}), server: server, config: c, digest: digestOf("a"), tag: gate.TagKey{Location: place, Tag: "v1"}}
	v.put(1)
	return v
}

// put writes the record and the tag once more.
func (v *versions) put(n int) {
	v.Helper()
	now, err := v.s.Now(v.Context())
	inv := &gate.Inventory{Format: 1, Digest: v.digest, AnalyzerSet: "set-" + strconv.Itoa(n)}
	err = errors.Join(err, storetest.PutInventory(v.Context(), v.s, 1, inv))
	_, tagged := v.s.PutTag(v.Context(), v.tag, digestOf(strconv.Itoa(n)), now, "")
	if err = errors.Join(err, tagged); err != nil {
		v.Fatal(err)
	}
}

// keys are those of the record and the tag, with the locations.
func (v *versions) keys() (record, tag string) {
	return v.config.Prefix + ":{" + string(v.digest) + "}:record", v.config.Prefix + ":tag:" + store.TagName(v.tag)
}

func (v *versions) get(key string) string {
	v.Helper()
	text, err := v.server.Do("get", key).Text()
	if err != nil {
		v.Fatal(err)
	}
	return text
}

func (v *versions) set(key, value string) {
	v.Helper()
	if err := v.server.Do("set", key, value).Err(); err != nil {
		v.Fatal(err)
	}
}

// sees checks what a review is told: the number of the record and of the tag, 0 for absent.
func (v *versions) sees(what string, record, tag int) {
	v.Helper()
	res, err := v.s.Admission().Read(v.Context(), gate.ReadRequest{Digests: []gate.Digest{v.digest}, Tags: []gate.TagKey{v.tag}})
	if err != nil {
		v.Fatal(err)
	}
	wantSet, wantTag := "", gate.Digest("")
	if record > 0 {
		wantSet = "set-" + strconv.Itoa(record)
	}
	if tag > 0 {
		wantTag = digestOf(strconv.Itoa(tag))
	}
	if got := res.Digests[v.digest].Record.AnalyzerSet; got != wantSet {
		v.Errorf("%s: a review sees the inventory of %q, want %q", what, got, wantSet)
	}
	if got := res.Tags[v.tag].Digest; got != wantTag {
		v.Errorf("%s: a review sees that the tag names %q, want %q", what, got, wantTag)
	}
}

// TestVersionsOfCopies: a review takes what it has copies of from memory, and only while
// the server holds the very value that was copied.
func TestVersionsOfCopies(t *testing.T) {
	spoil := map[string]func(text string) string{
		"removed":   nil,
		"empty":     func(string) string { return "" },
		"cut":       func(text string) string { return text[:len(text)-1] },
		"longer":    func(text string) string { return text + " " },
		"unsigned":  func(text string) string { return "1." + strings.Repeat("A", 43) + text[45:] },
		"changed":   func(text string) string { return strings.Replace(text, "set-1", "set-2", 1)[:len(text)-1] + " " },
		"no_format": func(text string) string { return "2" + text[1:] },
	}
	for name, change := range spoil {
		t.Run(name, func(t *testing.T) {
			v := newVersions(t)
			v.sees("read", 1, 1)
			v.sees("from memory", 1, 1)
			for _, key := range keysOf(v) {
				if change == nil {
					if err := v.server.Do("del", key).Err(); err != nil {
						t.Fatal(err)
					}
					continue
				}
				v.set(key, change(v.get(key)))
			}
			v.sees("spoiled", 0, 0)
			v.sees("spoiled, again", 0, 0)
			v.put(2)
			v.sees("written again", 2, 2)
		})
	}
}

func keysOf(v *versions) []string {
	record, tag := v.keys()
	return []string{record, tag}
}

// TestFallingVersions: a value that was put back is absent, also when the copy is of that
// very value and this process has only written the later one.
func TestFallingVersions(t *testing.T) {
	for name, seen := range map[string]bool{"copy_of_the_later_one": true, "copy_of_the_earlier_one": false} {
		t.Run(name, func(t *testing.T) {
			v := newVersions(t)
			v.sees("read", 1, 1)
			var before []string
			for _, key := range keysOf(v) {
				before = append(before, v.get(key))
			}
			v.put(2)
			if seen {
				v.sees("written", 2, 2)
			}
			for i, key := range keysOf(v) {
				v.set(key, before[i])
			}
			v.sees("put back", 0, 0)
			v.sees("put back, again", 0, 0)
		})
	}
}

// TestOtherReplicasAreSeen: what another process writes counts at once.
func TestOtherReplicasAreSeen(t *testing.T) {
	v := newVersions(t)
	other := *v
	other.s = open(t, v.config, redis.Options{})
	for n := 2; n < 10; n++ {
		other.put(n)
		v.sees("written by another replica", n, n)
		v.sees("from memory", n, n)
		if err := other.s.MarkDirty(t.Context(), v.tag); err != nil {
			t.Fatal(err)
		}
		res, err := v.s.Admission().Read(t.Context(), gate.ReadRequest{Tags: []gate.TagKey{v.tag}})
		if err != nil || !res.Tags[v.tag].Dirty {
			t.Fatalf("marked by another replica: got %+v, %v", res.Tags[v.tag], err)
		}
	}
}

// TestCopiesOfAnotherKey: what was signed with a key that is not in the file any more is
// not taken from memory either.
func TestCopiesOfAnotherKey(t *testing.T) {
	v := newVersions(t)
	v.sees("read", 1, 1)
	if err := os.WriteFile(v.config.MACKeyFile, []byte(strings.Repeat("n", 64)+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	v.s.LookAtKeys()
	v.sees("the key has gone", 0, 0)
}

// twoReplicas is a store that writes through one process and reads for reviews through
// another.
type twoReplicas struct {
	store.Store
	reviews store.Store
}

func (s twoReplicas) Admission() gate.Reader { return s.reviews.Admission() }

// TestAdmissionOfAnotherReplica is the part of the conformance suite about reviews, with
// the writers in another process.
func TestAdmissionOfAnotherReplica(t *testing.T) {
	server := redistest.Plain(t, redistest.Options{})
	storetest.RunAdmission(t, func(t *testing.T) storetest.Harness {
		c, clock := config(t, server.URL()), storetest.NewClock()
		o := redis.Options{Clock: clock.Now}
		return storetest.Harness{Store: twoReplicas{open(t, c, o), open(t, c, o)}, Advance: clock.Advance}
	})
}

// output is how many bytes a server has sent while do ran.
func output(t *testing.T, server *redistest.Server, do func()) int {
	t.Helper()
	sent := func() int {
		text, err := server.Client(t).Info(context.Background(), "stats").Result()
		if err != nil {
			t.Fatal(err)
		}
		_, rest, _ := strings.Cut(text, "total_net_output_bytes:")
		line, _, _ := strings.Cut(rest, "\r\n")
		n, err := strconv.Atoi(line)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	sent()
	first := sent()
	second := sent() // as much as it takes to ask
	do()
	return sent() - second - (second - first)
}
