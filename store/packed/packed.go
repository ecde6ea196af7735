// Package packed is the binary form of inventories and findings: a table of their texts,
// each once, and then the fields, which name texts by their number. It is a fifth of the
// work of JSON to read and half as long. What JSON keeps of a value is kept, and nothing
// else: a text that is not UTF-8 is stored as JSON would store it, an empty list that
// JSON leaves out is nil when it is read.
//
// Its functions are safe for concurrent use. They trust no byte: what was not written by
// this package is [ErrDamaged], and costs no more memory than JSON of its length could.
package packed

import (
	"errors"

	"github.com/digestgate/digestgate/gate"
)

var (
	// ErrDamaged is what bytes are that this package has not written.
	ErrDamaged = errors.New("it is damaged")
	// ErrNewer is a form that a later version has written.
	ErrNewer = errors.New("it was written by a later version")
)

// form counts up when the fields or their order change; a reader takes its own and those
// before: 1 has no Java archives, and no sources of advisories; 2 has no aliases, and no
// roots of applications; 3 has nothing of documents beside images; 4 does not say whether
// all of them were read.
const form = 5

// What a value is.
const (
	kindInventory = 'i'
	kindFindings  = 'f'
)

// AppendInventory appends the form of an inventory. gate.ErrInvalid: it has a value that
// JSON has no form for.
func AppendInventory(to []byte, inv *gate.Inventory) ([]byte, error) {
	w := newWriter()
	defer w.release()
	w.inventory(inv)
	return w.append(to, kindInventory)
}

// Inventory reads an inventory. Errors: ErrDamaged, ErrNewer.
func Inventory(data []byte) (*gate.Inventory, error) {
	inv := new(gate.Inventory)
	return inv, read(data, kindInventory, func(r *reader) { r.inventory(inv) })
}

// AppendFindings appends the form of findings. Errors: as for AppendInventory.
func AppendFindings(to []byte, f *gate.Findings) ([]byte, error) {
	w := newWriter()
	defer w.release()
	w.findings(f)
	return w.append(to, kindFindings)
}

// Findings reads findings. Errors: ErrDamaged, ErrNewer.
func Findings(data []byte) (*gate.Findings, error) {
	f := new(gate.Findings)
	return f, read(data, kindFindings, func(r *reader) { r.findings(f) })
}
