// Package protocol is what the worker and the disposable analyzer child say to
// each other: HTTP/1.1 over one inherited socket pair without a path, the
// parent serving and the child asking. It holds types, limits and the child's end
// of the connection only, so that both programs may link it.
//
// A child serves exactly one [Unit] in this order:
//
//	GET  /unit        the work and its limits; the parent may hold the answer
//	                  back until it has work
//	GET  /layer       a layer unit's compressed bytes, once
//	GET  /config      a merge unit's image configuration, once
//	GET  /results/N   a merge unit's layer results, base first, each once
//	POST /result      the [Result]; nothing may follow it
//
// Anything else ends the child. The parent counts, hashes and limits the bytes
// itself; nothing in a Result about bytes, time or progress is believed.
package protocol

import (
	"encoding/json"

	"github.com/digestgate/digestgate/gate"
)

// Version is the version of this protocol. Parent and child of different
// versions refuse each other: they belong to one installation.
const Version = 1

// Socket is the number of the inherited file descriptor in the child.
const Socket = 3

// The limits on what a child may send back.
const (
	// MaxResultBytes bounds the body of POST /result. The largest image measured
	// (1,675 packages) makes 0.3 MB; a layer with 100,000 packages about 60 MB.
	MaxResultBytes = 128 << 20
	// MaxNotes bounds each of the lists of errors and skipped files of a layer;
	// what is over it is counted.
	MaxNotes = 200
	// MaxNoteText bounds each text in them, in bytes.
	MaxNoteText = 400
)

// Paths of the requests.
const (
	PathUnit    = "/unit"
	PathLayer   = "/layer"
	PathConfig  = "/config"
	PathResults = "/results/"
	PathResult  = "/result"
)

// Kind is what a child is asked to do.
type Kind string

// The kinds of unit.
const (
	KindLayer Kind = "layer" // analyse the bytes of one layer
	KindMerge Kind = "merge" // merge layer results with the image configuration
	KindProbe Kind = "probe" // try to break out and report
)

// Unit is the work of one child.
type Unit struct {
	Version int     `json:"version"`
	Kind    Kind    `json:"kind"`
	Limits  Limits  `json:"limits"`
	Secrets Secrets `json:"secrets"`
	// Layers is the number of layer results of a merge unit.
	Layers int   `json:"layers,omitempty"`
	Probe  Probe `json:"probe,omitzero"`
}

// Limits bound the child; it applies them to itself before it reads a hostile
// byte. Zero means no limit.
type Limits struct {
	// DataBytes is RLIMIT_DATA: everything writable, the runtime's reserve too.
	DataBytes int64 `json:"dataBytes"`
	// FileBytes is RLIMIT_FSIZE, and the largest file kept for an analyser.
	FileBytes int64 `json:"fileBytes"`
	// TempBytes is what all temporary files together may take.
	TempBytes int64 `json:"tempBytes"`
	// UncompressedBytes ends the analysis of a layer that unpacks to more.
	UncompressedBytes int64 `json:"uncompressedBytes"`
	// CPUSeconds is RLIMIT_CPU.
	CPUSeconds int64 `json:"cpuSeconds"`
}

// Secrets configures the search for secrets.
type Secrets struct {
	Enabled      bool     `json:"enabled"`
	SkipPaths    []string `json:"skipPaths,omitempty"`
	MaxFileBytes int64    `json:"maxFileBytes"`
}

// Probe is what a probe unit tries to reach.
type Probe struct {
	Files   []string `json:"files,omitempty"`   // to open for reading
	Address string   `json:"address,omitempty"` // host:port to connect to
}

// Result is the answer to a unit: a Failure, or the part for its kind.
type Result struct {
	Version int `json:"version"`
	// Set identifies the child's analysers, their versions and rules.
	Set string `json:"set"`
	// Missing names the protections that the child could not set up.
	Missing   []string        `json:"missing,omitempty"`
	Failure   *Failure        `json:"failure,omitempty"`
	Layer     *Layer          `json:"layer,omitempty"`
	Inventory *gate.Inventory `json:"inventory,omitempty"`
	// Reached is what a probe could do that it should not be able to.
	Reached []string `json:"reached,omitempty"`
}

// FailureClass says whose fault a failed unit is.
type FailureClass string

// The classes of failure.
const (
	// FailureCorrupt: the bytes are no readable layer or configuration.
	FailureCorrupt FailureClass = "corrupt"
	// FailureTooLarge: a stated limit on sizes or numbers was reached.
	FailureTooLarge FailureClass = "tooLarge"
	// FailureDiskFull: the file system of the temporary directory is full.
	FailureDiskFull FailureClass = "diskFull"
	// FailureInternal: everything else.
	FailureInternal FailureClass = "internal"
)

// Failure is why a unit has no result.
type Failure struct {
	Class   FailureClass `json:"class"`
	Message string       `json:"message"`
}

// Layer is what one layer contains, a function of its bytes, of the analyser
// set and of the [Secrets] only: no name, no position, no history of an image.
type Layer struct {
	DiffID gate.Digest `json:"diffID"` // hash of the uncompressed bytes
	Size   int64       `json:"size"`   // uncompressed, bytes
	// Blob is Trivy's BlobInfo. The parent stores it and hands it to the merging
	// child without looking into it.
	Blob json.RawMessage `json:"blob"`
	// Markers are the paths in the layer that show a distribution's root file
	// system (see rootfs.Marker).
	Markers []string             `json:"markers,omitempty"`
	Errors  []gate.AnalyzerError `json:"errors,omitempty"`
	Skipped []gate.Skip          `json:"skipped,omitempty"`
	// MoreErrors and MoreSkipped count what did not fit into the lists.
	MoreErrors  int `json:"moreErrors,omitempty"`
	MoreSkipped int `json:"moreSkipped,omitempty"`
}
