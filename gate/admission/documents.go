package admission

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"

	"go.yaml.in/yaml/v3"

	"github.com/digestgate/digestgate/gate"
)

// document is one value of a file of YAML and JSON.
type document struct {
	value any
	raw   []byte // as it stands in the file, for JSON
	where string // "reading document 2, which begins at line 14"
}

// documents reads YAML documents and JSON values, which may follow each other
// without anything between them, as jq and kubectl write them. It holds one of them
// at a time. Empty ones are left out.
type documents struct {
	in *bufio.Reader
	// held was read from in and not yet used; it begins a line if fresh.
	held  []byte
	fresh bool
	// text is what was read of the part between two "---" lines and not yet used;
	// line is the number of the line of its first byte, from 1.
	text  []byte
	line  int
	ready []document // read, not yet returned
	n     int        // documents returned
}

// chunkBytes is how much of a long line is read at a time.
const chunkBytes = 64 << 10

func newDocuments(r io.Reader) *documents {
	return &documents{in: bufio.NewReaderSize(utf8Text(r), chunkBytes), fresh: true, line: 1}
}

// next returns io.EOF at the end. Other errors name the document and wrap
// ErrReviewInvalid, or are those of the reader.
func (d *documents) next() (document, error) {
	for len(d.ready) == 0 {
		fresh, err := d.begin()
		if errors.Is(err, io.EOF) {
			return document{}, io.EOF
		}
		where := fmt.Sprintf("reading document %d, which begins at line %d", d.n+1, d.line)
		if err == nil {
			err = d.read(fresh)
		}
		var broken *inputError
		if errors.As(err, &broken) {
			return document{}, fmt.Errorf("%s: %w", where, broken.err)
		}
		if err != nil {
			return document{}, fmt.Errorf("%s: %w: %w", where, err, gate.ErrReviewInvalid)
		}
		for i := range d.ready {
			d.ready[i].where = where
		}
	}
	doc := d.ready[0]
	d.ready = d.ready[1:]
	d.n++
	return doc, nil
}

// inputError is one of the reader, not of what it read.
type inputError struct{ err error }

func (e *inputError) Error() string { return e.err.Error() }

// begin leaves the beginning of the next document in text. Neither a text in YAML
// nor one in JSON can have "---" at the beginning of a line (YAML 1.2.2, 9.1.2).
// What may stand before a document (blank lines, comments, directives) is left out.
// It reports false for what follows a JSON value without such a line.
func (d *documents) begin() (fresh bool, err error) {
	behind, err := d.behindValue()
	if behind || err != nil {
		return false, err
	}
	comment := false // the rest of a long line of it
	for {
		chunk, start, err := d.chunk()
		if err != nil {
			return true, err
		}
		if start {
			comment = false
			if begins(chunk) {
				chunk = chunk[len("---"):]
			}
		}
		if comment || prologue(chunk) {
			comment = comment || len(bytes.TrimSpace(chunk)) > 0
			d.line += bytes.Count(chunk, []byte("\n"))
			continue
		}
		d.text = append(d.text[:0], chunk...)
		return true, nil
	}
}

// behindValue passes over what may stand behind a JSON value, and reports whether
// anything else does before the next line "---".
func (d *documents) behindValue() (bool, error) {
	comment := false // text begins inside of one
	for len(d.text) > 0 {
		switch blank := len(d.text) - len(bytes.TrimLeft(d.text, " \t\r\n")); {
		case comment || d.text[0] == '#':
			end := bytes.IndexByte(d.text, '\n')
			if comment = end < 0; comment {
				end = len(d.text) - 1
			}
			d.use(end + 1)
		case blank > 0:
			d.use(blank)
		case bytes.HasPrefix(d.text, []byte("...")):
			d.use(len("..."))
		default:
			return true, nil
		}
		if len(d.text) > 0 {
			continue
		}
		if _, err := d.more(); err != nil {
			return false, err
		}
	}
	return false, nil
}

// use takes n bytes off text.
func (d *documents) use(n int) {
	d.line += bytes.Count(d.text[:n], []byte("\n"))
	if d.text = d.text[n:]; len(d.text) == 0 {
		d.text = nil
	}
}

// more adds what follows to text; false at the end of the part.
func (d *documents) more() (bool, error) {
	chunk, start, err := d.chunk()
	switch {
	case errors.Is(err, io.EOF):
		return false, nil
	case err != nil:
		return false, err
	case start && begins(chunk):
		d.held, d.fresh = chunk, true
		return false, nil
	case len(d.text)+len(chunk) > maxDocumentBytes:
		return false, overLimit("it is larger than %s", gate.ByteSize(maxDocumentBytes))
	}
	d.text = append(d.text, chunk...)
	return true, nil
}

// chunk reads to the end of a line, or a piece of a long one. It is valid until the
// next call. start says that it begins a line.
func (d *documents) chunk() (chunk []byte, start bool, err error) {
	start = d.fresh
	if chunk = d.held; chunk == nil {
		if chunk, err = d.in.ReadSlice('\n'); errors.Is(err, bufio.ErrBufferFull) || len(chunk) > 0 && errors.Is(err, io.EOF) {
			err = nil
		}
		if err != nil && !errors.Is(err, io.EOF) {
			err = &inputError{err}
		}
	}
	d.held = nil
	d.fresh = bytes.HasSuffix(chunk, []byte("\n"))
	return chunk, start, err
}

// begins reports whether a line is the marker "---", with or without something
// behind it.
func begins(line []byte) bool {
	rest, ok := bytes.CutPrefix(line, []byte("---"))
	return ok && (len(rest) == 0 || bytes.IndexByte([]byte(" \t\r\n"), rest[0]) >= 0)
}

func prologue(line []byte) bool {
	line = bytes.TrimSpace(line)
	return len(line) == 0 || line[0] == '#' || line[0] == '%'
}

// read puts what text begins with into ready.
func (d *documents) read(fresh bool) error {
	if bytes.HasPrefix(bytes.TrimSpace(d.text), []byte("{")) {
		err := d.json()
		var bound *boundError
		var broken *inputError
		if err == nil || !fresh || errors.As(err, &bound) || errors.As(err, &broken) {
			return err
		}
		yerr := d.yaml() // a mapping of YAML may have braces too
		if yerr == nil || errors.As(yerr, &bound) || errors.As(yerr, &broken) {
			return yerr
		}
		return err
	}
	if !fresh {
		return errors.New(`this follows a JSON value and is not another JSON value; put a line "---" between them`)
	}
	return d.yaml()
}

// json reads one value in braces.
func (d *documents) json() error {
	var s jsonScan
	for i := 0; ; {
		n, err := s.scan(d.text[i:])
		if err != nil {
			return err
		}
		if i += n; s.closed {
			return d.decodeJSON(i)
		}
		switch more, err := d.more(); {
		case err != nil:
			return err
		case !more:
			return errors.New("the JSON ends in the middle")
		}
	}
}

func (d *documents) decodeJSON(end int) error {
	raw := bytes.TrimSpace(bytes.Clone(d.text[:end]))
	exact := json.NewDecoder(bytes.NewReader(raw))
	exact.UseNumber() // no number is rounded
	var value any
	if err := exact.Decode(&value); err != nil {
		var syntax *json.SyntaxError
		if errors.As(err, &syntax) {
			line := d.line + bytes.Count(raw[:min(int(syntax.Offset), len(raw))], []byte("\n"))
			return fmt.Errorf("line %d: this is not JSON: %w", line, err)
		}
		return err
	}
	d.use(end)
	d.ready = append(d.ready, document{value: value, raw: raw})
	return nil
}

// yaml reads to the end of the part.
func (d *documents) yaml() error {
	values := 0
	for i := 0; ; {
		if values += atMost(d.text[i:]); values > maxValues {
			return tooMany()
		}
		i = len(d.text)
		if more, err := d.more(); err != nil {
			return err
		} else if !more {
			break
		}
	}
	decoder := yaml.NewDecoder(bytes.NewReader(d.text))
	for {
		var node yaml.Node
		err := decoder.Decode(&node)
		if errors.Is(err, io.EOF) {
			d.use(len(d.text))
			return nil
		}
		if err == nil {
			err = measure(&node)
		}
		var value any
		if err == nil {
			err = node.Decode(&value)
		}
		if err != nil {
			return d.absolute(err)
		}
		if value != nil { // something between two separators
			d.ready = append(d.ready, document{value: value})
		}
	}
}

var lineOf = regexp.MustCompile(`\bline (\d+)`)

// absolute counts the lines in an error of the parser from the beginning of the
// file.
func (d *documents) absolute(err error) error {
	var bound *boundError
	text := lineOf.ReplaceAllStringFunc(err.Error(), func(found string) string {
		n, _ := strconv.Atoi(found[len("line "):])
		return fmt.Sprintf("line %d", d.line+n-1)
	})
	if errors.As(err, &bound) {
		return &boundError{text}
	}
	return errors.New(text)
}
