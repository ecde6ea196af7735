package advisory

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"time"

	trivydb "github.com/aquasecurity/trivy-db/pkg/db"
	"github.com/aquasecurity/trivy-db/pkg/types"
	"github.com/aquasecurity/trivy-db/pkg/vulnsrc/vulnerability"
	bolt "go.etcd.io/bbolt"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/scanner/advisory/alias"
	"github.com/digestgate/digestgate/scanner/advisory/coverage"
)

// write makes trivy.db and metadata.json in dir.
func (c *collection) write(ctx context.Context, dir string, updatedAt time.Time) error {
	raw := filepath.Join(dir, "building.db")
	if err := c.fill(ctx, raw); err != nil {
		return err
	}
	if err := compact(raw, filepath.Join(dir, databaseFile)); err != nil {
		return resourceError("compacting the advisory database", err)
	}
	if err := os.Remove(raw); err != nil {
		return resourceError("removing the uncompacted advisory database", err)
	}
	return writeMetadata(dir, updatedAt)
}

// writeMetadata makes metadata.json in dir for data of a time.
func writeMetadata(dir string, updatedAt time.Time) error {
	b, err := json.Marshal(metadata{
		Version: schemaVersion, UpdatedAt: updatedAt, NextUpdate: updatedAt.Add(24 * time.Hour),
		DownloadedAt: updatedAt, // Trivy takes a zero time for a broken download
	})
	if err != nil {
		return fmt.Errorf("writing advisory metadata: %w", err)
	}
	if err := os.WriteFile(filepath.Join(dir, metadataFile), append(b, '\n'), 0o644); err != nil {
		return resourceError("writing advisory metadata", err)
	}
	return nil
}

// fill writes everything into a new bbolt file with trivy-db's own functions,
// which take the transaction and leave its package-global connection alone.
func (c *collection) fill(ctx context.Context, path string) error {
	// NoSync: the file is thrown away if anything goes wrong.
	db, err := bolt.Open(path, 0o644, &bolt.Options{NoSync: true, NoFreelistSync: true})
	if err != nil {
		return resourceError("making the advisory database", err)
	}
	defer db.Close()
	err = db.Update(func(tx *bolt.Tx) error {
		if _, err := tx.CreateBucketIfNotExists([]byte(detailBucket)); err != nil {
			return err
		}
		for _, name := range slices.Sorted(maps.Keys(c.buckets)) {
			if err := ctx.Err(); err != nil {
				return fmt.Errorf("%w: %w", gate.ErrTimeout, err)
			}
			if err := c.buckets[name].write(tx, name); err != nil {
				return err
			}
		}
		if err := c.writeCoverage(tx); err != nil {
			return err
		}
		return c.writeDetails(tx)
	})
	if err != nil {
		return resourceError("writing the advisory database", err)
	}
	return db.Close()
}

func (b *bucketData) write(tx *bolt.Tx, name string) error {
	var dbc trivydb.Config
	if _, err := tx.CreateBucketIfNotExists([]byte(name)); err != nil {
		return fmt.Errorf("bucket %q: %w", name, err)
	}
	if err := dbc.PutDataSource(tx, name, b.source); err != nil {
		return fmt.Errorf("data source of bucket %q: %w", name, err)
	}
	for _, pkg := range slices.Sorted(maps.Keys(b.packages)) {
		advs := b.packages[pkg]
		for _, id := range slices.Sorted(maps.Keys(advs)) {
			adv := advs[id]
			// By pointer: the status is only written by the pointer's marshaller.
			if err := dbc.PutAdvisory(tx, []string{name, pkg}, id, &adv); err != nil {
				return fmt.Errorf("bucket %q: package %q: %s: %w", name, pkg, id, err)
			}
		}
	}
	return nil
}

// writeCoverage writes what the sources say about each bucket.
func (c *collection) writeCoverage(tx *bolt.Tx) error {
	root, err := tx.CreateBucketIfNotExists([]byte(coverage.RootBucket))
	if err != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(c.buckets)) {
		value, err := c.buckets[name].coverage(name).Encode()
		if err != nil {
			return err
		}
		if err := root.Put([]byte(name), value); err != nil {
			return fmt.Errorf("coverage of bucket %q: %w", name, err)
		}
	}
	return nil
}

// writeDetails writes the record of every vulnerability of which a source says
// more than the identifier, and of the identifiers that stand for CVEs.
func (c *collection) writeDetails(tx *bolt.Tx) error {
	var dbc trivydb.Config
	normalise := vulnerability.New(dbc).Normalize // a pure function of its arguments
	ids := maps.Clone(c.aliases)
	for id := range c.details {
		ids[id] = nil
	}
	for _, id := range slices.Sorted(maps.Keys(ids)) {
		var v types.Vulnerability
		if details, ok := c.details[id]; ok {
			v = normalise(id, details)
		}
		alias.Put(&v, c.aliases[id]...)
		c.ownWords(&v, id)
		if v.PublishedDate == nil {
			v.PublishedDate = firstPublished(c.details[id])
		}
		if err := dbc.PutVulnerability(tx, id, v); err != nil {
			return fmt.Errorf("vulnerability %s: %w", id, err)
		}
	}
	return nil
}

// ownWords fills title and description from the vendors that trivy-db does not know.
func (c *collection) ownWords(v *types.Vulnerability, id string) {
	details := c.details[id]
	for _, source := range slices.Sorted(maps.Keys(details)) {
		if v.Title == "" {
			v.Title = details[source].Title
		}
		if v.Description == "" {
			v.Description = details[source].Description
		}
	}
}

// firstPublished fills a gap: trivy-db takes the date from NVD or GitHub only,
// which are not among the sources here.
func firstPublished(details map[types.SourceID]types.VulnerabilityDetail) *time.Time {
	var first *time.Time
	for _, d := range details {
		if d.PublishedDate != nil && (first == nil || d.PublishedDate.Before(*first)) {
			first = d.PublishedDate
		}
	}
	return first
}

// compact copies a database in key order, one key to a transaction. bbolt
// places the pages of several changed buckets in the order of a Go map; with a
// single changed bucket per transaction the same content gives the same bytes.
func compact(from, to string) error {
	src, err := openReadOnly(from)
	if err != nil {
		return err
	}
	defer src.Close()
	dst, err := bolt.Open(to, 0o644, &bolt.Options{NoSync: true, NoFreelistSync: true})
	if err != nil {
		return err
	}
	defer dst.Close()
	if err := bolt.Compact(dst, src, 1); err != nil {
		return err
	}
	if err := dst.Sync(); err != nil {
		return err
	}
	return dst.Close()
}
