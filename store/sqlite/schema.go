package sqlite

import (
	"context"
	"database/sql"
	"fmt"

	"github.com/digestgate/digestgate/gate"
)

// applicationID marks a file as a store of ours ("DGAT"), so that another
// program's database is never written to.
const applicationID = 0x44474154

// migrations bring a store from the version before to the next; the first one
// creates it. A released one is never changed. Times are Unix nanoseconds, 0
// is the zero time.
var migrations = [...]string{schemaV1, schemaV2, schemaV3, schemaV4, schemaV5, schemaV6, schemaV7}

const schemaV1 = `
-- Scheduler state. One row for each job; rows of a key that a later job has
-- replaced are superseded and kept for a while only to be read by id.
CREATE TABLE jobs (
	seq        INTEGER PRIMARY KEY, -- age: what was asked for first is served first
	id         TEXT NOT NULL,       -- begins with seq
	kind       INTEGER NOT NULL,    -- a bit of kindBits
	key        TEXT NOT NULL,
	superseded INTEGER NOT NULL DEFAULT 0,
	registry   TEXT NOT NULL,
	repository TEXT NOT NULL,
	digest     TEXT NOT NULL,
	tags       TEXT NOT NULL,       -- JSON array, '' for none
	triggered  TEXT NOT NULL,
	priority   INTEGER NOT NULL,
	force      INTEGER NOT NULL,
	state      INTEGER NOT NULL,    -- see the constants in jobs.go
	epoch      INTEGER NOT NULL,
	attempts   INTEGER NOT NULL,
	retries    INTEGER NOT NULL,    -- waits in a row, for the backoff
	worker     TEXT NOT NULL,
	mask       INTEGER NOT NULL,    -- kinds that the claim asked for
	again      INTEGER NOT NULL,
	repeat     INTEGER NOT NULL,
	charge     INTEGER NOT NULL,    -- 1: a claim must reserve a charge first
	created_at INTEGER NOT NULL,
	updated_at INTEGER NOT NULL,
	started_at INTEGER NOT NULL,
	finished_at INTEGER NOT NULL,
	not_before INTEGER NOT NULL,
	lease_until INTEGER NOT NULL,
	progress   TEXT NOT NULL,       -- JSON, '' for none
	error      TEXT NOT NULL,
	reason     TEXT NOT NULL,
	CHECK (superseded = 0 OR state >= 4)
) STRICT;
-- One current job for each key; with the check above this is "at most one
-- live job per key", kept by the database itself.
CREATE UNIQUE INDEX jobs_current ON jobs (kind, key) WHERE superseded = 0;
-- The queue, a lane for each kind, need of a charge, priority and registry:
-- a claim looks at the head of each lane that may be served, so that a blocked
-- registry with 100,000 jobs costs as much as one with a single job.
CREATE INDEX jobs_ready ON jobs (kind, charge, priority, registry, seq) WHERE state = 0;
CREATE INDEX jobs_delayed ON jobs (not_before) WHERE state = 1;
CREATE INDEX jobs_parked ON jobs (seq) WHERE state = 2;
CREATE INDEX jobs_leases ON jobs (lease_until) WHERE state = 3;
CREATE INDEX jobs_running ON jobs (registry, kind) WHERE state = 3;
-- What tidying may remove; its query repeats the condition word for word.
CREATE INDEX jobs_removable ON jobs (finished_at) WHERE (state = 4 OR superseded = 1);

-- Counters that outlive a process: epochs handed out, the feed's floor.
CREATE TABLE counters (name TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT, WITHOUT ROWID;
-- How many claims have passed each class over, for each set of kinds that
-- workers ask for.
CREATE TABLE turns (
	mask INTEGER PRIMARY KEY,
	interactive INTEGER NOT NULL, push INTEGER NOT NULL, sync INTEGER NOT NULL, rescan INTEGER NOT NULL
) STRICT;
-- Starts of analyses in the last hour, of registries that limit them.
CREATE TABLE starts (registry TEXT NOT NULL, at INTEGER NOT NULL) STRICT;
CREATE INDEX starts_at ON starts (registry, at);

CREATE TABLE charges (
	digest TEXT PRIMARY KEY,
	period TEXT NOT NULL,
	served INTEGER NOT NULL, -- 0: reserved, given back if the job ends so
	at     INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE quota (period TEXT PRIMARY KEY, used INTEGER NOT NULL, avoided INTEGER NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE budgets (name TEXT PRIMARY KEY, starts INTEGER NOT NULL, ends INTEGER NOT NULL, used INTEGER NOT NULL) STRICT, WITHOUT ROWID;

-- Records. version and epoch stand outside the body so that they survive one
-- that cannot be read.
CREATE TABLE records (
	digest  TEXT PRIMARY KEY,
	version INTEGER NOT NULL,
	epoch   INTEGER NOT NULL,
	body    TEXT NOT NULL, -- JSON, '' when nothing but the epoch is known
	crc     INTEGER NOT NULL -- CRC-32C of digest and body
) STRICT;
CREATE TABLE locations (
	digest TEXT NOT NULL, registry TEXT NOT NULL, repository TEXT NOT NULL,
	seen_at INTEGER NOT NULL,
	gone    INTEGER NOT NULL,
	verdict TEXT NOT NULL, -- JSON, '' for none
	PRIMARY KEY (digest, registry, repository)
) STRICT, WITHOUT ROWID;
-- Large values: JSON, zstd. id is the hash of the JSON.
CREATE TABLE inventories (digest TEXT PRIMARY KEY, id TEXT NOT NULL, data BLOB NOT NULL) STRICT;
CREATE TABLE findings (digest TEXT PRIMARY KEY, id TEXT NOT NULL, data BLOB NOT NULL) STRICT;

CREATE TABLE tags (
	key      TEXT PRIMARY KEY, -- registry, repository and tag, newlines between
	digest   TEXT NOT NULL,
	read_at  INTEGER NOT NULL,
	dirty    INTEGER NOT NULL,
	dirty_at INTEGER NOT NULL,
	gone     INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE settings (name TEXT PRIMARY KEY, value BLOB NOT NULL, version INTEGER NOT NULL) STRICT;
CREATE TABLE feed (seq INTEGER PRIMARY KEY, kind INTEGER NOT NULL, key TEXT NOT NULL, at INTEGER NOT NULL) STRICT;
`

// schemaV2 gives a job its place in the queue apart from its number, so that one
// that returns can queue behind others, and lists waiting jobs by repository.
const schemaV2 = `
ALTER TABLE jobs ADD COLUMN place INTEGER NOT NULL DEFAULT 0; -- Unix nanoseconds: see store.PlaceOf
ALTER TABLE jobs ADD COLUMN tried INTEGER NOT NULL DEFAULT 0; -- 1: it has returned to the queue
UPDATE jobs SET place = created_at WHERE state < 4;
DROP INDEX jobs_ready;
CREATE INDEX jobs_ready ON jobs (kind, charge, priority, registry, tried, repository, place, seq) WHERE state = 0;
DROP INDEX jobs_running;
CREATE INDEX jobs_running ON jobs (registry, kind, repository) WHERE state = 3;
`

// schemaV3 remembers since when a registry refuses an image.
const schemaV3 = `
ALTER TABLE jobs ADD COLUMN refused_since INTEGER NOT NULL DEFAULT 0; -- Unix nanoseconds: see gate.Job.RefusedSince
`

// schemaV4 adds the host that a tag was read from.
const schemaV4 = `
ALTER TABLE tags ADD COLUMN host TEXT NOT NULL DEFAULT ''; -- '' where it is not known
`

// schemaV5 changes no table: values may be in the form of store/packed from now on, which
// an older program would take for damage.
const schemaV5 = ``

// schemaV6 keeps what changed on each digest, and tells in the feed that it did.
const schemaV6 = `
CREATE TABLE history (
	digest BLOB NOT NULL,    -- its hash
	number INTEGER NOT NULL, -- the version of the record that was written with it
	at     INTEGER NOT NULL,
	data   BLOB NOT NULL,    -- see store.EncodeHistory
	PRIMARY KEY (digest, number)
) STRICT, WITHOUT ROWID;
ALTER TABLE feed ADD COLUMN history INTEGER NOT NULL DEFAULT 0; -- number of the entry that was written with the change
`

// schemaV7 keeps since when a digest is gone from a location.
const schemaV7 = `
ALTER TABLE locations ADD COLUMN gone_at INTEGER NOT NULL DEFAULT 0; -- Unix nanoseconds, 0 where it is not known
`

// migrate creates the tables or brings them up to date.
func migrate(ctx context.Context, conn *sql.Conn) error {
	var id, version, tables int
	for pragma, into := range map[string]*int{
		"PRAGMA application_id": &id, "PRAGMA user_version": &version, "SELECT count(*) FROM sqlite_schema": &tables,
	} {
		if err := conn.QueryRowContext(ctx, pragma).Scan(into); err != nil {
			return storeError("reading its version", err)
		}
	}
	switch {
	case id != applicationID && (id != 0 || version != 0 || tables != 0):
		return fmt.Errorf("the file is a database of another program: %w", gate.ErrStoreUnavailable)
	case version > len(migrations):
		return fmt.Errorf("it has schema version %d, written by a newer digestgate; this one knows versions up to %d: %w",
			version, len(migrations), gate.ErrStoreUnavailable)
	}
	for v := version; v < len(migrations); v++ {
		script := fmt.Sprintf("BEGIN IMMEDIATE; %s PRAGMA application_id = %d; PRAGMA user_version = %d; COMMIT;",
			migrations[v], applicationID, v+1)
		if _, err := conn.ExecContext(ctx, script); err != nil {
			_, _ = conn.ExecContext(context.WithoutCancel(ctx), "ROLLBACK")
			return storeError(fmt.Sprintf("creating schema version %d", v+1), err)
		}
	}
	return nil
}
