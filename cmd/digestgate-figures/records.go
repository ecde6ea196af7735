package main

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/digestgate/digestgate/gate/agree"
	"github.com/digestgate/digestgate/gate/notify"
	"github.com/digestgate/digestgate/gate/retention"
	"github.com/digestgate/digestgate/gate/scantask"
	"github.com/digestgate/digestgate/gate/standing"
	"github.com/digestgate/digestgate/store"
	"github.com/digestgate/digestgate/store/redis"
	"github.com/digestgate/digestgate/store/sqlite"
)

// A record is a row of the table of docs/operations.md, "What grows": what the stores keep
// of one thing. A test finds every table of SQLite, every key of Redis and every setting in
// exactly one of them.
type record struct {
	name        string
	days, count string   // what it is kept for at most; "" for no limit of the kind
	tables      []string // of SQLite
	keys        []string // patterns of redis.KeyTable
	settings    []string // of agree.SettingUses; their bytes do not count in the row "other settings"
}

// image is in the limit of what is kept for each image.
const image = "an image"

// jobs is the row of jobs, of which there are more with more images.
const jobs = "jobs"

// others is the row of the settings that no other row has.
const others = "other settings"

func records() []record {
	images := days(keptImages)
	return []record{
		{"records", "", "1 " + image, []string{"records"}, []string{"P:{DIGEST}:record", "{P}:records"}, nil},
		{"locations with standing verdicts", images, "", []string{"locations"}, []string{"P:{DIGEST}:locations"}, nil},
		{"inventories", images, "1 " + image, []string{"inventories"}, []string{"P:{DIGEST}:inventory"}, nil},
		{"findings", images, "1 " + image, []string{"findings"}, []string{"P:{DIGEST}:findings"}, nil},
		{"history", days(keptHistory), fmt.Sprint(store.MaxHistory, " ", image), []string{"history"}, []string{"P:{DIGEST}:history"}, nil},
		{"tags", images, "", []string{"tags"}, []string{"P:tag:NAME"}, nil},
		{"charges", "", "1 " + image, []string{"charges"}, []string{"{P}:charges"}, nil},
		{"quota by period", "", "1 a period", []string{"quota"}, []string{"{P}:quota:PERIOD"}, nil},
		{"budgets", "", "1 a budget", []string{"budgets"}, []string{"{P}:budget:NAME"}, nil},
		{jobs, days(keptJobs), "", []string{"jobs"}, []string{"{P}:job:ID", "{P}:key:KIND:KEY", "{P}:ended"}, nil},
		{"queue", "", "", []string{"turns", "starts", "counters"}, []string{
			"{P}:queue:KIND:CHARGE:CLASS:TRIED:REGISTRY/REPOSITORY", "{P}:ring:KIND:CHARGE:CLASS:TRIED:REGISTRY", "{P}:waiting",
			"{P}:lane:KIND:CHARGE:CLASS:REGISTRY", "{P}:lanes", "{P}:delayed", "{P}:parked", "{P}:leases", "{P}:running:KIND:REGISTRY",
			"{P}:where:KIND:REGISTRY/REPOSITORY", "{P}:served", "{P}:tidied", "{P}:turns", "{P}:starts:REGISTRY", "{P}:claimed:NONCE",
			"{P}:schema", "{P}:clock", "{P}:checked",
		}, nil},
		{"change feed", "", fmt.Sprintf("%s; %s on Redis; and %d %s", thousands(sqlite.DefaultFeed), thousands(redis.DefaultFeed), store.FeedPerRecord, image), []string{"feed"}, []string{"{P}:feed", "{P}:floor"}, nil},
		{"scan tasks", "", fmt.Sprintf("%d, and %d ended ones", scantask.MaxLive, scantask.MaxEnded), nil, nil, []string{agree.SettingScanTasks}},
		{"deliveries of notifications", "", fmt.Sprint(notify.MaxLogged, " a target"), nil, nil, []string{agree.SettingNotifyLog("NAME")}},
		{"notifications that wait", days(notify.DefaultMaxAge), fmt.Sprint(notify.MaxQueue, " a target"), nil, nil, []string{agree.SettingNotifyState("NAME")}},
		{"what admission was asked for", "", thousands(standing.AskedMost), nil, nil, []string{agree.SettingAsked}},
		{"findings that stand in new data", "", "1 " + image, nil, nil, []string{agree.SettingLift, agree.SettingLift + "-part/N"}},
		{others, "", "", []string{"settings"}, []string{"P:setting:NAME"}, nil},
	}
}

const keptImages, keptHistory, keptJobs = retention.DefaultImages, retention.DefaultHistory, retention.DefaultJobs

// days are whole days as the table has them, "" for no limit.
func days(d time.Duration) string {
	if d == 0 {
		return ""
	}
	return strconv.Itoa(int(d / (24 * time.Hour)))
}

// thousands is a number as the table has it.
func thousands(n int) string {
	text := strconv.Itoa(n)
	if len(text) > 3 {
		text = text[:len(text)-3] + "," + text[len(text)-3:]
	}
	return text
}

// pattern is a regular expression for the names that a pattern of a table stands for: a
// part in capitals is anything, P the prefix.
func pattern(of, prefix string) *regexp.Regexp {
	parts := regexp.MustCompile(`[A-Z]+`).ReplaceAllStringFunc(of, func(part string) string {
		if part == "P" {
			return prefix
		}
		return "\x00"
	})
	return regexp.MustCompile("(?s)^" + strings.ReplaceAll(regexp.QuoteMeta(parts), "\x00", ".+") + "$")
}

// rowOfSetting is the record that has a setting.
func rowOfSetting(name string) string {
	for _, r := range records() {
		for _, s := range r.settings {
			if pattern(s, "").MatchString(name) {
				return r.name
			}
		}
	}
	return others
}

// sizes are bytes by record.
type sizes map[string]int64

// rest is the row of what no record has: free pages, and the tables that SQLite makes.
const rest = "free pages and the schema"

// sizesOfSQLite reads what each table takes, with its indices, in whole pages.
func sizesOfSQLite(ctx context.Context, path string) (sizes, error) {
	db, err := sql.Open("sqlite", "file:"+path+"?mode=ro&_pragma=busy_timeout(10000)")
	if err != nil {
		return nil, err
	}
	defer db.Close()
	out := sizes{}
	if err := eachRow(ctx, db, `SELECT coalesce(s.tbl_name, ''), sum(d.pgsize) FROM dbstat d LEFT JOIN sqlite_schema s ON s.name = d.name GROUP BY 1`, func(table string, n int64) {
		row := rest
		for _, r := range records() {
			if slices.Contains(r.tables, table) {
				row = r.name
			}
		}
		out[row] += n
	}); err != nil {
		return nil, err
	}
	if err := eachRow(ctx, db, `SELECT 'free', (SELECT freelist_count FROM pragma_freelist_count) * (SELECT page_size FROM pragma_page_size)`, func(_ string, n int64) { out[rest] += n }); err != nil {
		return nil, err
	}
	return out, eachRow(ctx, db, `SELECT name, length(name) + length(value) FROM settings`, func(name string, n int64) {
		if row := rowOfSetting(name); row != others {
			out[row] += n
			out[others] -= n
		}
	})
}

func eachRow(ctx context.Context, db *sql.DB, query string, fn func(string, int64)) error {
	rows, err := db.QueryContext(ctx, query)
	if err != nil {
		return fmt.Errorf("measuring the tables: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var name string
		var n int64
		if err := rows.Scan(&name, &n); err != nil {
			return err
		}
		fn(name, n)
	}
	return rows.Err()
}

// sizesOfRedis asks for the memory of every key.
func sizesOfRedis(ctx context.Context, address, prefix string) (sizes, error) {
	c := goredis.NewClient(&goredis.Options{Addr: address})
	defer c.Close()
	type kind struct {
		row string
		is  *regexp.Regexp
	}
	var kinds []kind
	for _, r := range records() {
		for _, k := range r.keys {
			kinds = append(kinds, kind{r.name, pattern(k, regexp.QuoteMeta(prefix))})
		}
	}
	// The most exact one decides: "{P}:key:KIND:KEY" has no wild card in its first part.
	slices.SortStableFunc(kinds, func(a, b kind) int { return cmp.Compare(len(b.is.String()), len(a.is.String())) })
	out := sizes{}
	var cursor uint64
	for {
		names, next, err := c.Scan(ctx, cursor, "*", 1000).Result()
		if err != nil {
			return nil, err
		}
		for _, name := range names {
			n, err := c.MemoryUsage(ctx, name, 0).Result()
			if errors.Is(err, goredis.Nil) {
				continue // it has expired
			}
			if err != nil {
				return nil, err
			}
			at := slices.IndexFunc(kinds, func(k kind) bool { return k.is.MatchString(name) })
			if at < 0 {
				return nil, fmt.Errorf("the key %q is in no row of redis.KeyTable", name)
			}
			row := kinds[at].row
			if setting, ok := strings.CutPrefix(name, prefix+":setting:"); ok {
				row = rowOfSetting(setting)
			}
			out[row] += n
		}
		if cursor = next; cursor == 0 {
			return out, nil
		}
	}
}

// measured reads what a site's store takes.
func (s *site) measured(ctx context.Context) (sizes, error) {
	if s.redis == nil {
		return sizesOfSQLite(ctx, filepath.Join(s.dir, "data", "digestgate.db"))
	}
	return sizesOfRedis(ctx, strings.TrimPrefix(s.storeURL, "redis://"), s.store.Prefix)
}
