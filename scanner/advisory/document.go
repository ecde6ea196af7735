package advisory

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sort"
	"strings"

	"go.yaml.in/yaml/v3"
)

// document is one source file. YAML is decoded into typed structs and never
// through untyped maps, where the version 2.10 would become the number 2.1.
type document struct {
	yaml bool
	data []byte
}

// keys are the names of the top-level mapping, sorted.
func (d document) keys() ([]string, error) {
	var keys []string
	if d.yaml {
		var node map[string]yaml.Node
		if err := yaml.Unmarshal(d.data, &node); err != nil {
			return nil, fmt.Errorf("parsing YAML: %w", err)
		}
		for k := range node {
			keys = append(keys, k)
		}
	} else {
		var node map[string]json.RawMessage
		if err := json.Unmarshal(d.data, &node); err != nil {
			return nil, fmt.Errorf("parsing JSON: %w", err)
		}
		for k := range node {
			keys = append(keys, k)
		}
	}
	sort.Strings(keys)
	return keys, nil
}

// list returns the elements of a file that is one JSON array.
func (d document) list() ([]json.RawMessage, bool) {
	if d.yaml || !bytes.HasPrefix(bytes.TrimLeft(d.data, " \t\r\n"), []byte("[")) {
		return nil, false
	}
	var list []json.RawMessage
	if err := json.Unmarshal(d.data, &list); err != nil {
		return nil, false
	}
	return list, true
}

// decode fills v; strict refuses fields that v does not have.
func (d document) decode(v any, strict bool) error {
	if d.yaml {
		dec := yaml.NewDecoder(bytes.NewReader(d.data))
		dec.KnownFields(strict)
		if err := dec.Decode(v); err != nil {
			return fmt.Errorf("parsing YAML: %w", err)
		}
		if err := dec.Decode(new(yaml.Node)); !errors.Is(err, io.EOF) {
			return fmt.Errorf("parsing YAML: more than one document in the file")
		}
		return nil
	}
	dec := json.NewDecoder(bytes.NewReader(d.data))
	if strict {
		dec.DisallowUnknownFields()
	}
	if err := dec.Decode(v); err != nil {
		return fmt.Errorf("parsing JSON: %w", err)
	}
	if _, err := dec.Token(); err != io.EOF {
		return fmt.Errorf("parsing JSON: something follows the document")
	}
	return nil
}

// isTracker looks at one package of what may be Debian's tracker: package,
// vulnerability, object with "releases".
func (d document) isTracker() bool {
	if d.yaml {
		return false
	}
	dec := json.NewDecoder(bytes.NewReader(d.data))
	if t, err := dec.Token(); err != nil || t != json.Delim('{') {
		return false
	}
	if _, err := dec.Token(); err != nil { // the name of the first package
		return false
	}
	var first map[string]map[string]json.RawMessage
	if err := dec.Decode(&first); err != nil {
		return false
	}
	for id, v := range first {
		if _, ok := v["releases"]; !ok || strings.ContainsAny(id, " \n") {
			return false
		}
	}
	return len(first) > 0
}
