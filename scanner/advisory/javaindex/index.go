// Package javaindex reads Trivy's index of Java archives, a SQLite file
// (trivy-java-db, pkg/db): which artifact an archive is, by the SHA-1 of its bytes.
//
// The index has more than ten million rows and stays on the disk; an open one takes some
// MiB of memory. It does not know generations, and downloads nothing.
package javaindex

import (
	"context"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"sync"
	"unicode/utf8"

	_ "modernc.org/sqlite" // the driver of the index

	"github.com/digestgate/digestgate/gate"
)

// File is the name of the index in its directory.
const File = "trivy-java.db"

// ErrClosed is what a lookup gives after Close.
var ErrClosed = errors.New("the index of Java archives was closed")

// Index is an open index. It is safe for concurrent use.
type Index struct {
	dir string

	mu sync.RWMutex // held for reading by lookups
	db *sql.DB      // nil after Close
}

// Open opens the index in dir, to which nothing writes. What it holds was checked before
// ([Check]). gate.ErrInvalid.
func Open(dir string) (*Index, error) {
	db, err := open(filepath.Join(dir, File))
	if err != nil {
		return nil, fmt.Errorf("opening the index of Java archives in %q: %w: %w", dir, err, gate.ErrInvalid)
	}
	db.SetMaxOpenConns(4) // as many matches as run at once on most machines; each has a cache of 2 MB
	if err := db.Ping(); err != nil {
		_ = db.Close()
		return nil, fmt.Errorf("opening the index of Java archives in %q: %w: %w", dir, err, gate.ErrInvalid)
	}
	return &Index{dir: dir, db: db}, nil
}

// open opens the file so that nothing is written beside it.
func open(path string) (*sql.DB, error) {
	return sql.Open("sqlite", (&url.URL{Scheme: "file", Opaque: url.PathEscape(path), RawQuery: "mode=ro&immutable=1"}).String())
}

// Dir is where the index is.
func (x *Index) Dir() string { return x.dir }

// Close waits for lookups that run, and closes the file.
func (x *Index) Close() error {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.db == nil {
		return nil
	}
	err := x.db.Close()
	x.db = nil
	return err
}

// maxText bounds a text of the index; the longest name in Maven Central is below.
const maxText = 256

// Name is an artifact, and how it was found: one of the words of [gate.NamedArchive].
type Name struct {
	Group, Artifact, Version string
	By                       string
}

// Full is the name that advisories have.
func (n Name) Full() string { return n.Group + ":" + n.Artifact }

func (n Name) usable() bool {
	for _, s := range []string{n.Group, n.Artifact, n.Version} {
		if s == "" || len(s) > maxText || !utf8.ValidString(s) {
			return false
		}
	}
	return true
}

// Names are what the index says that an archive is, none when it does not know. The
// manifest's word counts if there is such an artifact, and besides what the SHA-1 tells,
// which no text in the archive can change; only without both the file name is asked,
// which is a guess. Trivy asks in this order, and takes the first answer. Errors:
// ErrClosed, gate.ErrTimeout, others of a file that cannot be read.
func (x *Index) Names(ctx context.Context, q Question) ([]Name, error) {
	x.mu.RLock()
	defer x.mu.RUnlock()
	if x.db == nil {
		return nil, ErrClosed
	}
	var names []Name
	for _, ask := range []func(context.Context, Question) (Name, error){x.byManifest, x.bySHA1, x.byFileName} {
		n, err := ask(ctx, q)
		if err != nil && ctx.Err() != nil {
			return nil, fmt.Errorf("asking the index of Java archives: %w: %w", gate.ErrTimeout, context.Cause(ctx))
		}
		if err != nil {
			return nil, fmt.Errorf("asking the index of Java archives: %w", err)
		}
		guess := n.By == gate.ArchiveByFileName
		if !n.usable() || guess && len(names) > 0 {
			continue
		}
		if len(names) == 0 || names[0].Full() != n.Full() || names[0].Version != n.Version {
			names = append(names, n)
		}
	}
	return names, nil
}

func (x *Index) byManifest(ctx context.Context, q Question) (Name, error) {
	n := Name{q.Group, q.Artifact, q.Version, gate.ArchiveByManifest}
	if !n.usable() {
		return Name{}, nil
	}
	var one int
	err := x.db.QueryRowContext(ctx, `SELECT 1 FROM artifacts a JOIN indices i ON i.artifact_id = a.id
		WHERE a.artifact_id = ? AND a.group_id = ? LIMIT 1`, q.Artifact, q.Group).Scan(&one)
	return n, none(err, &n)
}

func (x *Index) bySHA1(ctx context.Context, q Question) (Name, error) {
	sum, err := hex.DecodeString(q.SHA1)
	if err != nil || len(sum) == 0 {
		return Name{}, nil //nolint:nilerr // it is nobody's
	}
	n := Name{By: gate.ArchiveBySHA1}
	err = x.db.QueryRowContext(ctx, `SELECT a.group_id, a.artifact_id, i.version FROM indices i JOIN artifacts a ON a.id = i.artifact_id
		WHERE i.sha1 = ?`, sum).Scan(&n.Group, &n.Artifact, &n.Version)
	return n, none(err, &n)
}

// byFileName is the group with most archives among those that have an artifact of that
// name and version; of several the first by name.
func (x *Index) byFileName(ctx context.Context, q Question) (Name, error) {
	n := Name{Artifact: q.FileArtifact, Version: q.FileVersion, By: gate.ArchiveByFileName}
	if n.Artifact == "" || n.Version == "" {
		return Name{}, nil
	}
	err := x.db.QueryRowContext(ctx, `SELECT f.group_id FROM indices i JOIN (
			SELECT a.id, a.group_id FROM artifacts a JOIN indices i ON i.artifact_id = a.id
			WHERE a.artifact_id = ? AND i.version = ? AND i.archive_type = 'jar') f ON f.id = i.artifact_id
		GROUP BY f.group_id ORDER BY count(*) DESC, f.group_id LIMIT 1`, n.Artifact, n.Version).Scan(&n.Group)
	return n, none(err, &n)
}

// none makes no row no name.
func none(err error, n *Name) error {
	if errors.Is(err, sql.ErrNoRows) {
		*n, err = Name{}, nil
	}
	return err
}
