// Package protocol is what the worker and the disposable analyzer child say to
// each other: HTTP/1.1 over one inherited socket pair without a path, the
// parent serving and the child asking. It holds types, limits and the child's end
// of the connection only, so that both programs may link it.
//
// A child serves exactly one [Unit] in this order:
//
//	GET  /unit        the work and its limits; the parent may hold the answer
//	                  back until it has work
//	GET  /layer/N     the compressed bytes of layer N of a layer unit, once, in order
//	POST /found/N     that layer's [Layer], which the parent writes down without
//	                  looking into it, once, before the next layer is asked for
//	GET  /config      a merge unit's image configuration, once
//	GET  /results/N   a merge unit's layer results, base first, then those of
//	                  layers read once more, each once
//	POST /result      the [Result]; nothing may follow it
//
// Anything else ends the child. The parent counts, hashes and limits the bytes
// itself; nothing in a Result about bytes, time or progress is believed.
package protocol

import (
	"bytes"
	"cmp"
	"encoding/json"

	"github.com/digestgate/digestgate/gate"
)

// Version is the version of this protocol. Parent and child of different
// versions refuse each other: they belong to one installation.
const Version = 4

// Socket is the number of the inherited file descriptor in the child.
const Socket = 3

// The limits on what a child may send back.
const (
	// MaxResultBytes bounds the body of POST /found/N; it passes through to a file. A
	// layer with 100,000 packages makes about 60 MB.
	MaxResultBytes = 128 << 20
	// MaxAnswerBytes bounds the body of POST /result, an inventory, which the parent
	// holds in memory. The largest image measured (1,675 packages) makes 0.3 MB; 8 MiB
	// are about 30,000 packages.
	MaxAnswerBytes = 8 << 20
	// MaxNotes bounds each of the lists of errors and skipped files of a layer;
	// what is over it is counted.
	MaxNotes = 200
	// MaxLeftOut bounds the reasons for which files are left out; there is one
	// for each pattern of scan.secrets.skipPaths.
	MaxLeftOut = 1100
	// MaxArchives bounds the Java archives that are recorded of a layer, and of an image:
	// an image with every Java library of Debian has 2,500.
	MaxArchives = 50_000
	// MaxNoteText bounds each text in them, in bytes.
	MaxNoteText = 400
	// MaxWanted bounds the names under which an image's content is read once
	// more. The largest pnpm layers have some 20,000 packages.
	MaxWanted = 100_000
)

// Paths of the requests.
const (
	PathUnit    = "/unit"
	PathLayer   = "/layer/"
	PathConfig  = "/config"
	PathResults = "/results/"
	PathFound   = "/found/"
	PathResult  = "/result"
)

// Kind is what a child is asked to do.
type Kind string

// The kinds of unit.
const (
	KindLayer Kind = "layer" // analyse the bytes of one layer, or of a few small ones
	KindMerge Kind = "merge" // merge layer results with the image configuration
	KindProbe Kind = "probe" // try to break out and report
)

// Unit is the work of one child.
type Unit struct {
	Version int     `json:"version"`
	Kind    Kind    `json:"kind"`
	Limits  Limits  `json:"limits"`
	Secrets Secrets `json:"secrets"`
	// Reads are the layers of a layer unit.
	Reads []Read `json:"reads,omitempty"`
	// Layers is the number of layer results of a merge unit, Again what was read
	// once more: the results behind those of the layers, in this order.
	Layers int     `json:"layers,omitempty"`
	Again  []Again `json:"again,omitempty"`
	Probe  Probe   `json:"probe,omitzero"`
}

// Read says how one layer is read.
type Read struct {
	// Wanted are the entries to read, in the order of the archive; none means every
	// file under its own name.
	Wanted []Wanted `json:"wanted,omitempty"`
	// UncompressedBytes ends the analysis when this layer unpacks to more.
	UncompressedBytes int64 `json:"uncompressedBytes"`
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
	// UncompressedBytes ends the analysis of layers that together unpack to more.
	UncompressedBytes int64 `json:"uncompressedBytes"`
	// Packages is how many packages all files of an image may list together, also
	// those that a layer above replaces: a merge holds them all.
	Packages int `json:"packages,omitempty"`
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
	Missing []string `json:"missing,omitempty"`
	Failure *Failure `json:"failure,omitempty"`
	// Layers are the heads of what each POST /found/N had: DiffID and Size only.
	Layers    []Layer         `json:"layers,omitempty"`
	Inventory *gate.Inventory `json:"inventory,omitempty"`
	// Again is the answer to a merge unit that needs layers to be read once more.
	Again []Again `json:"again,omitempty"`
	// Reached is what a probe could do that it should not be able to.
	Reached []string `json:"reached,omitempty"`
}

// FailureClass says whose fault a failed unit is.
type FailureClass string

// The classes of failure.
const (
	// FailureCorrupt: the bytes are not a layer or configuration that can be read.
	FailureCorrupt FailureClass = "corrupt"
	// FailureTooLarge: a stated limit on sizes or numbers was reached.
	FailureTooLarge FailureClass = "tooLarge"
	// FailureUndecidable: it cannot be known what a container would see.
	FailureUndecidable FailureClass = "undecidable"
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
// set, of the [Secrets] and of what was wanted only: no name, no position, no
// history of an image. A child that is not honest may also make it one of the bytes of
// the other layers of its unit, and of nothing else.
type Layer struct {
	DiffID gate.Digest `json:"diffID"` // hash of the uncompressed bytes
	Size   int64       `json:"size"`   // uncompressed, bytes
	// Problem is not empty when nobody can tell what a container would see of an
	// image with this layer.
	Problem string `json:"problem,omitempty"`
	// Index lists the archive's entries (rootfs.AppendIndex). It is empty when
	// certain entries were wanted.
	Index []byte `json:"index,omitempty"`
	// Parts are what the analysers found. The same name may be read several
	// times, because it stands twice in the archive or is wanted for several
	// contents: part k has each name's reading number k.
	Parts []Part `json:"parts,omitempty"`
}

// Part is one part of a layer's result.
type Part struct {
	// Found is the child's own business: the parent stores it and hands it to the
	// merging child without looking into it.
	Found json.RawMessage `json:"found"`
	// Packages is how many packages it lists.
	Packages int                  `json:"packages,omitempty"`
	Errors   []gate.AnalyzerError `json:"errors,omitempty"`
	Skipped  []gate.Skip          `json:"skipped,omitempty"`
	// LeftOut are the files that were left out for one reason or pattern each,
	// with their number; at most one for each pattern and some.
	LeftOut []gate.Skip `json:"leftOut,omitempty"`
	// MoreErrors and MoreSkipped count what did not fit into the lists.
	MoreErrors  []gate.ErrorCount `json:"errorsOver,omitempty"`
	MoreSkipped int               `json:"moreSkipped,omitempty"`
}

// Wanted asks for the content of an entry of a layer under a name that a
// container sees it by.
type Wanted struct {
	Entry int    `json:"entry"` // its number in the archive, from 0
	Name  []byte `json:"name"`  // a cleaned path; not always text
	Mode  uint32 `json:"mode"`  // permission bits
}

// Compare orders by entry, name and mode.
func (w Wanted) Compare(other Wanted) int {
	return cmp.Or(cmp.Compare(w.Entry, other.Entry), bytes.Compare(w.Name, other.Name), cmp.Compare(w.Mode, other.Mode))
}

// Again is a layer that must be read once more.
type Again struct {
	Layer  int      `json:"layer"` // its number in the image, from 0, the base
	Wanted []Wanted `json:"wanted"`
}
