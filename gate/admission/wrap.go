package admission

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/digestgate/digestgate/gate"
)

// WrappedReview is one AdmissionReview as JSON.
type WrappedReview struct {
	// About names the object: "Deployment shop/web". It may be hostile text.
	About string
	Body  []byte
}

// Passed counts, by kind, the objects that admission is never asked about.
type Passed map[string]int

// maxPassed bounds the kinds that are counted separately.
const maxPassed = 200

// otherKinds is what the rest is counted as.
const otherKinds = "of other kinds"

// EachObject makes reviews out of a file for trying things out: YAML documents, JSON
// documents one after the other, or both. An AdmissionReview stays as it is, an
// object of a kind that has images becomes the review of its creation, a List (also
// a PodList and the like) stands for its items. Every other kind is counted and
// passed over: the webhooks of digestgate are asked about none of them, and what such
// an object creates, a Pod for example, is reviewed when it is created.
//
// visit gets each review as soon as it is read, in the order of the file. An error of
// visit ends the reading and is returned unchanged. Memory use depends on the largest
// document, which is bounded, not on the file. A file without any object is an error.
// Errors in the content name the document and its line and wrap ErrReviewInvalid.
func EachObject(r io.Reader, visit func(WrappedReview) error) (Passed, error) {
	w := wrapper{passed: Passed{}, visit: visit}
	for docs := newDocuments(r); ; {
		doc, err := docs.next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return w.passed, err
		}
		if err := w.add(doc.value, doc.raw, 0); err != nil {
			if w.stopped != nil {
				return w.passed, w.stopped
			}
			return w.passed, fmt.Errorf("%s: %w", doc.where, err)
		}
	}
	if w.seen == 0 {
		return w.passed, fmt.Errorf("there is no object in it: %w", gate.ErrReviewInvalid)
	}
	return w.passed, nil
}

// WrapObject is [EachObject] for exactly one object that has images.
func WrapObject(data []byte) ([]byte, error) {
	var body []byte
	n := 0
	passed, err := EachObject(bytes.NewReader(data), func(r WrappedReview) error {
		n++
		body = r.Body
		return nil
	})
	if err != nil {
		return nil, err
	}
	if n != 1 || len(passed) > 0 {
		return nil, fmt.Errorf("want one object with images, got %d, and %d kinds without any: %w", n, len(passed), gate.ErrReviewInvalid)
	}
	return body, nil
}

// maxLists is how deep Lists may hold Lists; kubectl makes none in another.
const maxLists = 4

type wrapper struct {
	passed  Passed
	visit   func(WrappedReview) error
	stopped error // by visit
	seen    int   // objects; the uid of each review tells them apart
}

// add takes one value of a file; raw is its JSON as it stood there, nil where that
// is not known.
func (w *wrapper) add(value any, raw []byte, lists int) error {
	object, ok := value.(map[string]any)
	if !ok {
		return fmt.Errorf("want an object of Kubernetes, not %s: %w", sort(value), gate.ErrReviewInvalid)
	}
	version, _ := object["apiVersion"].(string)
	kind, _ := object["kind"].(string)
	if version == "" || kind == "" {
		return fmt.Errorf("this is not an object of Kubernetes: it needs a text for apiVersion and for kind: %w", gate.ErrReviewInvalid)
	}
	items, ok, err := listItems(object, kind)
	if err != nil {
		return err
	}
	if ok {
		if lists == maxLists {
			return fmt.Errorf("Lists in Lists are taken %d deep: %w", maxLists, gate.ErrReviewInvalid)
		}
		return w.list(items, version, kind, lists)
	}
	w.seen++
	if kind == "AdmissionReview" {
		return w.review("AdmissionReview "+reviewed(object, w.seen), object, raw)
	}
	group, v, ok := strings.Cut(version, "/")
	if !ok {
		group, v = "", version
	}
	if !hasImages(group, kind) {
		w.pass(kind)
		return nil
	}
	about, review := creation(object, groupVersionKind{group, v, kind}, w.seen)
	return w.review(about, review, nil)
}

func (w *wrapper) list(items []any, version, kind string, lists int) error {
	for i, item := range items {
		// The API server leaves out of a PodList what its kind says already.
		if object, ok := item.(map[string]any); ok && kind != "List" && object["kind"] == nil && object["apiVersion"] == nil {
			object["kind"], object["apiVersion"] = strings.TrimSuffix(kind, "List"), version
		}
		if err := w.add(item, nil, lists+1); err != nil {
			return fmt.Errorf("items[%d]: %w", i, err)
		}
	}
	return nil
}

func (w *wrapper) review(about string, review any, raw []byte) error {
	if raw == nil {
		var err error
		if raw, err = json.Marshal(review); err != nil {
			return fmt.Errorf("%s cannot be written as JSON: %v: %w", gate.Printable(about, 200), err, gate.ErrReviewInvalid)
		}
	}
	w.stopped = w.visit(WrappedReview{About: about, Body: bytes.TrimSpace(raw)})
	return w.stopped
}

func (w *wrapper) pass(kind string) {
	kind = gate.Printable(kind, 60)
	if _, known := w.passed[kind]; !known && len(w.passed) >= maxPassed {
		kind = otherKinds
	}
	w.passed[kind]++
}

// listItems reports whether an object is a list, and returns what it holds. A List,
// or one of a kind that has images, whose items are no list is an error: passed
// over it would look reviewed.
func listItems(object map[string]any, kind string) ([]any, bool, error) {
	of, isList := strings.CutSuffix(kind, "List")
	if !isList {
		return nil, false, nil
	}
	items, ok := object["items"].([]any)
	known := of == "" || slices.ContainsFunc(kinds, func(row kindRow) bool { return row.kind == of })
	if !ok && known && object["items"] != nil {
		return nil, false, fmt.Errorf("items of a %s: want a list of objects, not %s: %w", gate.Printable(kind, 100), sort(object["items"]), gate.ErrReviewInvalid)
	}
	return items, ok || known, nil
}

// hasImages reports whether objects of a kind hold a pod spec. Their versions and
// groups of earlier Kubernetes (extensions, apps/v1beta1, batch/v1beta1) count: such
// an object is refused, not passed over.
func hasImages(group, kind string) bool {
	return slices.ContainsFunc(kinds, func(row kindRow) bool {
		return row.kind == kind && (row.group == group || slices.Contains(formerGroups, group))
	})
}

// formerGroups are the groups of Kubernetes in which workloads have been.
var formerGroups = []string{"", "apps", "batch", "extensions"}

// creation is the review of an object's creation, in its own namespace or in
// "default", as kubectl would send it.
func creation(object map[string]any, kind groupVersionKind, n int) (about string, review map[string]any) {
	metadata, _ := object["metadata"].(map[string]any)
	name, _ := metadata["name"].(string)
	namespace, _ := metadata["namespace"].(string)
	if namespace == "" {
		namespace = "default"
	}
	shown := name
	if generate, _ := metadata["generateName"].(string); shown == "" {
		shown = generate + "..."
	}
	return fmt.Sprintf("%s %s/%s", kind.kind, namespace, shown), map[string]any{
		"apiVersion": apiVersion,
		"kind":       "AdmissionReview",
		"request": map[string]any{
			"uid":       fmt.Sprintf("object-%d", n),
			"kind":      map[string]any{"group": kind.group, "version": kind.version, "kind": kind.kind},
			"name":      name,
			"namespace": namespace,
			"operation": "CREATE",
			"userInfo":  map[string]any{"username": "digestgate admit"},
			"object":    object,
			"dryRun":    false,
		},
	}
}

// reviewed names what a recorded review is about.
func reviewed(review map[string]any, n int) string {
	request, _ := review["request"].(map[string]any)
	kind, _ := request["kind"].(map[string]any)
	text := func(m map[string]any, key string) string { s, _ := m[key].(string); return s }
	if text(kind, "kind") == "" && text(request, "name") == "" {
		return fmt.Sprintf("(object %d)", n)
	}
	return fmt.Sprintf("of %s %s/%s", text(kind, "kind"), text(request, "namespace"), text(request, "name"))
}

// sort is what a value of YAML or JSON is, in words.
func sort(value any) string {
	switch value.(type) {
	case []any:
		return "a list of values"
	case string:
		return "a text"
	case map[string]any:
		return "a mapping"
	case map[any]any:
		return "a mapping with keys that are not texts"
	}
	return "a single value"
}
