package main

import (
	"cmp"
	"context"
	"database/sql"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/digestgate/digestgate/gate/agree"
	"github.com/digestgate/digestgate/store/redis"
	"github.com/digestgate/digestgate/store/sqlite"
)

// page is where the table of all records is, under its heading.
const page, heading = "../../docs/operations.md", "### What grows"

// TestRecordsHaveEverything: what a store keeps is in exactly one row, so that a new table,
// key or setting has to be given one.
func TestRecordsHaveEverything(t *testing.T) {
	rows := map[string][]string{}
	for _, r := range records() {
		for kind, list := range map[string][]string{"table": r.tables, "key": r.keys, "setting": r.settings} {
			for _, name := range list {
				rows[kind+" "+name] = append(rows[kind+" "+name], r.name)
			}
		}
	}
	want := map[string]bool{}
	for _, name := range tablesOfSQLite(t) {
		want["table "+name] = true
	}
	for _, k := range redis.KeyTable() {
		want["key "+k.Pattern] = true
	}
	for name := range want {
		if len(rows[name]) != 1 {
			t.Errorf("the %s is in the rows %q, want one", name, rows[name])
		}
	}
	settings := map[string]bool{}
	for _, use := range agree.SettingUses() {
		settings["setting "+use.Name] = true
	}
	for name, in := range rows {
		if !want[name] && !settings[name] {
			t.Errorf("the %s of row %q does not exist", name, in)
		}
	}
}

func tablesOfSQLite(t *testing.T) (names []string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "store.db")
	st, err := sqlite.Open(t.Context(), path, sqlite.Options{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	if err := st.Close(); err != nil {
		t.Fatal(err)
	}
	db, err := sql.Open("sqlite", "file:"+path+"?mode=ro")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if err := eachRow(t.Context(), db, `SELECT name, 0 FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite\_%' ESCAPE '\'`, func(name string, _ int64) {
		names = append(names, name)
	}); err != nil || len(names) < 10 {
		t.Fatal(names, err)
	}
	return names
}

// TestTableOfRecords: the page has a row for each record, with the limits that the program
// has and with everything that it is stored in.
func TestTableOfRecords(t *testing.T) {
	rows := tableOf(t)
	for _, r := range records() {
		row, ok := rows[r.name]
		if !ok {
			t.Errorf("no row %q", r.name)
			continue
		}
		delete(rows, r.name)
		if len(row) != 6 {
			t.Errorf("row %q has %d cells behind its name, want 6", r.name, len(row))
			continue
		}
		if row[0] != cmp.Or(r.days, "–") || row[1] != cmp.Or(r.count, "–") {
			t.Errorf("row %q: days %q and count %q, want %q and %q", r.name, row[0], row[1], cmp.Or(r.days, "–"), cmp.Or(r.count, "–"))
		}
		for i, store := range []string{"SQLite", "Redis"} {
			if !strings.HasSuffix(row[2+i], "B") && row[2+i] != "–" {
				t.Errorf("row %q: %q on %s, want a number of bytes", r.name, row[2+i], store)
			}
		}
		var want []string
		for _, name := range slices.Concat(r.tables, r.keys, r.settings) {
			want = append(want, "`"+name+"`")
		}
		if got := strings.Join(want, " "); row[5] != got {
			t.Errorf("row %q is stored in %s, want %s", r.name, row[5], got)
		}
	}
	for name := range rows {
		t.Errorf("row %q is of no record", name)
	}
}

// tableOf are the cells of the table, by the first one.
func tableOf(t *testing.T) map[string][]string {
	t.Helper()
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	_, section, ok := strings.Cut(string(text), heading+"\n")
	if !ok {
		t.Fatalf("%s has no heading %q", page, heading)
	}
	rows := map[string][]string{}
	begun := false
	for line := range strings.Lines(section) {
		line = strings.TrimSpace(line)
		switch {
		case strings.HasPrefix(line, "| record "), strings.HasPrefix(line, "|---"):
			begun = true
		case begun && strings.HasPrefix(line, "|"):
			cells := strings.Split(strings.Trim(line, "|"), "|")
			for i := range cells {
				cells[i] = strings.TrimSpace(cells[i])
			}
			rows[cells[0]] = cells[1:]
		case begun:
			return rows
		}
	}
	return rows
}

// TestPatterns: a name is in the row that its pattern is in.
func TestPatterns(t *testing.T) {
	for name, want := range map[string]string{
		agree.SettingScanTasks: "scan tasks", agree.SettingNotifyLog("x"): "deliveries of notifications", agree.SettingPolicies: others,
		agree.SettingLift: "findings that stand in new data", agree.SettingLiftPart(7): "findings that stand in new data", agree.SettingNotifyTargets: others,
	} {
		if got := rowOfSetting(name); got != want {
			t.Errorf("%s is in row %q, want %q", name, got, want)
		}
	}
	for name, want := range map[string]bool{"dg:tag:a\nb\nc": true, "dg:setting:x": false, "{dg}:tag:x": false} {
		if got := pattern("P:tag:NAME", "dg").MatchString(name); got != want {
			t.Errorf("%q: %t", name, got)
		}
	}
}

// TestSizesOfSQLite: the rows together are the file.
func TestSizesOfSQLite(t *testing.T) {
	path := filepath.Join(t.TempDir(), "store.db")
	st, err := sqlite.Open(t.Context(), path, sqlite.Options{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	for i := range 100 {
		if _, err := st.PutSetting(t.Context(), fmt.Sprint("sync/", i), make([]byte, 1000), 0); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := st.PutSetting(t.Context(), agree.SettingScanTasks, make([]byte, 50_000), 0); err != nil {
		t.Fatal(err)
	}
	if err := st.Close(); err != nil {
		t.Fatal(err)
	}
	got, err := sizesOfSQLite(context.Background(), path)
	if err != nil {
		t.Fatal(err)
	}
	var all int64
	for _, n := range got {
		all += n
	}
	info, err := os.Stat(path)
	if err != nil || all != info.Size() {
		t.Errorf("the rows are %d bytes, the file %d, %v", all, info.Size(), err)
	}
	if got["scan tasks"] < 50_000 || got["scan tasks"] > 51_000 || got[others] < 100_000 {
		t.Errorf("got %v", got)
	}
}
