package sqlite

import (
	"fmt"
	"strings"
)

// CloseReads makes every query of the reading side fail.
func (s *Store) CloseReads() error { return s.reads.Close() }

// What the tests of an upgrade make a store of the first version with.
const (
	SchemaV1      = schemaV1
	ApplicationID = applicationID
)

// SchemaOf makes a store of a version.
func SchemaOf(version int) string {
	return strings.Join(migrations[:version], "\n") + fmt.Sprintf("; PRAGMA application_id = %d; PRAGMA user_version = %d;", applicationID, version)
}
