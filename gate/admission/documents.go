package admission

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"unicode/utf16"

	"go.yaml.in/yaml/v3"

	"github.com/digestgate/digestgate/gate"
)

// document is one value of a file of YAML and JSON.
type document struct {
	value any
	raw   []byte // as it stands in the file, for JSON
	where string // "document 2, which begins at line 14"
}

// documents reads a file of YAML documents and of JSON values, which may follow
// each other without anything between them, as jq and kubectl write them. What is
// empty is left out. Errors wrap ErrReviewInvalid.
func documents(data []byte) ([]document, error) {
	var docs []document
	n := 0
	for _, p := range split(utf8Text(data)) {
		found, err := p.values()
		if err != nil {
			return nil, fmt.Errorf("reading document %d, which begins at line %d: %v: %w", n+len(found)+1, p.line, err, gate.ErrReviewInvalid)
		}
		for _, d := range found {
			n++
			d.where = fmt.Sprintf("reading document %d, which begins at line %d", n, p.line)
			if len(found) > 1 { // several in one part share its line
				d.where = fmt.Sprintf("reading document %d", n)
			}
			docs = append(docs, d)
		}
	}
	return docs, nil
}

// part is what stands between two lines "---".
type part struct {
	text []byte // from its first line that is neither blank nor a comment
	line int    // of that line, from 1
}

// split cuts a file where YAML begins a document. Neither a text in YAML nor one in
// JSON can have "---" at the beginning of a line (YAML 1.2.2, 9.1.2). What may stand
// before a document (blank lines, comments, directives) is left out.
func split(data []byte) []part {
	var parts []part
	open := false
	number := 0
	for line := range bytes.Lines(data) {
		number++
		open = open && !begins(line)
		if !open && prologue(line) {
			continue
		}
		if !open {
			open = true
			parts = append(parts, part{line: number})
		}
		now := &parts[len(parts)-1]
		now.text = append(now.text, line...)
	}
	return parts
}

// begins reports whether a line is the marker "---", with or without something
// behind it.
func begins(line []byte) bool {
	rest, ok := bytes.CutPrefix(line, []byte("---"))
	return ok && (len(rest) == 0 || bytes.IndexByte([]byte(" \t\r\n"), rest[0]) >= 0)
}

func prologue(line []byte) bool {
	line = bytes.TrimSpace(line)
	return len(line) == 0 || line[0] == '#' || line[0] == '%' || bytes.Equal(line, []byte("---"))
}

func (p part) values() ([]document, error) {
	body := bytes.TrimSpace(p.text)
	if begins(body) {
		body = bytes.TrimSpace(body[len("---"):])
	}
	if len(body) == 0 || body[0] != '{' {
		return p.yaml()
	}
	docs, err := jsonStream(body)
	if err == nil {
		return docs, nil
	}
	if found, yerr := p.yaml(); yerr == nil { // a mapping of YAML may have braces too
		return found, nil
	}
	return docs, err
}

func (p part) yaml() ([]document, error) {
	var docs []document
	decoder := yaml.NewDecoder(bytes.NewReader(p.text))
	for {
		var value any
		err := decoder.Decode(&value)
		switch {
		case errors.Is(err, io.EOF):
			return docs, nil
		case err != nil:
			return docs, err
		case value != nil: // something between two separators
			docs = append(docs, document{value: value})
		}
	}
}

func jsonStream(body []byte) ([]document, error) {
	var docs []document
	decoder := json.NewDecoder(bytes.NewReader(body))
	for {
		var raw json.RawMessage
		if err := decoder.Decode(&raw); errors.Is(err, io.EOF) {
			return docs, nil
		} else if err != nil {
			if errors.Is(err, io.ErrUnexpectedEOF) {
				err = errors.New("the JSON ends in the middle")
			}
			return docs, err
		}
		exact := json.NewDecoder(bytes.NewReader(raw))
		exact.UseNumber() // no number is rounded
		var value any
		if err := exact.Decode(&value); err != nil {
			return docs, err
		}
		if value != nil {
			docs = append(docs, document{value: value, raw: raw})
		}
	}
}

// utf8Text removes a byte order mark. Windows PowerShell writes UTF-16 when the
// output of a program is sent into a file.
func utf8Text(data []byte) []byte {
	var order binary.ByteOrder
	switch {
	case bytes.HasPrefix(data, []byte{0xef, 0xbb, 0xbf}):
		return data[3:]
	case bytes.HasPrefix(data, []byte{0xff, 0xfe}):
		order = binary.LittleEndian
	case bytes.HasPrefix(data, []byte{0xfe, 0xff}):
		order = binary.BigEndian
	default:
		return data
	}
	units := make([]uint16, 0, len(data)/2)
	for rest := data[2:]; len(rest) > 1; rest = rest[2:] {
		units = append(units, order.Uint16(rest))
	}
	return []byte(string(utf16.Decode(units)))
}
