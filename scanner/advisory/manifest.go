package advisory

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"
	"time"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/gate/agree"
)

// manifestFile is beside the two files of each generation that is kept (manifest.json is
// what an OCI artifact calls so).
const manifestFile = "generation.json"

// composerVersion is what the rules of composing are counted by: other rules make
// another content of the same sources.
const composerVersion = 1

// KindTrivyDB is a source that is a database in Trivy's format.
const KindTrivyDB = "trivy-db"

// Manifest says what a generation is made of. Its digest is the content of the
// generation: what processes agree on, and what findings name. It is kept in the store
// with the generation in force, and beside the files of each kept generation.
type Manifest struct {
	// Composer is the version of the rules by which the sources were put together.
	Composer int `json:"composer"`
	// Composition is the version of the rules of scanner/advisory/composition where several
	// named sources were put together, 0 where they were not.
	Composition int `json:"composition,omitempty"`
	// Sources are in the order of their priority, the one that decides first.
	Sources []Source `json:"sources"`
	// Held are the buckets that were refused: their rows are those of an earlier source.
	Held []Held `json:"held,omitempty"`
	// Disagreements are the first of the rows that a source decided against another. They
	// are no part of the content.
	Disagreements []gate.AdvisoryDisagreement `json:"disagreements,omitempty"`
	// Changed says how the shape differs from that of the generation before; nil when it does
	// not, or is not known. It does not belong to the content.
	Changed *Changed `json:"changed,omitempty"`
	// Database is the digest of what was composed: schema, time and bytes of the
	// database; "" when it is the only source itself.
	Database gate.Digest `json:"database,omitempty"`
	// Java is the index of Java archives that archives are looked up in; nil for none.
	Java *JavaSource `json:"java,omitempty"`
	// Bytes is the size of trivy.db, for those that fetch it. It is no part of the
	// content.
	Bytes int64 `json:"bytes,omitempty"`
}

// Source is one source of a generation.
type Source struct {
	// Name is that of a source of a composition.
	Name string `json:"name,omitempty"`
	Kind string `json:"kind"`
	// Digest is of the schema, the time and the bytes of a database; of a source of a
	// composition the content of its generation, which may hold buckets.
	Digest    gate.Digest `json:"digest"`
	Priority  int         `json:"priority"` // 0 decides first
	UpdatedAt time.Time   `json:"updatedAt"`
	// From is where the bytes came from: repository and digest of an OCI artifact; "" for
	// a directory. The same bytes are the same source wherever they come from: it is no
	// part of the content.
	From string `json:"from,omitempty"`
	// Replaces are the buckets and ecosystems of which sources after this do not count.
	Replaces []string `json:"replaces,omitempty"`
	// Licence and MaxAge are what the configuration says of it, Gave is what became of its
	// rows. They are no part of the content.
	Licence string        `json:"licence,omitempty"`
	MaxAge  time.Duration `json:"maxAge,omitempty"`
	Gave    *Gave         `json:"gave,omitempty"`
}

// Gave is what became of the rows of one source of a composition; see composition.Tally.
type Gave struct {
	Rows      int      `json:"rows"`
	Alike     int      `json:"alike,omitempty"`
	Overruled int      `json:"overruled,omitempty"`
	Replaced  int      `json:"replaced,omitempty"`
	Buckets   []string `json:"buckets,omitempty"`
	Unused    []string `json:"unused,omitempty"`
}

// Held is a bucket whose rows a generation keeps from an earlier source.
type Held struct {
	Bucket string `json:"bucket"`
	// Of is the digest of the source that the rows are of, UpdatedAt its time.
	Of        gate.Digest `json:"of"`
	UpdatedAt time.Time   `json:"updatedAt"`
	// Reason says why the newer rows were refused. It is no part of the content.
	Reason string `json:"reason,omitempty"`
}

// single is the manifest of a database that is all there is.
func single(database gate.Digest, updatedAt time.Time, bytes int64) Manifest {
	return Manifest{
		Composer: composerVersion, Bytes: bytes,
		Sources: []Source{{Kind: KindTrivyDB, Digest: database, UpdatedAt: updatedAt.UTC()}},
	}
}

// Digest is the content of a generation with this manifest. A single source that is
// used as it is has its own digest, which is what earlier versions have stored.
func (m Manifest) Digest() gate.Digest {
	if m.Composition == 0 && len(m.Sources) == 1 && len(m.Held) == 0 && m.Java == nil && m.Composer == composerVersion && m.Sources[0].Kind == KindTrivyDB && m.Sources[0].Priority == 0 {
		return m.Sources[0].Digest
	}
	h := sha256.New()
	fmt.Fprintf(h, "advisory generation\ncomposer %d\n", m.Composer)
	if m.Composition > 0 {
		fmt.Fprintf(h, "composition %d\n", m.Composition)
	}
	for _, s := range m.Sources {
		fmt.Fprintf(h, "source %q %s priority %d\n", s.Kind, s.Digest, s.Priority)
		if s.Name != "" {
			fmt.Fprintf(h, "named %q replaces %q\n", s.Name, s.Replaces)
		}
	}
	for _, b := range m.Held {
		fmt.Fprintf(h, "held %q of %s\n", b.Bucket, b.Of)
	}
	fmt.Fprintf(h, "database %s\n", m.database())
	if m.Java != nil {
		fmt.Fprintf(h, "java %s\n", m.Java.Digest)
	}
	return gate.Digest("sha256:" + hex.EncodeToString(h.Sum(nil)))
}

// withoutJava is the content of the same data without its index of Java archives.
func (m Manifest) withoutJava() gate.Digest {
	m.Java = nil
	return m.Digest()
}

// database is the digest that the files of the generation must have.
func (m Manifest) database() gate.Digest {
	if m.Database == "" && len(m.Sources) > 0 {
		return m.Sources[0].Digest
	}
	return m.Database
}

// origin is where the only source came from, "" when the generation must be taken from a
// process that has it.
func (m Manifest) origin() string {
	if len(m.Sources) != 1 || len(m.Held) > 0 || m.Composition > 0 {
		return ""
	}
	return m.Sources[0].From
}

// ages are the times of the parts of a generation of this newest time, and the oldest of
// them: a new source does not make rows look new that it did not bring. An image is judged
// by the parts that it uses.
func (m Manifest) ages(newest time.Time) (oldest time.Time, parts *gate.AdvisoryAges) {
	of := m.bucketTimes()
	oldest = newest
	for _, at := range of {
		if at.Before(oldest) {
			oldest = at
		}
	}
	return oldest, gate.NewAdvisoryAges(newest, of)
}

// bucketTimes are the times of the buckets of which the manifest says one.
func (m Manifest) bucketTimes() map[string]time.Time {
	of := map[string]time.Time{}
	m.sourceTimes(of)
	for _, h := range m.Held {
		if at, ok := of[h.Bucket]; !ok || h.UpdatedAt.Before(at) {
			of[h.Bucket] = h.UpdatedAt
		}
	}
	return of
}

// maxManifestBytes bounds a manifest: a few hundred bytes and some for each held bucket.
const maxManifestBytes = 256 << 10

func (m Manifest) encode() ([]byte, error) {
	text, err := json.MarshalIndent(m, "", "  ")
	if err == nil && len(text) > maxManifestBytes {
		err = fmt.Errorf("%d bytes, more than %d", len(text), maxManifestBytes)
	}
	if err != nil {
		return nil, fmt.Errorf("writing the manifest of advisory data: %w: %w", err, gate.ErrInvalid)
	}
	return text, nil
}

// decodeManifest reads a manifest and checks that it is that of content; ErrInvalid.
func decodeManifest(text []byte, content gate.Digest) (m Manifest, err error) {
	err = json.Unmarshal(text, &m)
	switch {
	case err != nil:
	case len(m.Sources) == 0:
		err = fmt.Errorf("it names no source")
	case content != "" && m.Digest() != content:
		err = fmt.Errorf("it is that of %s", m.Digest().Short())
	}
	if err != nil {
		return Manifest{}, fmt.Errorf("the manifest of advisory data %s cannot be used: %w: %w", content.Short(), err, gate.ErrInvalid)
	}
	return m, nil
}

// content is what processes agree on of a database; its manifest is kept in the store
// with it, so that others know where to get the bytes.
func (d *Database) content() *agree.Content {
	c := &agree.Content{Digest: d.Content, UpdatedAt: d.UpdatedAt}
	if text, err := json.Marshal(d.Manifest); err == nil && len(text) <= maxManifestBytes {
		c.Packed = text
	}
	return c
}

// manifestOf is what an activation says of its content. Versions before there were
// manifests say nothing.
func manifestOf(a agree.Activation) Manifest {
	m, err := decodeManifest(a.Packed, a.Content)
	if err != nil {
		return Manifest{Composer: composerVersion, Sources: []Source{{Kind: KindTrivyDB, Digest: a.Content, UpdatedAt: a.UpdatedAt}}}
	}
	return m
}

// readManifest reads that of the generation in dir; ok is false when it has none.
func readManifest(dir string) (text []byte, ok bool, err error) {
	text, err = gate.ReadSmallFile(filepath.Join(dir, manifestFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, fmt.Errorf("reading the manifest of advisory data: %w: %w", err, gate.ErrInvalid)
	}
	return text, true, nil
}

// adopt takes over what the manifest in dir says of the database, if it is of its files: an
// imported bundle has one.
func (d *Database) adopt(dir string) {
	text, ok, err := readManifest(dir)
	if err != nil || !ok {
		return
	}
	if m, err := decodeManifest(text, ""); err == nil && m.database() == d.Content {
		m.Java = nil // its bytes are not beside the database
		d.Manifest, d.Content = m, m.Digest()
	}
}

// saidBySource is the reason of a bucket whose source says itself that it is older than the
// rest.
const saidBySource = "its source says that it is this old"

// adoptAges takes over the times of buckets that the manifest in dir states, if it is of its
// files: a source that was composed itself, or holds rows, must not look newer than it is.
func (d *Database) adoptAges(dir string) {
	own := d.Manifest
	d.adopt(dir)
	of, reasons := d.Manifest.bucketTimes(), map[string]string{}
	for _, h := range d.Manifest.Held {
		reasons[h.Bucket] = h.Reason
	}
	for _, bucket := range slices.Sorted(maps.Keys(of)) {
		if at := of[bucket]; at.Before(d.UpdatedAt) {
			own.Held = append(own.Held, Held{Bucket: bucket, Of: own.Sources[0].Digest, UpdatedAt: at.UTC(), Reason: cmp.Or(reasons[bucket], saidBySource)})
		}
	}
	d.Manifest, d.Content = own, own.Digest()
}

// join makes an index of Java archives part of the generation; nil is none.
func (d *Database) join(java *JavaSource) {
	d.Manifest.Java = java
	d.Content = d.Manifest.Digest()
}
