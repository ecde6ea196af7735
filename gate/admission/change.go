package admission

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"

	"github.com/digestgate/digestgate/gate"
)

// change is what a request does to the places of an object. What is fresh can
// refuse it; what it leaves as it was can only warn, because a refusal would
// not stop what runs already, only the repair of it.
type change struct {
	fresh  []int // indexes of the object's places that are judged
	kept   []int // those that are looked up for warnings
	doubts []doubt
	known  []doubt // doubts that stood there before
}

// everything is the change of a request that brings in the whole object.
func (o object) everything() change {
	return change{doubts: o.doubts, fresh: o.all()}
}

// nothing is the change of a request that brings in no image.
func (o object) nothing() change {
	return change{known: o.doubts, kept: o.all()}
}

func (o object) all() []int {
	list := make([]int, len(o.places))
	for i := range list {
		list[i] = i
	}
	return list
}

// since compares an object with the one that it replaces, place by place. A place is
// kept when the old object has one with the same list, name and text; order does not
// matter. Two containers that swap their images have changed, and so has another
// container that repeats an image: both make a node pull again.
//
// A template is judged as a whole unless all of it is kept: each of its
// containers starts again in new Pods, and nothing is stuck without it.
func (o object) since(old object) change {
	type key struct{ list, name, image string }
	had := make(map[key]int, len(old.places))
	for _, p := range old.places {
		had[key{p.list, p.name, p.image}]++
	}
	var c change
	for i, p := range o.places {
		k := key{p.list, p.name, p.image}
		if had[k] > 0 {
			had[k]--
			c.kept = append(c.kept, i)
		} else {
			c.fresh = append(c.fresh, i)
		}
	}
	type field struct{ list, name, field string }
	before := make(map[field][]byte, len(old.doubts))
	for _, d := range old.doubts {
		before[field{d.list, d.name, d.field}] = d.value
	}
	for _, d := range o.doubts {
		if value, ok := before[field{d.list, d.name, d.field}]; ok && sameJSON(d.value, value) {
			c.known = append(c.known, d)
		} else {
			c.doubts = append(c.doubts, d)
		}
	}
	if o.template && len(c.fresh)+len(c.doubts) > 0 {
		return o.everything()
	}
	return c
}

// refusal is why the change cannot be judged, nil when it can. Errors:
// ErrObjectUnsupported, ErrTooLarge.
func (c change) refusal() error {
	if len(c.doubts) > 0 {
		return fmt.Errorf("%s; leave the field out, or update digestgate: %w", c.doubts[0].text(), gate.ErrObjectUnsupported)
	}
	if len(c.fresh) > maxPlaces {
		return fmt.Errorf("request.object has %d containers and image volumes, more than %d: %w", len(c.fresh), maxPlaces, gate.ErrTooLarge)
	}
	return nil
}

// sameJSON reports whether two values are the same whatever their white space
// and the order of members. A value in which a name occurs twice is the same as
// none but its exact copy: nobody knows which of the two counts. Linear in time
// and, because a tree takes some 20 times the memory of its text, of large
// values only exact copies are the same.
func sameJSON(a, b []byte) bool {
	if bytes.Equal(a, b) {
		return true
	}
	if len(a)+len(b) > maxCompared {
		return false
	}
	x, err := jsonTree(a)
	if err != nil {
		return false
	}
	y, err := jsonTree(b)
	return err == nil && reflect.DeepEqual(x, y)
}

// maxCompared is how many bytes two values have together that are compared as
// trees, maxTree how deep they are. A whole Pod has a few KiB and fewer than 20
// levels.
const (
	maxCompared = 256 << 10
	maxTree     = 200
)

var errTree = errors.New("not a value to compare")

func jsonTree(raw []byte) (any, error) {
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber() // keeps the text
	tree, err := branch(d, 0)
	if err != nil {
		return nil, err
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, errTree
	}
	return tree, nil
}

// branch reads the next value.
func branch(d *json.Decoder, depth int) (any, error) {
	token, err := d.Token()
	if err != nil || depth > maxTree {
		return nil, errors.Join(err, errTree)
	}
	delim, ok := token.(json.Delim)
	if !ok {
		return token, nil
	}
	if delim == '[' {
		list := []any{}
		for d.More() {
			v, err := branch(d, depth+1)
			if err != nil {
				return nil, err
			}
			list = append(list, v)
		}
		_, err := d.Token()
		return list, err
	}
	object := map[string]any{}
	for d.More() {
		name, err := d.Token()
		if err != nil {
			return nil, err
		}
		key, ok := name.(string)
		if _, twice := object[key]; !ok || twice {
			return nil, errTree
		}
		if object[key], err = branch(d, depth+1); err != nil {
			return nil, err
		}
	}
	_, err = d.Token()
	return object, err
}
