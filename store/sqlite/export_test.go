package sqlite

// CloseReads makes every query of the reading side fail.
func (s *Store) CloseReads() error { return s.reads.Close() }

// What the tests of an upgrade make a store of the first version with.
const (
	SchemaV1      = schemaV1
	ApplicationID = applicationID
)
