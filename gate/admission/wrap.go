package admission

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/digestgate/digestgate/gate"
)

// WrapObjects makes reviews out of a file for trying things out: every YAML or
// JSON document in it is an AdmissionReview, which stays as it is, or an
// object of Kubernetes, which becomes the review of its creation. Errors wrap
// ErrReviewInvalid.
func WrapObjects(data []byte) ([][]byte, error) {
	var reviews [][]byte
	decoder := yaml.NewDecoder(bytes.NewReader(data))
	for n := 1; ; n++ {
		var doc any
		err := decoder.Decode(&doc)
		switch {
		case errors.Is(err, io.EOF):
			if len(reviews) == 0 {
				return nil, fmt.Errorf("reading objects: there is none: %w", gate.ErrReviewInvalid)
			}
			return reviews, nil
		case err != nil:
			return nil, fmt.Errorf("reading document %d: %v: %w", n, err, gate.ErrReviewInvalid)
		case doc == nil: // nothing between two separators
			continue
		}
		review, err := wrap(doc, n)
		if err != nil {
			return nil, fmt.Errorf("reading document %d: %w", n, err)
		}
		reviews = append(reviews, review)
	}
}

// WrapObject is [WrapObjects] for exactly one document.
func WrapObject(data []byte) ([]byte, error) {
	reviews, err := WrapObjects(data)
	if err != nil {
		return nil, err
	}
	if len(reviews) != 1 {
		return nil, fmt.Errorf("want one object, got %d: %w", len(reviews), gate.ErrReviewInvalid)
	}
	return reviews[0], nil
}

// wrap makes one review. The uid tells documents apart.
func wrap(doc any, n int) ([]byte, error) {
	object, ok := doc.(map[string]any)
	if !ok {
		return nil, fmt.Errorf("want an object of Kubernetes: %w", gate.ErrReviewInvalid)
	}
	version, _ := object["apiVersion"].(string)
	kind, _ := object["kind"].(string)
	if version == "" || kind == "" {
		return nil, fmt.Errorf("want an object with apiVersion and kind: %w", gate.ErrReviewInvalid)
	}
	var review any = object
	if kind != "AdmissionReview" {
		review = creation(object, version, kind, n)
	}
	b, err := json.Marshal(review)
	if err != nil {
		return nil, fmt.Errorf("writing it as JSON: %v: %w", err, gate.ErrReviewInvalid)
	}
	return b, nil
}

// creation is the review of an object's creation, in its own namespace or in
// "default", as kubectl would send it.
func creation(object map[string]any, version, kind string, n int) map[string]any {
	group, v, ok := strings.Cut(version, "/")
	if !ok {
		group, v = "", version
	}
	metadata, _ := object["metadata"].(map[string]any)
	name, _ := metadata["name"].(string)
	namespace, _ := metadata["namespace"].(string)
	if namespace == "" {
		namespace = "default"
	}
	return map[string]any{
		"apiVersion": apiVersion,
		"kind":       "AdmissionReview",
		"request": map[string]any{
			"uid":       fmt.Sprintf("object-%d", n),
			"kind":      map[string]any{"group": group, "version": v, "kind": kind},
			"name":      name,
			"namespace": namespace,
			"operation": "CREATE",
			"userInfo":  map[string]any{"username": "digestgate admit"},
			"object":    object,
			"dryRun":    false,
		},
	}
}
