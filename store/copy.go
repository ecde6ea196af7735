package store

import (
	"bytes"
	"context"
	"encoding/json"
	"maps"
	"slices"
	"time"

	"github.com/digestgate/digestgate/gate"
)

// Exporter gives out everything that another store needs to stand in the place of
// this one. What lives for minutes only is left out: budgets, starts of the last
// hour, turns of the classes, the feed, and jobs that a later one has superseded.
type Exporter interface {
	// Position is the sequence of the newest change, 0 for none: it moves when
	// anything changes that a copy should have.
	Position(ctx context.Context) (int64, error)
	// Export calls fn for each piece of a section, in the order of the bytes of
	// their names, from the first one after a name ("" begins). What cannot be
	// read is logged and left out. An error of fn ends it and comes back as it
	// is. gate.ErrInvalid for a section that is not known.
	Export(ctx context.Context, section Section, after string, fn func(Piece) error) error
}

// Importer takes in what an Exporter has given out.
type Importer interface {
	// Import stores a piece unless the same or a newer one is there, and reports
	// whether it wrote: repeating it changes nothing. It keeps versions and
	// epochs, raises the store's own numbers above them, and tells the feed.
	// Charges and records are imported before jobs. gate.ErrInvalid for a piece
	// of no sense.
	Import(ctx context.Context, p Piece) (changed bool, err error)
}

// Section is a part of what a store holds.
type Section string

// The sections.
const (
	SectionCharges  Section = "charges"
	SectionQuota    Section = "quota"
	SectionSettings Section = "settings"
	SectionTags     Section = "tags"
	SectionRecords  Section = "records"
	SectionJobs     Section = "jobs"
)

// Sections are all of them in the order in which they are imported: a job needs
// to know whether its digest is charged.
func Sections() []Section {
	return []Section{SectionCharges, SectionQuota, SectionSettings, SectionTags, SectionRecords, SectionJobs}
}

// Piece is one thing of a section; the field of its section is set.
type Piece struct {
	Section Section `json:"-"`
	// Name is a digest (charges, records), a period, the name of a setting, a
	// TagName or a JobName.
	Name    string         `json:"-"`
	Charge  *gate.Charge   `json:"charge,omitempty"`
	Quota   *gate.QuotaUse `json:"quota,omitempty"`
	Setting *SettingPiece  `json:"setting,omitempty"`
	// Tag keeps its times: when it was read decides what it is worth.
	Tag    *gate.TagMapping `json:"tag,omitempty"`
	Record *RecordPiece     `json:"record,omitempty"`
	// Job is the newest one of its key, whatever its state. One that was running
	// is queued: its worker works for another store.
	Job *JobPiece `json:"job,omitempty"`
}

// SettingPiece is a setting.
type SettingPiece struct {
	Value   []byte `json:"value"`
	Version int64  `json:"version"`
}

// RecordPiece is a record with its locations and large values. A value that is
// missing or damaged is empty; the record names it all the same.
type RecordPiece struct {
	Body
	Inventory Value `json:"inventory"`
	Findings  Value `json:"findings"`
	// History is what the digest's history keeps, the oldest first; times in microseconds.
	History []HistoryPiece `json:"history"`
}

// JobPiece is a job and how often in a row it has waited. Its times are in
// microseconds, which every store can keep.
type JobPiece struct {
	gate.Job
	Retries int `json:"retries"`
}

// JobName names the jobs of a key: the kind as stored, and the key.
func JobName(kind gate.JobKind, key string) string {
	return string('0'+rune(KindBit(kind))) + ":" + key
}

// NewJobPiece is the piece of a job.
func NewJobPiece(j gate.Job, retries int) *JobPiece {
	if j.State == gate.JobRunning {
		j.State, j.Worker, j.LeaseUntil, j.Again, j.Progress = gate.JobQueued, "", time.Time{}, false, gate.Progress{}
	}
	for _, t := range []*time.Time{&j.CreatedAt, &j.UpdatedAt, &j.StartedAt, &j.FinishedAt, &j.NotBefore, &j.LeaseUntil, &j.RefusedSince} {
		*t = t.Truncate(time.Microsecond)
	}
	return &JobPiece{j, retries}
}

// NewRecordPiece is the piece of a record, with the values that the codec finds
// to be what the record names.
func NewRecordPiece(c *Codec, b Body, inventory, findings []byte) *RecordPiece {
	whole := func(id string, data []byte, size int) Value {
		v := Value{ID: id, Data: data, Size: size}
		if id == "" || c.Check(v) != nil {
			return Value{}
		}
		return v
	}
	return &RecordPiece{Body: b, Inventory: whole(b.InventoryID, inventory, b.InventorySize), Findings: whole(b.FindingsID, findings, b.FindingsSize)}
}

// Check reports whether a piece can be imported.
func (p Piece) Check() error {
	fields := map[Section]bool{
		SectionCharges: p.Charge != nil, SectionQuota: p.Quota != nil, SectionSettings: p.Setting != nil,
		SectionTags: p.Tag != nil, SectionRecords: p.Record != nil, SectionJobs: p.Job != nil,
	}
	switch {
	case !fields[p.Section] || p.Name == "":
		return gate.ErrInvalid
	case p.Section == SectionCharges || p.Section == SectionRecords:
		if d := gate.Digest(p.Name); !d.Valid() || (p.Record != nil && p.Record.Digest != d) {
			return gate.ErrDigestInvalid
		}
		if p.Record != nil {
			return checkHistory(p.Record.History)
		}
	case p.Section == SectionSettings:
		return CheckSetting(p.Name, p.Setting.Value)
	case p.Section == SectionTags:
		return CheckTag(p.Tag.TagKey)
	case p.Section == SectionJobs && KindBit(p.Job.Kind) == 0:
		return gate.ErrInvalid
	}
	return nil
}

// Differences are the names of the fields in which two pieces of the same name
// differ; large values are compared by what they hash to.
func Differences(a, b Piece) []string {
	before, after := a.fields(), b.fields()
	var list []string
	for name := range before {
		if !bytes.Equal(before[name], after[name]) {
			list = append(list, name)
		}
		delete(after, name)
	}
	return slices.Sorted(slices.Values(append(list, slices.Collect(maps.Keys(after))...)))
}

// fields is the JSON of what a piece holds, by field.
func (p Piece) fields() map[string]json.RawMessage {
	if p.Record != nil {
		r := *p.Record
		r.Inventory.Data, r.Findings.Data = nil, nil
		if len(r.Locations) == 0 {
			r.Locations = nil
		}
		if len(r.History) == 0 {
			r.History = nil
		}
		p.Record = &r
	}
	if p.Setting != nil && len(p.Setting.Value) == 0 {
		p.Setting = &SettingPiece{Value: []byte{}, Version: p.Setting.Version}
	}
	out := map[string]json.RawMessage{}
	text, err := json.Marshal(p)
	if err == nil {
		var whole map[string]json.RawMessage
		err = json.Unmarshal(text, &whole)
		for _, part := range whole {
			err = json.Unmarshal(part, &out)
		}
	}
	if err != nil {
		out["json"] = json.RawMessage(err.Error()) // of our own types; it shows as a difference
	}
	return out
}
