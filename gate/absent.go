package gate

// AbsentImage is an image that no registry is known to have, with what else a decision to
// forget it depends on.
type AbsentImage struct {
	Digest   Digest
	Parents  []Digest // the indexes that have it in them
	Children []Digest // of an index
	Tags     []TagKey // that are known to name it
}
