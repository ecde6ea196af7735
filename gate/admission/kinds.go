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
	for _, step := range strings.Split(row.spec, ".") {
		var next []byte
		err := members(spec, func(name, value []byte) error {
			if string(name) == step {
				next = value
			}
			return nil
		})
		if err != nil {
			return o, fmt.Errorf("reading request.object down to %q: %w", step, err)
		}
		if spec = next; next == nil {
			break
		}
	}
	var err error
	if o.name, err = objectName(raw, kind.kind); err != nil {
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

// objectName is the name in the metadata, or its prefix for a Pod that gets
// its name later. An object that says it is of another kind is refused.
func objectName(raw []byte, want string) (string, error) {
	var name, generate string
	err := members(raw, func(key, value []byte) error {
		switch string(key) {
		case "kind":
			if kind, err := text(value); err != nil || kind != want {
				return fmt.Errorf("request.object is of kind %s, request.kind says %q: %w", gate.Quoted(kind, 60), want, gate.ErrReviewInvalid)
			}
		case "metadata":
			return members(value, func(key, value []byte) (err error) {
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
		}
		return nil
	})
	if name == "" {
		name = generate
	}
	return name, err
}
