package joined

import (
	"bytes"
	"time"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/gate/agree"
	"github.com/digestgate/digestgate/scanner/joined/eol"
	"github.com/digestgate/digestgate/scanner/joined/epss"
	"github.com/digestgate/digestgate/scanner/joined/kev"
	"github.com/digestgate/digestgate/scanner/joined/vex"
)

// kind is what is particular to a table. A T that is nil is an empty table: what is in
// force after the last source was taken out of the configuration.
type kind[T any] struct {
	name    gate.TableKind
	setting string
	what    string // for people
	// pack and unpack make of a table what is stored, and back.
	pack   func(*T) (any, error)
	unpack func(agree.Activation) (*T, error)
	at     func(*T) time.Time
	rows   func(*T) int
	model  func(*T) string
}

func same[T any](t *T) (any, error) { return t, nil }

func noModel[T any](*T) string { return "" }

func epssKind() kind[epss.Table] {
	return kind[epss.Table]{
		name: gate.TableEPSS, setting: agree.SettingEPSS, what: "EPSS scores",
		pack: func(t *epss.Table) (any, error) {
			if t == nil {
				return nil, nil
			}
			return t.Pack()
		},
		unpack: func(a agree.Activation) (*epss.Table, error) {
			p, err := agree.UnpackJSON[*epss.Packed](a)
			if err != nil || p == nil {
				return nil, err
			}
			return p.Unpack()
		},
		at: func(t *epss.Table) time.Time { return t.ScoredAt }, rows: (*epss.Table).Len, model: func(t *epss.Table) string { return t.Model },
	}
}

func kevKind() kind[kev.Table] {
	return kind[kev.Table]{
		name: gate.TableKEV, setting: agree.SettingKEV, what: "known exploited vulnerabilities", pack: same[kev.Table], unpack: agree.UnpackJSON[*kev.Table],
		at: func(t *kev.Table) time.Time { return t.ReleasedAt }, rows: func(t *kev.Table) int { return len(t.Entries) }, model: noModel[kev.Table],
	}
}

func eolKind() kind[eol.Table] {
	return kind[eol.Table]{
		name: gate.TableEOL, setting: agree.SettingEOL, what: "dates of ends of life", pack: same[eol.Table], unpack: agree.UnpackJSON[*eol.Table],
		at: func(t *eol.Table) time.Time { return t.GeneratedAt }, rows: (*eol.Table).Rows, model: noModel[eol.Table],
	}
}

func vexKind() kind[vex.Table] {
	return kind[vex.Table]{
		name: gate.TableVEX, setting: agree.SettingVEX, what: "VEX statements", pack: same[vex.Table], unpack: agree.UnpackJSON[*vex.Table],
		at: (*vex.Table).UpdatedAt, rows: (*vex.Table).Rows, model: noModel[vex.Table],
	}
}

// content is a table as processes agree on it.
func (k kind[T]) content(t *T) (agree.Content, error) {
	v, err := k.pack(t)
	if err != nil {
		return agree.Content{}, err
	}
	c, err := agree.PackJSON(v)
	if t != nil {
		c.UpdatedAt = k.at(t)
	}
	return c, err
}

// inForce describes a table that is in force.
func (k kind[T]) inForce(t *T, a agree.Activation) gate.Table {
	if t == nil {
		return gate.Table{}
	}
	return gate.Table{Number: a.Number, Content: a.Content, UpdatedAt: k.at(t).UTC(), Rows: k.rows(t), Model: k.model(t)}
}

// agreeing is how processes agree on a table. Its content is small enough for the store.
// Alone says that no other process uses the store.
func (k kind[T]) agreeing(alone bool) agree.Kind {
	wins := agree.ByTime
	if k.name == gate.TableVEX {
		wins = agree.ByHistory // its statements have no order: one that is withdrawn leaves none
	}
	a := agree.Kind{
		Setting: k.setting, Format: 1, Wins: wins, Alone: alone, PutBack: true, File: "joined/" + string(k.name) + ".json",
		Words: agree.Words{What: k.what, Here: "what is configured here", Number: "activation", InUse: k.what + " in force", Messages: messages()},
	}
	if alone {
		a.File = "" // what is configured says all that there is to remember
	}
	return a
}

func messages() agree.Messages {
	return agree.Messages{
		Activated: "a table that is joined to findings was put in force",
		Differs:   "the table that is configured here is not the one in force",
		PutBack:   "the store had lost a table that is joined to findings, it was put back",
		Forgotten: "a table that is joined to findings is not remembered for the next start",
		NotLoaded: "a table that is joined to findings does not load, the former stays in use here",
		Unknown:   "it is not known which table is joined to findings, the former stays in use here",
	}
}

// reading reads a document of a kind that has one source.
type reading[T any] func(text []byte) (*T, error)

func readEPSS(text []byte) (*epss.Table, error) { return epss.Read(bytes.NewReader(text)) }
func readKEV(text []byte) (*kev.Table, error)   { return kev.Read(bytes.NewReader(text)) }
func readEOL(text []byte) (*eol.Table, error)   { return eol.Read(bytes.NewReader(text)) }
