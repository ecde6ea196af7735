package admission

import (
	"fmt"
	"slices"
	"strings"

	"github.com/digestgate/digestgate/gate"
)

// kindRow says where an object of a kind has its pod spec.
type kindRow struct {
	groupVersionKind
	spec string // dotted path of the pod spec
	// template: the object is a workload template, whose Pods are reviewed
	// when they are created.
	template bool
}

// kinds are the objects that are understood: every kind of Kubernetes that
// holds a pod spec, in the one version that the API server converts to with
// matchPolicy Equivalent. Everything else is CodeObjectUnsupported.
var kinds = []kindRow{
	{groupVersionKind{"", "v1", "Pod"}, "spec", false},
	{groupVersionKind{"apps", "v1", "Deployment"}, "spec.template.spec", true},
	{groupVersionKind{"apps", "v1", "ReplicaSet"}, "spec.template.spec", true},
	{groupVersionKind{"apps", "v1", "StatefulSet"}, "spec.template.spec", true},
	{groupVersionKind{"apps", "v1", "DaemonSet"}, "spec.template.spec", true},
	{groupVersionKind{"batch", "v1", "Job"}, "spec.template.spec", true},
	{groupVersionKind{"batch", "v1", "CronJob"}, "spec.jobTemplate.spec.template.spec", true},
	{groupVersionKind{"", "v1", "ReplicationController"}, "spec.template.spec", true},
	{groupVersionKind{"", "v1", "PodTemplate"}, "template.spec", true},
}

// harmless are the subresources through which no image comes in: the API
// server takes no pod spec from them. pods/ephemeralcontainers is not among
// them, and a subresource that is not listed is read like its object.
var harmless = []string{
	"status", "scale", "binding", "eviction", "resize", "log", "exec", "attach", "portforward", "proxy",
}

// object is what was found in the object of a review.
type object struct {
	template bool
	name     string // metadata.name, or generateName
	places   []place
	doubts   []doubt
}

// skips says whether a request cannot bring in an image, whatever its object:
// a deletion, a connection, a harmless subresource.
func (r *request) skips() bool {
	return r.operation == "DELETE" || r.operation == "CONNECT" || slices.Contains(harmless, r.subResource)
}

// readObject finds the images of the object of a request, whatever their
// number, and what may name one. Errors: ErrObjectUnsupported,
// ErrReviewInvalid.
func readObject(kind groupVersionKind, raw []byte) (object, error) {
	i := slices.IndexFunc(kinds, func(row kindRow) bool { return row.groupVersionKind == kind })
	if i < 0 {
		return object{}, fmt.Errorf("objects of kind %s are not understood here%s: %w", gate.Quoted(kind.String(), 100), instead(kind), gate.ErrObjectUnsupported)
	}
	row := kinds[i]
	if raw == nil {
		return object{}, fmt.Errorf("request.object is missing: %w", gate.ErrReviewInvalid)
	}
	o := object{template: row.template}
	spec := raw
	var array [2]about // in the order of the text
	identity := array[:0]
	first := true
	for rest, step := row.spec, ""; rest != "" && spec != nil; first = false {
		step, rest, _ = strings.Cut(rest, ".")
		var next []byte
		err := members(spec, func(name, value []byte) error {
			switch {
			case string(name) == step:
				next = value
			case first && (string(name) == "kind" || string(name) == "metadata"):
				identity = append(identity, about{string(name) == "kind", value})
			}
			return nil
		})
		if err != nil {
			return o, fmt.Errorf("reading request.object down to %q: %w", step, err)
		}
		spec = next
	}
	var err error
	if o.name, err = objectName(identity, kind.kind); err != nil {
		return o, err
	}
	if o.places, o.doubts, err = podSpec(spec, row.spec); err != nil {
		return o, err
	}
	if len(o.places) == 0 {
		// Kubernetes admits no pod without a container, so that this is a
		// shape that we do not understand.
		return o, fmt.Errorf("request.object has no container at %s: %w", row.spec, gate.ErrReviewInvalid)
	}
	return o, nil
}

// instead names the version of a kind that is understood, in place of another one.
func instead(kind groupVersionKind) string {
	for _, row := range kinds {
		if row.kind == kind.kind && hasImages(kind.group, kind.kind) {
			return "; use " + row.groupVersionKind.String()
		}
	}
	return ""
}

// about is a member that says what an object is: its kind, or else its metadata.
type about struct {
	kind  bool
	value []byte
}

// objectName is the name in the metadata, or its prefix for a Pod that gets
// its name later. An object that says it is of another kind is refused.
func objectName(identity []about, want string) (string, error) {
	var name, generate string
	var err error
	for _, part := range identity {
		if part.kind {
			if kind, _ := unquoted(part.value); string(kind) != want {
				err = fmt.Errorf("request.object is of kind %s, request.kind says %q: %w", gate.Quoted(string(kind), 60), want, gate.ErrReviewInvalid)
				break
			}
			continue
		}
		err = members(part.value, func(key, value []byte) (err error) {
			switch string(key) {
			case "name":
				name, err = short(value, maxName)
			case "generateName":
				generate, err = short(value, maxName)
			}
			if err != nil {
				err = fmt.Errorf("request.object: metadata.%s: %w", key, err)
			}
			return err
		})
		if err != nil {
			break
		}
	}
	if name == "" {
		name = generate
	}
	return name, err
}
