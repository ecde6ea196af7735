// Package javaindextest makes indices of Java archives for tests, as trivy-java-db makes
// them (pkg/db/db.go).
package javaindextest

import (
	"context"
	"database/sql"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/digestgate/digestgate/scanner/advisory/javaindex"
)

// Schema are the tables and their indices.
const Schema = `
CREATE TABLE artifacts(id INTEGER PRIMARY KEY, group_id TEXT, artifact_id TEXT);
CREATE TABLE indices(artifact_id INTEGER, version TEXT, sha1 BLOB, archive_type TEXT, foreign key (artifact_id) references artifacts(id));
CREATE UNIQUE INDEX artifacts_idx ON artifacts(artifact_id, group_id);
CREATE INDEX indices_artifact_idx ON indices(artifact_id);
CREATE UNIQUE INDEX indices_sha1_idx ON indices(sha1);`

// Row is one archive of an index.
type Row struct{ Group, Artifact, Version, SHA1 string }

// Make writes an index with rows and a time into a new directory.
func Make(t testing.TB, updatedAt time.Time, rows ...Row) (dir string) {
	t.Helper()
	dir = t.TempDir()
	if err := Write(t.Context(), dir, updatedAt, rows...); err != nil {
		t.Fatal(err)
	}
	return dir
}

// Write writes an index and its metadata into dir.
func Write(ctx context.Context, dir string, updatedAt time.Time, rows ...Row) error {
	db, err := sql.Open("sqlite", filepath.Join(dir, javaindex.File))
	if err != nil {
		return err
	}
	defer db.Close()
	if _, err := db.ExecContext(ctx, Schema); err != nil {
		return err
	}
	for _, r := range rows {
		sum, err := hex.DecodeString(r.SHA1)
		if err != nil {
			return err
		}
		if _, err := db.ExecContext(ctx, "INSERT OR IGNORE INTO artifacts(group_id, artifact_id) VALUES (?, ?)", r.Group, r.Artifact); err != nil {
			return err
		}
		if _, err := db.ExecContext(ctx, `INSERT INTO indices(artifact_id, version, sha1, archive_type)
			VALUES ((SELECT id FROM artifacts WHERE group_id = ? AND artifact_id = ?), ?, ?, 'jar')`, r.Group, r.Artifact, r.Version, sum); err != nil {
			return err
		}
	}
	meta := fmt.Sprintf(`{"Version":1,"UpdatedAt":%q,"NextUpdate":%q,"DownloadedAt":"0001-01-01T00:00:00Z"}`,
		updatedAt.UTC().Format(time.RFC3339), updatedAt.Add(72*time.Hour).UTC().Format(time.RFC3339))
	return os.WriteFile(filepath.Join(dir, "metadata.json"), []byte(meta), 0o600)
}
