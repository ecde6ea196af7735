package format

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/digestgate/digestgate/gate"
)

// XML walks through a document element by element. Only the element at hand is in memory.
// A document type, with which a file could define entities and name other files, is
// refused, and no entity but XML's own five is known. Names are local ones: vendors
// disagree on namespaces.
//
// Errors name line, column and the elements down to the place. Those of damage wrap
// gate.ErrInvalid, those of a limit gate.ErrTooLarge.
type XML struct {
	dec    *xml.Decoder
	in     *allowance
	limits Limits
	open   []string
	held   int
}

// NewXML reads a document that is not packed.
func NewXML(r io.Reader, l Limits) *XML {
	l = l.Or()
	x := &XML{in: &allowance{r: Clean(r), max: l.Token}, limits: l}
	x.dec = xml.NewDecoder(x.in)
	x.dec.CharsetReader = func(charset string, in io.Reader) (io.Reader, error) {
		if c := strings.ToLower(charset); c == "utf8" || c == "us-ascii" || c == "ascii" {
			return in, nil
		}
		return nil, fmt.Errorf("the encoding is %s, want UTF-8", gate.Quoted(charset, 40))
	}
	return x
}

// Element is an element that has been opened.
type Element struct {
	Name  string
	attrs []xml.Attr
}

// Attr returns an attribute by its local name, "" when it is not there.
func (e Element) Attr(name string) string {
	v, _ := e.Lookup(name)
	return v
}

// Lookup is Attr that tells an attribute that is missing from one that is empty.
func (e Element) Lookup(name string) (string, bool) {
	for _, a := range e.attrs {
		if a.Name.Local == name {
			return strings.TrimSpace(a.Value), true
		}
	}
	return "", false
}

// Root opens the document's element.
func (x *XML) Root() (Element, error) {
	for {
		t, err := x.token()
		if errors.Is(err, io.EOF) {
			return Element{}, x.Errorf("there is no element in the file")
		}
		if err != nil {
			return Element{}, err
		}
		if e, ok := t.(xml.StartElement); ok {
			return Element{Name: e.Name.Local, attrs: e.Attr}, nil
		}
	}
}

// End checks that nothing follows the document's element, which has been read.
func (x *XML) End() error {
	for {
		t, err := x.token()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if _, ok := t.(xml.StartElement); ok {
			return x.Errorf("a second element follows the document")
		}
	}
}

// Each calls fn with every child of the element that was opened last, and closes the
// element. What fn does not read of a child is skipped.
func (x *XML) Each(fn func(Element) error) error {
	depth := len(x.open)
	for {
		t, err := x.next()
		if err != nil {
			return err
		}
		switch t := t.(type) {
		case xml.StartElement:
			if err := fn(Element{Name: t.Name.Local, attrs: t.Attr}); err != nil {
				return err
			}
			if err := x.skip(depth); err != nil {
				return err
			}
		case xml.EndElement:
			return nil
		}
	}
}

// Text returns the text of the element that was opened last, with that of elements in it,
// trimmed, and closes the element.
func (x *XML) Text() (string, error) {
	depth := len(x.open)
	var first string
	var rest strings.Builder
	for {
		t, err := x.next()
		if err != nil {
			return "", err
		}
		switch t := t.(type) {
		case xml.CharData:
			switch {
			case len(first)+rest.Len()+len(t) > x.limits.Token:
				return "", x.tooLarge("the text has more than %s", gate.ByteSize(x.limits.Token))
			case first == "":
				first = string(t)
			default:
				rest.Write(t)
			}
		case xml.EndElement:
			if len(x.open) < depth {
				return strings.TrimSpace(first + rest.String()), nil
			}
		}
	}
}

// skip closes what is open beyond depth.
func (x *XML) skip(depth int) error {
	for len(x.open) > depth {
		if _, err := x.next(); err != nil {
			return err
		}
	}
	return nil
}

// next is token inside of an element.
func (x *XML) next() (xml.Token, error) {
	t, err := x.token()
	if errors.Is(err, io.EOF) {
		return nil, x.Errorf("the file ends here")
	}
	return t, err
}

// token returns start, end and text; io.EOF at the end of the document.
func (x *XML) token() (xml.Token, error) {
	for {
		if x.held > x.limits.Held {
			return nil, x.tooLarge("more than %s of the file would have to be kept in memory", gate.ByteSize(x.limits.Held))
		}
		x.in.left = x.in.max
		t, err := x.dec.RawToken()
		if err == nil {
			t, err = x.nest(t)
		} else if errors.Is(err, io.EOF) && len(x.open) == 0 {
			return nil, io.EOF
		} else if errors.Is(err, io.EOF) {
			err = x.Errorf("the file ends here")
		} else if !errors.Is(err, gate.ErrTooLarge) && !errors.Is(err, gate.ErrInvalid) {
			err = x.Errorf("%s", strings.TrimPrefix(err.Error(), "XML "))
		} else {
			err = fmt.Errorf("%s: %w", x.At(), err)
		}
		if t != nil || err != nil {
			return t, err
		}
	}
}

// nest keeps the stack of open elements, which RawToken does not; t is nil for what no
// reader wants.
func (x *XML) nest(t xml.Token) (xml.Token, error) {
	switch t := t.(type) {
	case xml.StartElement:
		if len(x.open) >= x.limits.Depth {
			return nil, x.tooLarge("elements are nested more than %d deep", x.limits.Depth)
		}
		x.open = append(x.open, t.Name.Local)
		return t, nil
	case xml.EndElement:
		n := len(x.open)
		if n == 0 || x.open[n-1] != t.Name.Local {
			return nil, x.Errorf("the end of %s, which is not the element that is open", gate.Quoted(t.Name.Local, 60))
		}
		x.open = x.open[:n-1]
		return t, nil
	case xml.CharData:
		return t, nil
	case xml.Directive:
		return nil, x.Errorf("a document type (<!%s) is refused: no advisory format needs one, and it can define entities", gate.Printable(string(t[:min(len(t), 20)]), 30))
	}
	return nil, nil // a comment, an instruction
}

// At is the place that has been read up to: "line 12, column 3 (a > b)".
func (x *XML) At() string {
	line, column := x.dec.InputPos()
	if len(x.open) == 0 {
		return fmt.Sprintf("line %d, column %d", line, column)
	}
	return fmt.Sprintf("line %d, column %d (%s)", line, column, gate.Printable(strings.Join(x.open, " > "), 200))
}

// Line is the line that has been read up to.
func (x *XML) Line() string {
	line, _ := x.dec.InputPos()
	return fmt.Sprintf("line %d", line)
}

// Errorf is an error at the place that has been read up to; it wraps gate.ErrInvalid.
func (x *XML) Errorf(text string, args ...any) error {
	return fmt.Errorf("%s: %s: %w", x.At(), fmt.Sprintf(text, args...), gate.ErrInvalid)
}

func (x *XML) tooLarge(text string, args ...any) error {
	return fmt.Errorf("%s: %s: %w", x.At(), fmt.Sprintf(text, args...), gate.ErrTooLarge)
}

// Hold notes that a reader keeps about so many bytes of the document. More than the limit
// end the reading at the next element, with gate.ErrTooLarge.
func (x *XML) Hold(bytes int) { x.held += bytes }

// Free notes that nothing of the document is kept any more.
func (x *XML) Free() { x.held = 0 }

// Count bounds a number of things in the file; gate.ErrTooLarge.
func (x *XML) Count(n *int, limit int, what string) error {
	if *n++; *n > limit {
		return x.tooLarge("there are more than %d %s", limit, what)
	}
	return nil
}

// allowance bounds what is read between two tokens: the decoder keeps all of a token in
// memory.
type allowance struct {
	r         io.Reader
	max, left int
}

// Read implements io.Reader. A piece is read ahead of the token that it is counted for.
func (a *allowance) Read(p []byte) (int, error) {
	if a.left <= 0 {
		return 0, fmt.Errorf("a name, tag or text has more than %s: %w", gate.ByteSize(a.max), gate.ErrTooLarge)
	}
	n, err := a.r.Read(p)
	a.left -= n
	return n, err
}

// XMLRoot is the name of the element of a document that begins with head, which may be cut
// anywhere behind its first tag.
func XMLRoot(head []byte) (string, error) {
	e, err := NewXML(bytes.NewReader(head), Limits{}).Root()
	return e.Name, err
}
