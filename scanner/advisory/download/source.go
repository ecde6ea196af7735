package download

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"

	"github.com/digestgate/digestgate/gate"
)

// The files beside those of the artifact in the directory of a [Candidate].
const (
	sourceFile    = "source.json"
	manifestFile  = "manifest.json"
	signatureFile = "signature.json" // the manifest of the simple signatures, where keys are configured
)

// importPrefix begins the names of unfinished copies in the directory of advisory data,
// as those of advisory's own copies do.
const importPrefix = ".import-"

// maxSource bounds source.json.
const maxSource = 64 << 10

// readSource reads where the data of a directory came from; gate.ErrInvalid.
func readSource(dir string) (Source, error) {
	path := filepath.Join(dir, sourceFile)
	b, err := readSmall(path, maxSource)
	if err != nil {
		return Source{}, fmt.Errorf("reading where advisory data came from: %w", err)
	}
	var s Source
	if err := json.Unmarshal(b, &s); err != nil {
		return Source{}, fmt.Errorf("parsing %q: %w: %w", path, err, gate.ErrInvalid)
	}
	if !s.Manifest.Valid() || !s.Layer.Valid() {
		return Source{}, fmt.Errorf("parsing %q: it names no digests: %w", path, gate.ErrInvalid)
	}
	return s, nil
}

func writeJSON(path string, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("writing %q: %w: %w", path, err, gate.ErrInvalid)
	}
	return writeSynced(path, b)
}

func writeSynced(path string, b []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return diskError("writing", path, err)
	}
	defer f.Close()
	if _, err := f.Write(b); err != nil {
		return diskError("writing", path, err)
	}
	if err := f.Sync(); err != nil {
		return diskError("writing", path, err)
	}
	if err := f.Close(); err != nil {
		return diskError("writing", path, err)
	}
	return nil
}
