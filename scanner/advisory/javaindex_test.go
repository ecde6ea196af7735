package advisory_test

import (
	"database/sql"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/scanner/advisory"
)

// javaSchema is that of trivy-java-db (pkg/db/db.go).
const javaSchema = `
CREATE TABLE artifacts(id INTEGER PRIMARY KEY, group_id TEXT, artifact_id TEXT);
CREATE TABLE indices(artifact_id INTEGER, version TEXT, sha1 BLOB, archive_type TEXT, foreign key (artifact_id) references artifacts(id));
CREATE UNIQUE INDEX artifacts_idx ON artifacts(artifact_id, group_id);
CREATE UNIQUE INDEX indices_sha1_idx ON indices(sha1);`

const javaRows = `
INSERT INTO artifacts VALUES (1, 'org.apache.logging.log4j', 'log4j-core');
INSERT INTO indices VALUES (1, '2.14.1', x'00112233445566778899aabbccddeeff00112233', 'jar');`

// javaIndex makes a directory with an index.
func javaIndex(t *testing.T, meta string, statements ...string) string {
	t.Helper()
	dir := t.TempDir()
	db, err := sql.Open("sqlite", filepath.Join(dir, "trivy-java.db"))
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range statements {
		if _, err := db.ExecContext(t.Context(), s); err != nil {
			t.Fatal(err)
		}
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "metadata.json"), []byte(meta), 0o600); err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestInspectJava(t *testing.T) {
	const meta = `{"Version":1,"UpdatedAt":"2026-11-20T00:00:00Z","NextUpdate":"2026-11-23T00:00:00Z"}`
	dir := javaIndex(t, meta, javaSchema, javaRows)
	x, err := advisory.InspectJava(t.Context(), dir, clock)
	if err != nil || x.Artifacts != 1 || x.Indices != 1 || x.Bytes == 0 || !x.UpdatedAt.Equal(time.Date(2026, 11, 20, 0, 0, 0, 0, time.UTC)) {
		t.Fatalf("got %+v, %v", x, err)
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 2 {
		t.Errorf("looking wrote files: %v, %v", entries, err)
	}
	view := strings.Replace(javaSchema, "CREATE TABLE artifacts(id INTEGER PRIMARY KEY, group_id TEXT, artifact_id TEXT);",
		"CREATE VIEW artifacts AS WITH RECURSIVE n(id) AS (SELECT 1 UNION ALL SELECT id+1 FROM n) SELECT id, 'g' AS group_id, 'a' AS artifact_id FROM n;", 1)
	view = strings.Replace(view, "CREATE UNIQUE INDEX artifacts_idx ON artifacts(artifact_id, group_id);", "", 1)
	for name, c := range map[string]struct{ dir, want string }{
		"schema":     {javaIndex(t, strings.Replace(meta, `1,`, `2,`, 1), javaSchema, javaRows), "field Version is 2"},
		"database":   {javaIndex(t, strings.Replace(meta, `"Version":1,`, "", 1), javaSchema, javaRows), "field Version is 0"},
		"no_tables":  {javaIndex(t, meta, "CREATE TABLE other(id)"), "missing"},
		"no_columns": {javaIndex(t, meta, "CREATE TABLE artifacts(id); CREATE TABLE indices(id)"), "no such column"},
		"no_rows":    {javaIndex(t, meta, javaSchema), "no rows"},
		"a_view":     {javaIndex(t, meta, view), "missing"},
	} {
		if got, err := advisory.InspectJava(t.Context(), c.dir, clock); !errors.Is(err, gate.ErrInvalid) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %+v, %v, want %q", name, got, err, c.want)
		}
	}
	path := filepath.Join(dir, "trivy-java.db")
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range []int{0, 10, 5000, len(whole) - 4096} {
		if err := os.WriteFile(path, whole[:n], 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := advisory.InspectJava(t.Context(), dir, clock); !errors.Is(err, gate.ErrInvalid) {
			t.Errorf("cut to %d of %d bytes: got %v", n, len(whole), err)
		}
	}
}
