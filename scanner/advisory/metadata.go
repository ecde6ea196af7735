package advisory

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/digestgate/digestgate/gate"
)

// The two files of a database, and the schema that the linked detectors read
// (trivy-db pkg/db.SchemaVersion).
const (
	databaseFile  = "trivy.db"
	metadataFile  = "metadata.json"
	schemaVersion = 2
)

// maxMetadataBytes bounds metadata.json, which is about 150 bytes.
const maxMetadataBytes = 64 << 10

// maxFutureSkew is how far ahead of our clock the data's time may be. Beyond it the data
// would look fresh for longer than it is, and honest data that comes after it older than
// what is in force, so that it is refused.
const maxFutureSkew = gate.ClockSkew

// metadata is the content of metadata.json.
type metadata struct {
	Version      int
	NextUpdate   time.Time
	UpdatedAt    time.Time
	DownloadedAt time.Time
}

// readMetadata reads and checks dir/metadata.json; ErrInvalid. With the zero now its time
// may be in the future: that of data that was accepted before the clock was put back.
func readMetadata(dir string, now time.Time) (metadata, error) {
	return readMetadataOf(dir, now, schemaVersion)
}

// readMetadataOf is readMetadata for data of another schema.
func readMetadataOf(dir string, now time.Time, schema int) (metadata, error) {
	path := filepath.Join(dir, metadataFile)
	f, err := os.Open(path)
	if err != nil {
		return metadata{}, fmt.Errorf("reading advisory metadata: %w: %w", err, gate.ErrInvalid)
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxMetadataBytes+1))
	if err == nil {
		b, err = gate.PlainText(b)
	}
	if err != nil {
		return metadata{}, fmt.Errorf("reading advisory metadata %q: %w", path, err)
	}
	if len(b) > maxMetadataBytes {
		return metadata{}, fmt.Errorf("reading advisory metadata %q: more than %d bytes: %w", path, maxMetadataBytes, gate.ErrInvalid)
	}
	var m metadata
	if err := json.Unmarshal(b, &m); err != nil {
		return metadata{}, fmt.Errorf("parsing advisory metadata %q: %w: %w", path, err, gate.ErrInvalid)
	}
	switch {
	case m.Version != schema:
		return metadata{}, fmt.Errorf("advisory metadata %q: field Version is %d, this version reads %d: %w", path, m.Version, schema, gate.ErrInvalid)
	case m.UpdatedAt.IsZero():
		return metadata{}, fmt.Errorf("advisory metadata %q: field UpdatedAt is missing, so that the age of the data is unknown: %w", path, gate.ErrInvalid)
	case !now.IsZero() && m.UpdatedAt.After(now.Add(maxFutureSkew)):
		return metadata{}, fmt.Errorf("advisory metadata %q: field UpdatedAt is %s, which is in the future: %w", path, m.UpdatedAt.Format(time.RFC3339), gate.ErrInvalid)
	}
	m.UpdatedAt = m.UpdatedAt.UTC()
	return m, nil
}
