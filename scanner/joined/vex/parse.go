package vex

import (
	"bytes"
	"encoding/json"
	"io"
	"time"

	"github.com/digestgate/digestgate/gate"
)

// Parse reads a document in one of the three formats, which it recognises; now is what no
// time in it may be after. gate.ErrInvalid: it is in none of them, damaged, too large, or
// does not say when it was made. What is in it is judged statement by statement, see
// [Document].
func Parse(text []byte, now time.Time) (*Document, error) {
	if len(text) > MaxDocument {
		return nil, invalid("it has %d bytes, more than %d", len(text), MaxDocument)
	}
	var head struct {
		Context  json.RawMessage `json:"@context"`
		Format   string          `json:"bomFormat"`
		Document struct {
			Version string `json:"csaf_version"`
		} `json:"document"`
	}
	dec := json.NewDecoder(bytes.NewReader(text))
	if err := dec.Decode(&head); err != nil {
		return nil, invalid("it is not JSON: %w", err)
	}
	if _, err := dec.Token(); err != io.EOF {
		return nil, invalid("there is more behind the document")
	}
	if err := unambiguous(text); err != nil {
		return nil, err
	}
	read := readOpenVEX
	switch {
	case head.Document.Version != "":
		read = readCSAF
	case head.Format == "CycloneDX":
		read = readCycloneDX
	case !bytes.Contains(head.Context, []byte("openvex")):
		return nil, invalid("it is neither OpenVEX nor CSAF nor CycloneDX: it has no @context of OpenVEX, no document.csaf_version and no bomFormat")
	}
	doc, err := read(text, now)
	if err != nil {
		return nil, err
	}
	if doc.At.After(now.Add(gate.ClockSkew)) {
		return nil, invalid("it says that it is of %s, which is in the future", doc.At.Format(time.RFC3339))
	}
	return doc, nil
}
