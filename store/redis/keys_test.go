package redis_test

import (
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/digestgate/digestgate/store/redis"
	"github.com/digestgate/digestgate/store/storetest"
)

// TestKeyTablePage compares the table of the page with the program.
func TestKeyTablePage(t *testing.T) {
	page, err := os.ReadFile("../../docs/redis.md")
	if err != nil {
		t.Fatal(err)
	}
	row := regexp.MustCompile("(?m)^\\| `([^`]+)` \\| ([^|]+) \\| ([^|]+) \\| ([^|]+) \\| ([^|]+) \\| ([^|]+) \\|$")
	var got []redis.KeyRow
	for _, m := range row.FindAllStringSubmatch(string(page), -1) {
		got = append(got, redis.KeyRow{Pattern: m[1], Type: m[2], Life: m[3], Holds: m[4], Writers: m[5], Readers: m[6]})
	}
	if diff := cmp.Diff(redis.KeyTable(), got); diff != "" {
		t.Errorf("keys (-program +page):\n%s", diff)
	}
}

// placeholder is what stands in a pattern for a part that differs.
var placeholder = regexp.MustCompile(`[A-Z]{2,}`)

// matcher finds the keys of a row. Names of tags hold newlines.
func matcher(row redis.KeyRow, prefix string) *regexp.Regexp {
	pattern := regexp.QuoteMeta(row.Pattern)
	pattern = placeholder.ReplaceAllStringFunc(pattern, func(name string) string {
		switch name {
		case "KIND", "CHARGE", "CLASS", "TRIED":
			return `\d`
		case "DIGEST":
			return `sha256:[0-9a-f]{64}`
		}
		return `.+`
	})
	pattern = strings.Replace(pattern, `\{P\}:`, `\{`+regexp.QuoteMeta(prefix)+`\}:`, 1)
	if rest, ok := strings.CutPrefix(pattern, "P:"); ok {
		pattern = regexp.QuoteMeta(prefix) + ":" + rest
	}
	return regexp.MustCompile(`(?s)^` + pattern + `$`)
}

// TestKeysAreThoseOfTheTable runs some of everything and looks at all keys: each
// is in one row of the table, has its type, and a time to live if and only if
// the row says so; and each row was found.
func TestKeysAreThoseOfTheTable(t *testing.T) {
	t.Parallel()
	server := servers.Plain(t)
	c := config(t, server.URL())
	clock := storetest.NewClock()
	s := open(t, c, redis.Options{Clock: clock.Now, FeedRetention: 1, JobRetention: time.Minute})
	if err := liveWhole(t.Context(), s, 1100, clock.Advance); err != nil { // 1,100 are more than this feed keeps
		t.Fatal(err)
	}
	ctx, client := t.Context(), server.Client(t)
	found := map[string]bool{}
	rows := redis.KeyTable()
	keys := client.Scan(ctx, 0, "*"+c.Prefix+"*", 10_000).Iterator()
	for keys.Next(ctx) {
		key := keys.Val()
		var mine []redis.KeyRow
		for _, row := range rows {
			if matcher(row, c.Prefix).MatchString(key) {
				mine = append(mine, row)
			}
		}
		if len(mine) != 1 {
			t.Errorf("key %q is in %d rows of the table", key, len(mine))
			continue
		}
		row := mine[0]
		found[row.Pattern] = true
		kind, _, _ := strings.Cut(row.Type, " by")
		kind, _, _ = strings.Cut(kind, ",")
		if got := client.Type(ctx, key).Val(); got != strings.Replace(kind, "sorted set", "zset", 1) {
			t.Errorf("key %q is a %s, the table says %s", key, got, kind)
		}
		if got := client.PTTL(ctx, key).Val() > 0; got != strings.HasPrefix(row.Life, "TTL") {
			t.Errorf("key %q expires: %v, the table says %q", key, got, row.Life)
		}
	}
	if err := keys.Err(); err != nil {
		t.Fatal(err)
	}
	for _, row := range rows {
		if !found[row.Pattern] && row.Writers != "earlier versions" {
			t.Errorf("no key of the row %q was made, or it is not used any more", row.Pattern)
		}
	}
}
