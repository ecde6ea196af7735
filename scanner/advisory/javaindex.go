package advisory

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"time"

	_ "modernc.org/sqlite" // the driver of the index

	"github.com/digestgate/digestgate/gate"
)

// The file of Trivy's index of Java archives, and its schema (trivy-java-db pkg/db).
const (
	javaFile          = "trivy-java.db"
	javaSchemaVersion = 1
)

// JavaIndex is a checked directory with Trivy's index of Java archives.
type JavaIndex struct {
	Dir       string
	UpdatedAt time.Time
	Artifacts int64 // names
	Indices   int64 // archives, by their SHA-1
	Bytes     int64
}

// InspectJava checks a directory with the index: its metadata, that SQLite opens the file
// and finds it whole, and that its tables have rows with the columns that are looked up.
// The file stays on the disk; a look at it takes some MiB of memory. Errors wrap
// gate.ErrInvalid; a context that ends, gate.ErrTimeout.
func InspectJava(ctx context.Context, dir string, now time.Time) (*JavaIndex, error) {
	meta, err := readMetadataOf(dir, now, javaSchemaVersion)
	if err != nil {
		return nil, err
	}
	path := filepath.Join(dir, javaFile)
	info, err := os.Stat(path)
	if err != nil || !info.Mode().IsRegular() {
		return nil, fmt.Errorf("looking at the index of Java archives %q: %w: %w", path, err, gate.ErrInvalid)
	}
	x := &JavaIndex{Dir: dir, UpdatedAt: meta.UpdatedAt, Bytes: info.Size()}
	if err := x.read(ctx, path); err != nil {
		if ctx.Err() != nil {
			return nil, fmt.Errorf("checking the index of Java archives %q: %w: %w", path, gate.ErrTimeout, context.Cause(ctx))
		}
		return nil, fmt.Errorf("checking the index of Java archives %q: %w: %w", path, err, gate.ErrInvalid)
	}
	return x, nil
}

// read opens the file so that nothing is written beside it.
func (x *JavaIndex) read(ctx context.Context, path string) error {
	db, err := sql.Open("sqlite", (&url.URL{Scheme: "file", Opaque: url.PathEscape(path), RawQuery: "mode=ro&immutable=1"}).String())
	if err != nil {
		return err
	}
	defer db.Close()
	db.SetMaxOpenConns(1)
	var answer string
	if err := db.QueryRowContext(ctx, "PRAGMA quick_check(1)").Scan(&answer); err != nil {
		return err
	}
	if answer != "ok" {
		return fmt.Errorf("the file is damaged: %s", gate.Printable(answer, 200))
	}
	// A view in their place could compute for ever.
	var tables int
	const plain = "SELECT count(*) FROM sqlite_master WHERE type = 'table' AND name IN ('artifacts', 'indices') AND sql NOT LIKE 'CREATE VIRTUAL%'"
	if err := db.QueryRowContext(ctx, plain).Scan(&tables); err != nil {
		return err
	}
	if tables != 2 {
		return errors.New("the tables artifacts and indices are missing")
	}
	for query, n := range map[string]*int64{
		"SELECT count(id) FROM artifacts WHERE group_id IS NOT NULL AND artifact_id IS NOT NULL": &x.Artifacts,
		"SELECT count(artifact_id) FROM indices WHERE version IS NOT NULL AND length(sha1) = 20": &x.Indices,
	} {
		if err := db.QueryRowContext(ctx, query).Scan(n); err != nil {
			return err
		}
		if *n == 0 {
			return errors.New("a table has no rows")
		}
	}
	return nil
}
