package registry

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"github.com/digestgate/digestgate/gate"
)

// maxJSONDepth is far above what a manifest needs (four).
const maxJSONDepth = 16

// manifestKeys are the names that have a meaning in a manifest or index. Go
// reads them in any capitalisation, other programs do not, so that another
// spelling is a second meaning.
var manifestKeys = []string{
	"schemaVersion", "mediaType", "artifactType", "config", "layers", "manifests", "subject", "annotations",
	"digest", "size", "urls", "data", "platform", "architecture", "os", "os.version", "os.features", "variant",
	"fsLayers", "history", "signatures", "blobs",
}

// checkUnambiguous refuses a document that two readers may understand
// differently: duplicate keys, known keys in another capitalisation, text that
// is not UTF-8, anything after the document, or a depth that no manifest needs
// (CVE-2021-41190 is the famous member of this family). It returns the keys of
// the outermost object.
func checkUnambiguous(body []byte) (keys map[string]bool, err error) {
	if !utf8.Valid(body) {
		return nil, errors.New("it is not UTF-8")
	}
	w := &jsonWalker{dec: json.NewDecoder(bytes.NewReader(body)), known: map[string]string{}}
	w.dec.UseNumber()
	for _, k := range manifestKeys {
		w.known[fold(k)] = k
	}
	t, err := w.dec.Token()
	if err != nil || t != json.Delim('{') {
		return nil, errors.New("it is not a JSON object")
	}
	keys, err = w.object(1, false)
	if err != nil {
		return nil, err
	}
	if _, err := w.dec.Token(); err != io.EOF {
		return nil, errors.New("something follows the JSON object")
	}
	return keys, nil
}

type jsonWalker struct {
	dec   *json.Decoder
	known map[string]string // folded to correct spelling
}

// object reads up to the closing brace. In free objects (annotations) keys have
// no meaning here, so that their spelling is free.
func (w *jsonWalker) object(depth int, free bool) (map[string]bool, error) {
	if depth > maxJSONDepth {
		return nil, fmt.Errorf("it is nested deeper than %d", maxJSONDepth)
	}
	keys := map[string]bool{}
	for w.dec.More() {
		t, err := w.dec.Token()
		if err != nil {
			return nil, errBadJSON
		}
		key, ok := t.(string)
		if !ok {
			return nil, errBadJSON
		}
		shown := gate.Quoted(key, 40)
		if keys[key] {
			return nil, fmt.Errorf("key %s occurs twice", shown)
		}
		if right, isKnown := w.known[fold(key)]; !free && isKnown && right != key {
			return nil, fmt.Errorf("key %q is misspelt %s", right, shown)
		}
		keys[key] = true
		if err := w.value(depth, free || key == "annotations"); err != nil {
			return nil, err
		}
	}
	if _, err := w.dec.Token(); err != nil {
		return nil, errBadJSON
	}
	return keys, nil
}

func (w *jsonWalker) value(depth int, free bool) error {
	t, err := w.dec.Token()
	if err != nil {
		return errBadJSON
	}
	switch t {
	case json.Delim('{'):
		_, err := w.object(depth+1, free)
		return err
	case json.Delim('['):
		if depth+1 > maxJSONDepth {
			return fmt.Errorf("it is nested deeper than %d", maxJSONDepth)
		}
		for w.dec.More() {
			if err := w.value(depth+1, free); err != nil {
				return err
			}
		}
		if _, err := w.dec.Token(); err != nil {
			return errBadJSON
		}
	}
	return nil
}

// errBadJSON replaces the decoder's errors, which quote hostile text.
var errBadJSON = errors.New("it is not valid JSON")

// fold maps names that encoding/json takes for equal to one spelling; it
// covers the two letters outside ASCII (U+017F, U+212A) that fold into it.
func fold(s string) string { return strings.ToLower(strings.ToUpper(s)) }
