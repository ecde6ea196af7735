-- The projection. schemaVersion changes whenever anything here does: a file of
-- another version is dropped and built again.
CREATE TABLE meta (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;

CREATE TABLE images (
	digest       TEXT PRIMARY KEY,
	kind         TEXT NOT NULL,
	platform     TEXT NOT NULL,
	state        TEXT NOT NULL,
	decision     TEXT NOT NULL,          -- worst over the locations; none without a verdict
	has_inventory INTEGER NOT NULL,
	generation   INTEGER NOT NULL,
	critical     INTEGER NOT NULL,
	high         INTEGER NOT NULL,
	medium       INTEGER NOT NULL,
	low          INTEGER NOT NULL,
	unknown      INTEGER NOT NULL,
	size         INTEGER NOT NULL,
	analyzed_at  INTEGER NOT NULL,       -- Unix microseconds, 0 never
	seen_at      INTEGER NOT NULL,       -- newest location
	accessory    INTEGER NOT NULL,       -- shown with the image that it is about
	subject      TEXT NOT NULL,          -- what the manifest says that it is about, or ''
	inventory    BLOB, findings BLOB     -- what their ids hash; NULL without, or of others
) WITHOUT ROWID;
CREATE INDEX images_subject ON images (subject, digest) WHERE subject != '';
CREATE INDEX images_seen ON images (seen_at DESC, digest);
CREATE INDEX images_state ON images (state, seen_at DESC, digest);
CREATE INDEX images_decision ON images (decision, seen_at DESC, digest);
CREATE INDEX images_kind ON images (kind, seen_at DESC, digest);

CREATE TABLE locations (
	digest TEXT NOT NULL, registry TEXT NOT NULL, repository TEXT NOT NULL, gone INTEGER NOT NULL,
	PRIMARY KEY (digest, registry, repository)
) WITHOUT ROWID;
CREATE INDEX locations_repository ON locations (repository, registry, digest);
CREATE INDEX locations_registry ON locations (registry, digest);

CREATE TABLE children (parent TEXT NOT NULL, child TEXT NOT NULL, PRIMARY KEY (parent, child)) WITHOUT ROWID;
CREATE INDEX children_child ON children (child);

-- What an index says of the attestations in it.
CREATE TABLE attestations (
	parent TEXT NOT NULL, digest TEXT NOT NULL, subject TEXT NOT NULL,
	PRIMARY KEY (parent, digest, subject)
) WITHOUT ROWID;
CREATE INDEX attestations_subject ON attestations (subject, digest);
CREATE INDEX attestations_digest ON attestations (digest);

CREATE TABLE tags (
	registry TEXT NOT NULL, repository TEXT NOT NULL, tag TEXT NOT NULL, digest TEXT NOT NULL,
	subject TEXT NOT NULL,               -- what the tag says that it is about, or ''
	PRIMARY KEY (registry, repository, tag)
) WITHOUT ROWID;
CREATE INDEX tags_subject ON tags (subject, registry, repository, tag) WHERE subject != '';
CREATE INDEX tags_digest ON tags (digest, registry, repository);
CREATE INDEX tags_tag ON tags (tag, digest);

-- Every digest, repository and tag, for searches by a part of one.
CREATE TABLE names (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);
CREATE VIRTUAL TABLE names_parts USING fts5 (name, content = 'names', content_rowid = 'id', tokenize = 'trigram', detail = none);
CREATE TRIGGER names_new AFTER INSERT ON names BEGIN
	INSERT INTO names_parts (rowid, name) VALUES (new.id, new.name);
END;

CREATE TABLE jobs (
	id TEXT PRIMARY KEY, kind TEXT NOT NULL, state TEXT NOT NULL, digest TEXT NOT NULL,
	registry TEXT NOT NULL, repository TEXT NOT NULL, updated_at INTEGER NOT NULL, body TEXT NOT NULL
) WITHOUT ROWID;
CREATE INDEX jobs_updated ON jobs (updated_at DESC, id);
CREATE INDEX jobs_state ON jobs (state, updated_at DESC, id);
CREATE INDEX jobs_kind ON jobs (kind, updated_at DESC, id);
CREATE INDEX jobs_digest ON jobs (digest, updated_at DESC, id);
