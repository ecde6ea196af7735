package admission

import (
	"encoding/json"
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"

	"github.com/digestgate/digestgate/gate"
)

// TestKnownFields compares the fields that we pass over with those of the
// linked Kubernetes. When it fails after an upgrade, look whether the new
// field can hold an image before adding it.
func TestKnownFields(t *testing.T) {
	tests := map[string]struct {
		of    reflect.Type
		known func(string) bool
		read  []string
	}{
		"pod_spec":            {reflect.TypeFor[corev1.PodSpec](), specField, []string{"containers", "initContainers", "ephemeralContainers", "volumes"}},
		"container":           {reflect.TypeFor[corev1.Container](), containerField, []string{"name", "image"}},
		"ephemeral_container": {reflect.TypeFor[corev1.EphemeralContainer](), containerField, []string{"name", "image"}},
		"volume":              {reflect.TypeFor[corev1.Volume](), volumeField, []string{"name", "image"}},
		"image_volume":        {reflect.TypeFor[corev1.ImageVolumeSource](), func(string) bool { return false }, []string{"reference", "pullPolicy"}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			for _, field := range jsonNames(test.of) {
				if test.known(field) == slices.Contains(test.read, field) {
					t.Errorf("field %q of %s: known %v, read %v", field, test.of, test.known(field), slices.Contains(test.read, field))
				}
			}
		})
	}
}

func jsonNames(of reflect.Type) []string {
	var list []string
	for i := range of.NumField() {
		field := of.Field(i)
		name, options, _ := strings.Cut(field.Tag.Get("json"), ",")
		if name == "" && strings.Contains(options, "inline") {
			list = append(list, jsonNames(field.Type)...)
			continue
		}
		list = append(list, name)
	}
	return list
}

func TestPodSpec_everyPlace(t *testing.T) {
	raw := `{"volumes":[{"name":"v0","emptyDir":{}},{"name":"v1","image":{"reference":"e","pullPolicy":"Always"}}],
		"ephemeralContainers":[{"name":"debug","image":"d","targetContainerName":"a"}],
		"initContainers":[{"name":"i0","image":"b","restartPolicy":"Always"},{"name":"i1"}],
		"containers":[{"name":"c0","image":"a"}],"nodeSelector":{"image":"x"},"futureFlag":{"enabled":true}}`
	got, doubts, err := podSpec([]byte(raw), "spec")
	if err != nil || len(doubts) != 0 {
		t.Fatalf("podSpec: got doubts %v, %v", doubts, err)
	}
	var lines []string
	for _, p := range got {
		lines = append(lines, p.path()+" "+p.name+" "+p.image)
	}
	want := []string{
		"spec.containers[0].image c0 a", "spec.initContainers[0].image i0 b", "spec.initContainers[1].image i1 ",
		"spec.ephemeralContainers[0].image debug d", "spec.volumes[1].image.reference v1 e",
	}
	if diff := cmp.Diff(want, lines); diff != "" {
		t.Errorf("podSpec (-want +got):\n%s", diff)
	}
}

// TestPodSpec_unknownImage: what a newer Kubernetes may bring is refused when
// it may name an image (A38), and so are shapes that could hide one.
func TestPodSpec_unknownImage(t *testing.T) {
	unsupported := map[string]string{
		"further_containers":   `{"containers":[],"fooContainers":[{"name":"x","image":"evil"}]}`,
		"image_of_pod":         `{"containers":[],"sandboxImage":"evil"}`,
		"other_case":           `{"containers":[],"Containers":[{"image":"evil"}]}`,
		"container_field":      `{"containers":[{"name":"a","image":"a","helper":{"fallbackImages":["evil"]}}]}`,
		"container_other_case": `{"containers":[{"name":"a","image":"a","Image":"evil"}]}`,
		"volume_artifact":      `{"containers":[],"volumes":[{"name":"v","artifact":{"reference":"evil"}}]}`,
		"volume_image_field":   `{"containers":[],"volumes":[{"name":"v","image":{"reference":"a","mirrorReference":"evil"}}]}`,
		"twice_inside":         `{"containers":[],"foo":{"x":1,"x":2}}`,
	}
	for name, raw := range unsupported {
		t.Run(name, func(t *testing.T) {
			got, doubts, err := podSpec([]byte(raw), "spec")
			if err == nil {
				err = object{places: got, doubts: doubts}.everything().refusal()
			}
			if !errors.Is(err, gate.ErrObjectUnsupported) {
				t.Errorf("podSpec(%s): got %v, %v, want ErrObjectUnsupported", raw, got, err)
			}
		})
	}
	invalid := map[string]string{
		"no_object":        `[]`,
		"containers_twice": `{"containers":[{"image":"good"}],"containers":[{"image":"evil"}]}`,
		"container_number": `{"containers":[1]}`,
		"container_null":   `{"containers":[null]}`,
		"image_twice":      `{"containers":[{"image":"good","image":"evil"}]}`,
		"image_object":     `{"containers":[{"image":{"x":1}}]}`,
		"containers_map":   `{"containers":{"image":"x"}}`,
		"volume_string":    `{"volumes":["x"]}`,
	}
	for name, raw := range invalid {
		t.Run(name, func(t *testing.T) {
			if !json.Valid([]byte(raw)) {
				t.Fatal("the test is not JSON")
			}
			if got, _, err := podSpec([]byte(raw), "spec"); !errors.Is(err, gate.ErrReviewInvalid) {
				t.Errorf("podSpec(%s): got %v, %v, want ErrReviewInvalid", raw, got, err)
			}
		})
	}
}

// TestReview_saysWhere: what is wrong in an object is named by its path.
func TestReview_saysWhere(t *testing.T) {
	const spec = `{"containers":[{"name":"a","image":"app:1"}]}`
	for _, c := range []struct{ kind, object, want string }{
		{`"group":"","version":"v1","kind":"Pod"`, `{"kind":"Pod","spec":{"containers":"abc"}}`,
			"spec.containers: want an array, got a string"},
		{`"group":"","version":"v1","kind":"Pod"`, `{"kind":"Pod","spec":[]}`, "spec: want an object, got an array"},
		{`"group":"","version":"v1","kind":"Pod"`, `{"kind":"Pod","spec":{"containers":[{"name":"a","image":5}]}}`,
			"spec.containers[0]: image: want a string, got a number"},
		{`"group":"","version":"v1","kind":"Pod"`, `{"kind":"Pod","spec":{"volumes":[{"name":"a","image":{"reference":{}}}]}}`,
			"spec.volumes[0]: image: reference: want a string, got an object"},
		{`"group":"extensions","version":"v1beta1","kind":"Deployment"`, `{"kind":"Deployment","spec":{"template":{"spec":` + spec + `}}}`,
			"use apps/v1 Deployment"},
		{`"group":"batch","version":"v1beta1","kind":"CronJob"`, `{"kind":"CronJob","spec":{}}`, "use batch/v1 CronJob"},
	} {
		body := `{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","request":{"uid":"u","namespace":"n","operation":"CREATE","kind":{` +
			c.kind + `},"object":` + c.object + `}}`
		resp, err := NewReviewer(Default(), &asked{}, Options{}).Review(t.Context(), []byte(body), DefaultCluster)
		if err != nil || resp.Allowed || !strings.Contains(resp.Message, c.want) {
			t.Errorf("Review(%s): got %v, allowed %v, %q, want a refusal with %q", c.object, err, resp.Allowed, resp.Message, c.want)
		}
	}
}
