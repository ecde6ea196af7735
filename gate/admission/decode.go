package admission

import (
	"encoding/json"
	"fmt"
	"unicode/utf8"

	"github.com/digestgate/digestgate/gate"
)

// apiVersion is the only version that is spoken. A review in another one is
// not answered in this one: the API server would not check the uid in it.
const apiVersion = "admission.k8s.io/v1"

// request is the part of an AdmissionRequest that decides. object and
// oldObject point into the body.
type request struct {
	uid         string // the JSON token as it came, so that the echo is exact
	kind        groupVersionKind
	subResource string
	name        string
	namespace   string
	operation   string
	user        user
	node        bool // the user is in the group of nodes
	dryRun      bool
	size        int // of the body, in bytes
	object      []byte
	oldObject   []byte
	// invalid is what is wrong with a request that has a uid and can be
	// answered.
	invalid error
}

type groupVersionKind struct{ group, version, kind string }

func (k groupVersionKind) String() string {
	if k.group == "" {
		return k.version + " " + k.kind
	}
	return k.group + "/" + k.version + " " + k.kind
}

// decodeReview reads an AdmissionReview. Its error means that no review can be
// sent in answer: not JSON, another kind or version, or no uid.
func decodeReview(body []byte) (request, error) {
	var r request
	deep := false
	if !plainJSON(body) {
		if !json.Valid(body) || !utf8.Valid(body) {
			return r, fmt.Errorf("decoding an AdmissionReview: not a JSON document: %w", gate.ErrReviewInvalid)
		}
		deep = depth(body, maxNesting) > maxNesting
	}
	var version, kind string
	var raw []byte
	err := members(body, func(name, value []byte) (err error) {
		switch string(name) {
		case "apiVersion":
			version, err = text(value)
		case "kind":
			kind, err = text(value)
		case "request":
			raw = value
		}
		return err
	})
	switch {
	case err != nil:
		return r, fmt.Errorf("decoding an AdmissionReview: %w", err)
	case version != apiVersion || kind != "AdmissionReview":
		return r, fmt.Errorf("decoding an AdmissionReview: this is %s of %s, want AdmissionReview of %s: %w",
			gate.Quoted(kind, 60), gate.Quoted(version, 60), apiVersion, gate.ErrReviewInvalid)
	}
	err = members(raw, func(name, value []byte) (err error) {
		if string(name) == "uid" {
			r.uid, err = uid(value)
			return err
		}
		// The first thing that is wrong is remembered; the rest is read all
		// the same, because the answer depends on the namespace's mode.
		if err := r.field(name, value); err != nil && r.invalid == nil {
			r.invalid = fmt.Errorf("request.%s: %w", name, err)
		}
		return nil
	})
	if err != nil {
		return r, fmt.Errorf("decoding an AdmissionReview: request: %w", err)
	}
	switch {
	case r.uid == "":
		return r, fmt.Errorf("decoding an AdmissionReview: request.uid is missing: %w", gate.ErrReviewInvalid)
	case deep:
		r.invalid = fmt.Errorf("the review nests deeper than %d levels; no object of Kubernetes does: %w", maxNesting, gate.ErrReviewInvalid)
	case len(r.uid)-2 > maxUID:
		r.invalid = fmt.Errorf("request.uid has %d bytes, more than %d: %w", len(r.uid)-2, maxUID, gate.ErrReviewInvalid)
	}
	return r, nil
}

func (r *request) field(name, value []byte) (err error) {
	switch string(name) {
	case "kind":
		r.kind, err = decodeKind(value)
	case "subResource":
		r.subResource, err = short(value, maxName)
	case "name":
		r.name, err = short(value, maxName)
	case "namespace":
		r.namespace, err = namespaceName(value)
	case "operation":
		r.operation, err = word(value)
	case "dryRun":
		r.dryRun = string(value) == "true"
		if s := string(value); s != "true" && s != "false" && s != "null" {
			err = fmt.Errorf("want a boolean, got %s: %w", sample(value), gate.ErrReviewInvalid)
		}
	case "userInfo":
		err = members(value, func(name, value []byte) (err error) {
			switch string(name) {
			case "username":
				r.user, err = username(value)
			case "groups":
				err = elements("groups", value, func(_ int, value []byte) error {
					if isNull(value) {
						return nil
					}
					group, err := unquoted(value)
					r.node = r.node || string(group) == nodeGroup
					return err
				})
			}
			return err
		})
	case "object":
		r.object = nonNull(value)
	case "oldObject":
		r.oldObject = nonNull(value)
	}
	return err
}

func decodeKind(raw []byte) (k groupVersionKind, err error) {
	err = members(raw, func(name, value []byte) (err error) {
		switch string(name) {
		case "group":
			k.group, err = word(value)
		case "version":
			k.version, err = word(value)
		case "kind":
			k.kind, err = word(value)
		}
		return err
	})
	return k, err
}

func nonNull(raw []byte) []byte {
	if isNull(raw) {
		return nil
	}
	return raw
}
