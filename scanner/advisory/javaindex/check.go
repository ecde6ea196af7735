package javaindex

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/digestgate/digestgate/gate"
)

// Counts are the rows of an index.
type Counts struct {
	Artifacts int64 // names
	Indices   int64 // archives, by their SHA-1
}

// Check reads a file from its first page to its last: SQLite finds it whole, and its
// tables have rows with the columns that are looked up.
func Check(ctx context.Context, path string) (c Counts, err error) {
	db, err := open(path)
	if err != nil {
		return c, err
	}
	defer db.Close()
	db.SetMaxOpenConns(1)
	var answer string
	if err := db.QueryRowContext(ctx, "PRAGMA quick_check(1)").Scan(&answer); err != nil {
		return c, err
	}
	if answer != "ok" {
		return c, fmt.Errorf("the file is damaged: %s", gate.Printable(answer, 200))
	}
	// A view in their place could compute for ever.
	var tables int
	const plain = "SELECT count(*) FROM sqlite_master WHERE type = 'table' AND name IN ('artifacts', 'indices') AND sql NOT LIKE 'CREATE VIRTUAL%'"
	if err := db.QueryRowContext(ctx, plain).Scan(&tables); err != nil {
		return c, err
	}
	if tables != 2 {
		return c, errors.New("the tables artifacts and indices are missing")
	}
	for query, n := range map[string]*int64{
		"SELECT count(id) FROM artifacts WHERE group_id IS NOT NULL AND artifact_id IS NOT NULL":                              &c.Artifacts,
		"SELECT count(artifact_id) FROM indices WHERE version IS NOT NULL AND archive_type IS NOT NULL AND length(sha1) = 20": &c.Indices,
	} {
		if err := db.QueryRowContext(ctx, query).Scan(n); err != nil {
			return c, err
		}
		if *n == 0 {
			return c, errors.New("a table has no rows")
		}
	}
	if c.Artifacts+c.Indices < smallRows {
		return c, nil
	}
	return c, indexed(ctx, db)
}

// smallRows is how many rows are read in some milliseconds.
const smallRows = 20_000

// indexed refuses an index without SQLite's own indices, in which each lookup would read
// the whole file.
func indexed(ctx context.Context, db *sql.DB) error {
	for table, column := range map[string]string{"indices": "sha1", "artifacts": "artifact_id"} {
		var n int
		err := db.QueryRowContext(ctx, `SELECT count(*) FROM pragma_index_list(?) l JOIN pragma_index_info(l.name) c
			WHERE c.seqno = 0 AND c.name = ?`, table, column).Scan(&n)
		if err != nil {
			return err
		}
		if n == 0 {
			return fmt.Errorf("the table %s has no index over %s", table, column)
		}
	}
	return nil
}
