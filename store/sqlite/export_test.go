package sqlite

// What the tests of an upgrade make a store of the first version with.
const (
	SchemaV1      = schemaV1
	ApplicationID = applicationID
)
