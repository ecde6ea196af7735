-- What images hold, see holdings.go. It is part of the schema: schemaVersion changes
-- with it.

-- Images whose row in held is missing or is not that of what their record names.
-- An image that is written again gets a new number.
CREATE TABLE stale (id INTEGER PRIMARY KEY AUTOINCREMENT, digest TEXT NOT NULL UNIQUE);

CREATE TABLE terms (id INTEGER PRIMARY KEY, term TEXT NOT NULL UNIQUE);

-- Sets of terms: the numbers in order, each as its distance to the one before. Images
-- with the same base share the set of their packages.
CREATE TABLE sets (id INTEGER PRIMARY KEY, sum BLOB NOT NULL UNIQUE, terms BLOB NOT NULL);

CREATE TABLE held (
	id              INTEGER PRIMARY KEY,
	digest          TEXT NOT NULL UNIQUE,
	inventory       BLOB NOT NULL,
	findings        BLOB NOT NULL,
	generation      INTEGER NOT NULL,    -- of the findings
	advisories      INTEGER NOT NULL,    -- term: the content of that generation
	class           INTEGER NOT NULL,    -- term
	packages        INTEGER NOT NULL,    -- set
	libraries       INTEGER NOT NULL,    -- set
	vulnerabilities INTEGER NOT NULL     -- set
);
CREATE INDEX held_packages ON held (packages);
CREATE INDEX held_libraries ON held (libraries);
CREATE INDEX held_vulnerabilities ON held (vulnerabilities);

-- In which sets a term is, of the sets of one segment, which is named by its last set:
-- the numbers as in sets. The sets after the last segment are looked through.
CREATE TABLE segments (segment INTEGER PRIMARY KEY);
CREATE TABLE postings (term INTEGER NOT NULL, segment INTEGER NOT NULL, sets BLOB NOT NULL, PRIMARY KEY (term, segment)) WITHOUT ROWID;

-- However an image is written, it is noticed here.
CREATE TRIGGER images_put AFTER INSERT ON images
	WHEN NEW.inventory IS NOT NULL AND NEW.findings IS NOT NULL
	AND NOT EXISTS (SELECT 1 FROM held h WHERE h.digest = NEW.digest AND h.inventory = NEW.inventory AND h.findings = NEW.findings)
	BEGIN INSERT OR REPLACE INTO stale (digest) VALUES (NEW.digest); END;
CREATE TRIGGER images_changed AFTER UPDATE OF inventory, findings ON images
	WHEN NEW.inventory IS NOT NULL AND NEW.findings IS NOT NULL
	AND NOT EXISTS (SELECT 1 FROM held h WHERE h.digest = NEW.digest AND h.inventory = NEW.inventory AND h.findings = NEW.findings)
	BEGIN INSERT OR REPLACE INTO stale (digest) VALUES (NEW.digest); END;
