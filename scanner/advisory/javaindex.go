package advisory

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/scanner/advisory/javaindex"
)

// javaSchemaVersion is the schema of Trivy's index of Java archives (trivy-java-db pkg/db).
const javaSchemaVersion = 1

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
	path := filepath.Join(dir, javaindex.File)
	info, err := os.Stat(path)
	if err != nil || !info.Mode().IsRegular() {
		return nil, fmt.Errorf("looking at the index of Java archives %q: %w: %w", path, err, gate.ErrInvalid)
	}
	x := &JavaIndex{Dir: dir, UpdatedAt: meta.UpdatedAt, Bytes: info.Size()}
	counts, err := javaindex.Check(ctx, path)
	if err != nil {
		if ctx.Err() != nil {
			return nil, fmt.Errorf("checking the index of Java archives %q: %w: %w", path, gate.ErrTimeout, context.Cause(ctx))
		}
		return nil, fmt.Errorf("checking the index of Java archives %q: %w: %w", path, err, gate.ErrInvalid)
	}
	x.Artifacts, x.Indices = counts.Artifacts, counts.Indices
	return x, nil
}
