package redis_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/digestgate/digestgate/store"
	"github.com/digestgate/digestgate/store/redis"
	"github.com/digestgate/digestgate/store/redis/redistest"
	"github.com/digestgate/digestgate/store/storetest"
)

// documentedRule takes the parts of the rule for a user out of the page: those of
// every server, and what a cluster needs besides.
func documentedRule(t *testing.T, prefix string) (rule, cluster []string) {
	t.Helper()
	page, err := os.ReadFile("../../docs/redis.md")
	if err != nil {
		t.Fatal(err)
	}
	line := regexp.MustCompile(`(?s)ACL SETUSER digestgate on >PASSWORD (.+?)\n` + "```").FindSubmatch(page)
	more := regexp.MustCompile(`A\s+cluster\s+needs\s+` + "`([^`]+)`" + `\s+besides`).FindSubmatch(page)
	if line == nil || more == nil {
		t.Fatal("the page has no rule")
	}
	text := strings.ReplaceAll(strings.ReplaceAll(string(line[1]), "\\\n", " "), "PREFIX", prefix)
	return strings.Fields(text), strings.Fields(string(more[1]))
}

// fullFeed lets a feed in database 5 hold more than is kept.
const fullFeed = `redis.call('SELECT', 5)
for i = 1, 1100 do redis.call('XADD', KEYS[1], i .. '-0', 'k', 1, 'n', '') end
return 1`

// asUser opens a store as the user of a rule and does some of everything with it.
// Any command that the server has refused is an error, whatever the store made
// of it.
func asUser(t *testing.T, s *redistest.Server, c store.Config, rule []string) error {
	t.Helper()
	for _, command := range [][]any{
		{"acl", "deluser", "digestgate"}, {"flushall"}, {"script", "flush"}, {"acl", "log", "reset"},
		append([]any{"acl", "setuser", "digestgate", "on", ">secret"}, anys(rule)...),
		{"eval", fullFeed, 1, "{" + c.Prefix + "}:feed"},
	} {
		if err := s.Do(command...).Err(); err != nil {
			t.Fatalf("%v: %v", command, err)
		}
	}
	refused := func() error {
		entries, err := s.Do("acl", "log").Slice()
		if err == nil && len(entries) > 0 {
			err = fmt.Errorf("refused: %v", entries[0])
		}
		return err
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	clock := storetest.NewClock()
	r, err := redis.Open(ctx, c, redis.Options{Clock: clock.Now, FeedRetention: 1, JobRetention: time.Minute})
	if err != nil {
		return err
	}
	err = liveWhole(ctx, r, 1, clock.Advance)
	// The subscription is made in the background.
	for err == nil {
		if err = refused(); err != nil {
			break
		}
		counts, failed := s.Do("pubsub", "numsub", "{"+c.Prefix+"}:changed").Slice()
		if failed != nil || len(counts) == 2 && counts[1] == int64(1) {
			err = failed
			break
		}
		select {
		case <-ctx.Done():
			err = ctx.Err()
		case <-time.After(time.Millisecond):
		}
	}
	return errors.Join(err, refused(), r.Close())
}

func anys(list []string) []any {
	out := make([]any, len(list))
	for i, s := range list {
		out[i] = s
	}
	return out
}

// TestDocumentedACL gives a user exactly the permissions that the page lists.
// Nothing more is needed, and nothing less is enough.
func TestDocumentedACL(t *testing.T) {
	t.Parallel()
	s := redistest.Plain(t, redistest.Options{Config: []string{"acllog-max-len 10"}})
	c := config(t, strings.NewReplacer("//", "//digestgate@", "/0", "/5").Replace(s.URL())) // "select" is for another than 0
	c.PasswordFile = keyFile(t, "secret")
	rule, _ := documentedRule(t, c.Prefix)
	if err := asUser(t, s, c, rule); err != nil {
		t.Fatalf("with the rule of the page: %v", err)
	}
	for i, part := range rule {
		if part == "-@all" || strings.HasPrefix(part, "reset") {
			continue // a new user has nothing
		}
		if err := asUser(t, s, c, slices.Delete(slices.Clone(rule), i, i+1)); err == nil {
			t.Errorf("without %s nothing is missing", part)
		} else if part == "+zadd" && !strings.Contains(err.Error(), "docs/redis.md lists the permissions") {
			t.Errorf("without %s: %v", part, err)
		}
	}
}

// TestDocumentedACLOfACluster is the same on a cluster, as far as that it is
// enough.
func TestDocumentedACLOfACluster(t *testing.T) {
	t.Parallel()
	prefix := redistest.Prefix()
	rule, more := documentedRule(t, prefix)
	user := "user digestgate on >secret " + strings.Join(append(rule, more...), " ")
	servers := redistest.Cluster(t, redistest.Options{ACL: []string{user}})
	c := config(t, servers.URL())
	c.Prefix, c.Username, c.PasswordFile = prefix, "digestgate", keyFile(t, "secret")
	clock := storetest.NewClock()
	if err := liveWhole(t.Context(), open(t, c, redis.Options{Clock: clock.Now, JobRetention: time.Minute}), 1, clock.Advance); err != nil {
		t.Fatal(err)
	}
}
