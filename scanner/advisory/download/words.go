package download

import (
	"time"

	"github.com/digestgate/digestgate/gate"
)

// Source says where data came from; it is kept in its directory as source.json.
type Source struct {
	Artifact   string      `json:"artifact"`           // [Artifact.Name]
	Repository string      `json:"repository"`         // as configured; of a bundle or peer, its name
	Manifest   gate.Digest `json:"manifest"`           // of the manifest as served
	Layer      gate.Digest `json:"layer"`              // of the compressed layer
	LayerBytes int64       `json:"layerBytes"`         //
	SignedBy   string      `json:"signedBy,omitempty"` // file of the key; "" when no key is configured
	FetchedAt  time.Time   `json:"fetchedAt"`          // when the last byte was there
	// Own says that the repository is marked as the operator's own database, to which the
	// minimums of a first start do not apply.
	Own bool `json:"own,omitempty"`
}

// Candidate is data that arrived whole. It belongs to the caller, who renames or discards
// its directory.
type Candidate struct {
	// Dir holds the artifact's files, source.json, manifest.json and, with KeepLayer, the
	// layer. All of it is synced to the disk. Its name begins with ".import-".
	Dir string
	Source
}

// Phase is what a download is doing.
type Phase string

// The phases, in their order.
const (
	PhaseAsking      Phase = "asking"      // which manifest a tag names
	PhaseDownloading Phase = "downloading" // the layer
	PhaseUnpacking   Phase = "unpacking"   // the files
	PhaseJudging     Phase = "judging"     // Accept
)

// Progress is how far a download is.
type Progress struct {
	Repository string
	Phase      Phase
	// Done and Total are bytes of the phase; Total is 0 when it is not known.
	Done, Total int64
}

// MirrorState is how a repository is.
type MirrorState string

// The states of a repository.
const (
	MirrorUnasked MirrorState = "unasked" // since this process started
	MirrorOK      MirrorState = "ok"      // its last answer could be used
	MirrorFailing MirrorState = "failing" // its last answer could not, and it may be asked again
	MirrorResting MirrorState = "resting" // likewise, and it is left alone until RestsUntil
)

// Mirror is what is known of one repository.
type Mirror struct {
	Repository string      `json:"repository"`
	State      MirrorState `json:"state"`
	Offered    gate.Digest `json:"offered,omitempty"`   // manifest that it named last
	AskedAt    time.Time   `json:"askedAt,omitzero"`    //
	RestsUntil time.Time   `json:"restsUntil,omitzero"` //
	Problem    string      `json:"problem,omitempty"`   // why its last answer could not be used; one line
	Failures   int         `json:"failures,omitempty"`  // in a row
	// WorkedAt is when its answer could last be used; FailedAt when one could not, and
	// LastError why: both stay when it works again. Zero: not since this process started.
	WorkedAt  time.Time `json:"workedAt,omitzero"`
	FailedAt  time.Time `json:"failedAt,omitzero"`
	LastError string    `json:"lastError,omitempty"`
}
