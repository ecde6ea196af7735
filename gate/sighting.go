package gate

import "time"

// Sighting is what was found of one digest at one location of a registry, and the work
// that is due for it. A store records it in one call.
type Sighting struct {
	Digest Digest
	// Manifest is what the digest is, if that was just read; nil otherwise.
	Manifest *Manifest
	Location Location // that serves the digest
	// Tags are the reads that found a tag of the location to name the digest.
	Tags []TagReading
	// Request is for the job that is due, nil for none.
	Request *JobRequest
}

// Key names a tag of the sighting.
func (s Sighting) Key(tag int) TagKey { return TagKey{Location: s.Location, Tag: s.Tags[tag].Tag} }

// TagReading is a read of one tag.
type TagReading struct {
	Tag    string
	ReadAt time.Time // the store's, when the read started
	Host   string    // that was read
}

// Sighted is what stands after a sighting was recorded.
type Sighted struct {
	Tags []TagMapping // of the sighting's tags, in their order
	// Job and Outcome are the answer to the request, if there was one.
	Job     Job
	Outcome Enqueued
	// Forgotten says that the digest was forgotten until now, see Record.Forgotten.
	Forgotten bool
}
